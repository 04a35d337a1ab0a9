//! The console in a real browser.

use crate::support::browser::Browser;

#[test]
fn shows_a_page() {
    let Some(mut browser) = Browser::start("shows_a_page") else { return };
    browser.open("data:text/html,<title>x</title><body><input id=a autofocus><button onclick=\"document.title='hit';document.body.append(document.title + a.value)\">go</button><script>console.error('bad')</script>");
    browser.click("#a");
    browser.type_text("hello");
    browser.click("button");
    browser.wait_for_text("hithello");
    browser.picture("try");
    assert_eq!(browser.complaints().len(), 1);
}
