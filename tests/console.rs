//! The console over the real binary: signing in from the command line, a shutdown that waits for nobody who looks on, and what a
//! person sees in a real browser.

use rustix::process::Signal;
use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::host::Host;
use crate::support::http::{Answer, request};
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

/// A link into the console, as the command line gives it.
#[track_caller]
pub fn link(workspace: &Workspace) -> String {
    let output = workspace.lockgate(&["console", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["url"].as_str().unwrap().to_owned()
}

/// The cookie that a link is exchanged for.
#[track_caller]
fn cookie(workspace: &Workspace) -> String {
    let answer = request("GET", &link(workspace), &[], "").unwrap();
    assert_eq!((answer.status, answer.headers["location"].to_str().unwrap()), (303, "/"), "{answer:?}");
    answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

fn get(host: &Host, path: &str, headers: &[(&str, &str)]) -> Answer {
    request("GET", &format!("{}{path}", host.admin), headers, "").unwrap()
}

/// A browser that is signed in and looks at the overview.
pub fn signed_in(test: &str, workspace: &Workspace) -> Option<Browser> {
    let mut browser = Browser::start(test)?;
    browser.open(&link(workspace));
    browser.wait_for_text("orders-to-crm");
    Some(browser)
}

#[test]
fn opens_with_a_link_that_works_once() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    assert_eq!(get(&host, "/", &[]).status, 401);
    let link = link(&workspace);
    let opened = request("GET", &link, &[], "").unwrap();
    assert_eq!(opened.status, 303, "{opened:?}");
    let again = request("GET", &link, &[], "").unwrap();
    assert_eq!(again.status, 403, "{again:?}");
    assert!(String::from_utf8_lossy(&again.body).contains("lockgate console"), "{again:?}");
    let page = get(&host, "/", &[("cookie", &cookie(&workspace))]);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(String::from_utf8_lossy(&page.body).contains("orders-to-crm"), "{page:?}");
}

#[test]
fn prints_a_link_for_people_and_says_where_no_host_runs() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    assert_eq!(workspace.lockgate(&["console"]).status.code(), Some(3));
    let host = Host::start(&workspace);
    let output = workspace.lockgate(&["console", "--no-open"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with(&format!("{}/sign-in/", host.admin)) && printed.contains("works once"), "{printed}");
    let refused = workspace.lockgate(&["console", "--host", &host.admin, "--token", "not-the-token-of-this-host"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}

#[test]
fn a_host_that_stops_does_not_wait_for_pages_that_are_open() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let settings = std::fs::read_to_string(workspace.path().join("lockgate.toml")).unwrap();
    workspace.write("lockgate.toml", &format!("[host]\ndrain = \"1h\"\n\n{settings}"));
    let host = Host::start(&workspace);
    let cookie = cookie(&workspace);
    let address = host.admin.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let asked = format!("GET /live/overview HTTP/1.1\r\nhost: {address}\r\ncookie: {cookie}\r\n\r\n");
    std::io::Write::write_all(&mut stream, asked.as_bytes()).unwrap();
    let mut heard = String::new();
    while !heard.contains("event: page") {
        let mut bytes = [0; 4096];
        let read = std::io::Read::read(&mut stream, &mut bytes).unwrap();
        assert!(read > 0, "{heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(host.stop().success());
}

#[test]
fn keeps_up_with_what_happens_and_says_a_cause_once() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let Some(mut browser) = signed_in("keeps_up_with_what_happens_and_says_a_cause_once", &workspace) else { return };
    browser.evaluate("window.loadedOnce = true");
    browser.wait_for_text("Live");
    outside.crm_down();
    for number in 1..=3 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(1_000 + number, number, "10.00")));
    }
    browser.wait_for_text("crm has been failing");
    browser.wait_for_text("3 messages wait; none is lost");
    for (scheme, name) in [("dark", "overview-dark"), ("light", "overview-light")] {
        browser.prefers(scheme);
        browser.picture(name);
    }
    browser.phone();
    browser.picture("overview-phone");
    let width = browser.evaluate("document.documentElement.scrollWidth");
    assert!(width.as_u64().unwrap() <= 390, "{width}: wider than a phone");
    browser.desktop();
    outside.crm_up();
    browser.wait_until("the alias is healthy again", "!document.body.innerText.includes('crm has been failing')");
    assert_eq!(browser.evaluate("window.loadedOnce"), true, "without a page being loaded");
    assert!(browser.complaints().is_empty());
}

#[test]
fn leads_by_keys_to_every_section_and_by_links_to_what_hangs_on_an_alias() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let _host = Host::start(&workspace);
    let Some(mut browser) = signed_in("leads_by_keys_to_every_section_and_by_links_to_what_hangs_on_an_alias", &workspace) else { return };
    browser.wait_for_text("Live");
    browser.press("?");
    browser.wait_for_text("Keyboard shortcuts");
    browser.press("Escape");
    browser.wait_until("the list is closed", "!document.getElementById('keys').open");
    browser.press("/");
    browser.type_text("crm");
    browser.press("Enter");
    browser.wait_until("the overview is narrowed down", "location.search === '?name=crm'");
    browser.wait_for_text("Live");
    browser.wait_until("one row is left", "document.querySelectorAll('tr[id^=integration-]').length === 1");
    browser.press("g");
    browser.press("a");
    browser.wait_until("the aliases are shown", "location.pathname === '/aliases'");
    browser.click("a[href='/aliases/crm']");
    browser.wait_for_text("orders-to-crm");
    browser.picture("alias");
    browser.click("a[href$='orders%2Dto%2Dcrm']");
    browser.wait_for_text("order-to-opportunity");
    browser.picture("integration");
    assert!(browser.complaints().is_empty());
}

#[test]
fn works_without_scripts() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let Some(mut browser) = signed_in("works_without_scripts", &workspace) else { return };
    browser.scripts(false);
    browser.open(&format!("{}/aliases/crm", host.admin));
    browser.click("form[action$='/test'] button");
    browser.wait_for_text("Answers, and takes the credential");
    browser.click("form[action='/sign-out'] button");
    browser.wait_for_text("lockgate console");
}

#[test]
fn says_since_when_its_figures_are_stale() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let Some(mut browser) = signed_in("says_since_when_its_figures_are_stale", &workspace) else { return };
    browser.wait_for_text("Live");
    host.signal(Signal::KILL);
    browser.wait_for_text("Connection lost: figures of ");
    browser.picture("stale");
}
