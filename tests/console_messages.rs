//! Messages and dead letters in a real browser: found, looked at, replayed and discarded, with scripts and without.

use crate::console::signed_in;
use crate::support::browser::Browser;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};

fn dead_letters(host: &Host) -> usize {
    host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().len()
}

/// Pictures of the page as it is, for a screen and a phone, by day and by night.
fn pictures(browser: &mut Browser, name: &str) {
    for scheme in ["light", "dark"] {
        browser.prefers(scheme);
        browser.wait_until("colours are those of the scheme", "document.getAnimations().length === 0");
        browser.picture(&format!("{name}-{scheme}"));
        browser.phone();
        let fits = browser.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth");
        assert_eq!(fits, true, "{name} is wider than a phone");
        browser.picture(&format!("{name}-phone-{scheme}"));
        browser.desktop();
    }
}

#[test]
fn a_message_is_found_by_its_order_and_shows_what_came_beside_what_was_sent() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let mut hostile = order(1001, 7, "10.00");
    hostile["note"] = "<script>document.title='taken over'</script><img src=x onerror=\"document.title='taken over'\">\u{202e}".into();
    accepted(&post_order(&host, "evt-1", &hostile));
    accepted(&post_order(&host, "evt-2", &order(1002, 8, "12.00")));
    eventually("both are delivered", || {
        let delivered = host.api("/api/v1/messages?integration=orders-to-crm&outcome=delivered");
        (delivered["messages"].as_array().unwrap().len() == 2).then_some(())
    });
    let Some(mut browser) = signed_in("a_message_is_found_by_its_order_and_shows_what_came_beside_what_was_sent", &workspace) else {
        return;
    };

    browser.press("g");
    browser.press("m");
    browser.wait_for_text("order=#1002");
    browser.wait_until("the page's keys work", "document.documentElement.classList.contains('scripted')");
    browser.press("/");
    browser.type_text("order=#1001");
    browser.press("Enter");
    browser.wait_until("the answer is loaded", "document.readyState === 'complete' && location.search.includes('find=order%3D%231001')");
    assert!(!browser.text().contains("#1002"), "{}", browser.text());
    pictures(&mut browser, "messages");

    browser.click("tbody th a");
    browser.wait_for_text("What was sent");
    // The page opens at what was sent last, and either integration may have been the last: to the CRM's.
    browser.wait_until(
        "the way through orders-to-crm is there",
        "[...document.querySelectorAll('.story')].some((story) => story.id === 'in-orders-to-crm' && story.querySelector('details'))",
    );
    browser.evaluate("document.querySelectorAll('.story details').forEach((attempt) => { attempt.open = true; })");
    browser.click("#in-orders-to-crm a[href$='#bodies']");
    for part in ["orders-to-crm", "What came", "What was sent", "compositeRequest", "POST /composite", "\\u{202e}"] {
        browser.wait_for_text(part);
    }
    assert!(!browser.evaluate("document.title").as_str().unwrap().contains("taken over"));
    assert_eq!(browser.evaluate("document.querySelectorAll('main script, main img').length"), 0);
    pictures(&mut browser, "message");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_message_that_waits_tells_what_becomes_of_it_and_leaves_open_what_the_reader_opened() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm_down();
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    let test = "a_message_that_waits_tells_what_becomes_of_it_and_leaves_open_what_the_reader_opened";
    let Some(mut browser) = signed_in(test, &workspace) else { return };
    browser.press("g");
    browser.press("m");
    browser.wait_for_text("order=#1001");
    browser.click("tbody th a");
    let story = |within: &str| format!("document.querySelector('#in-orders-to-crm {within}')");
    browser.wait_until("an attempt failed to reach the CRM", &format!("{} !== null", story("details")));
    browser.wait_for_text("Live");
    browser.evaluate("window.loadedOnce = true");
    // One that the page opens by itself is closed, and one that it does not is opened.
    let turn = "[...document.querySelectorAll('main details')].map((part) => { part.open = !part.open; return [part, part.open]; })";
    browser.evaluate(&format!("(window.turned = {turn}).length"));
    pictures(&mut browser, "message-waiting");
    outside.crm_up();
    browser.wait_until("it is delivered", &format!("{}?.innerText === 'delivered'", story("h2 .badge")));
    browser.wait_for_text("More was sent since this page was loaded");
    let kept = "window.turned.length > 0 && window.turned.every(([part, open]) => part.isConnected && part.open === open)";
    assert_eq!(browser.evaluate(kept), true, "what the reader opened or closed is as it was");
    assert_eq!(browser.evaluate("window.loadedOnce"), true, "without a page being loaded");
    pictures(&mut browser, "message-told");
    browser.click("#region p[role=status] a");
    browser.wait_for_text("compositeRequest");
    assert!(!browser.text().contains("More was sent"));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn dead_letters_are_replayed_and_discarded_without_scripts() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.refuse("StageName", "Prospecting");
    for number in 1..=3 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(1000 + number, number, "10.00")));
    }
    eventually("there are dead letters", || (dead_letters(&host) == 3).then_some(()));
    outside.crm.accept_all();
    let Some(mut browser) = signed_in("dead_letters_are_replayed_and_discarded_without_scripts", &workspace) else { return };
    browser.scripts(false);

    browser.click("nav a[href='/dead-letters']");
    browser.wait_for_text("orders-to-crm");
    pictures(&mut browser, "dead-letters");
    browser.click("tbody th a");
    browser.wait_for_text("Replay all 3");
    pictures(&mut browser, "cause");
    browser.click("input[type=checkbox][value='1']");
    browser.click(".below button:not(.danger):not(.needs-script)");
    browser.wait_for_text("On its way again, as replay 1");
    pictures(&mut browser, "replayed");
    eventually("it is replayed", || (dead_letters(&host) == 2).then_some(()));

    browser.click("main p a[href^='/dead-letters']");
    browser.wait_for_text("Discard all 2");
    browser.click(".actions form[action='/dead-letters/discard'] button");
    browser.wait_for_text("Why?");
    browser.click("textarea");
    browser.type_text("a test");
    pictures(&mut browser, "discard");
    browser.click("form[action='/dead-letters/discard'] button.danger");
    browser.wait_for_text("Done: 2 of 2");
    eventually("they are discarded", || (dead_letters(&host) == 0).then_some(()));
    browser.click("main p a[href^='/dead-letters']");
    browser.wait_for_text("No open dead letter has the cause");
    assert_eq!(browser.complaints().iter().filter(|told| !told.contains("404")).count(), 0);
}
