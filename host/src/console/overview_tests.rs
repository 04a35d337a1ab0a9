//! What the overview shows of made-up hosts.

use std::time::Duration;

use super::*;
use crate::admin::overview::SourceOverview;
use crate::alias::AliasStatus;
use crate::clock::Timestamp;
use crate::delivery::Pause;
use crate::message_store::{SourceResult, SourceState};

const NOW: Timestamp = Timestamp(1_772_400_000_000);

fn integration(name: &str) -> IntegrationOverview {
    IntegrationOverview {
        name: name.to_owned(),
        owner: None,
        state: IntegrationState::Idle,
        paused: None,
        retirement: None,
        held_by: Vec::new(),
        held_by_readers: Vec::new(),
        waiting: 0,
        oldest_accepted_at: None,
        oldest_waiting: None,
        dead_letters: 0,
        stopped: 0,
        delivered_last_hour: 0,
        skipped_last_hour: 0,
        per_minute: 0.0,
        drained_in: None,
        latency: None,
        curve: None,
        sources: Vec::new(),
        takes_over: Vec::new(),
    }
}

fn held(name: &str, by: &str, waiting: u64) -> IntegrationOverview {
    let oldest_waiting = Some(Duration::from_secs(600));
    IntegrationOverview { state: IntegrationState::Held, held_by: vec![by.to_owned()], waiting, oldest_waiting, ..integration(name) }
}

fn alias(name: &str, state: &'static str, integrations: &[&str], waiting: u64) -> AliasOverview {
    let detail = (state != "healthy").then(|| "<b>no</b>\u{202e}".to_owned());
    let status = AliasStatus { state, since: Timestamp(NOW.0 - 720_000), detail, ..AliasStatus::healthy(name) };
    AliasOverview { status, integrations: integrations.iter().map(|name| (*name).to_owned()).collect(), waiting, busy: 0 }
}

fn overview(integrations: Vec<IntegrationOverview>, aliases: Vec<AliasOverview>) -> Overview {
    Overview { at: NOW, intake_open: true, intake_full: false, integrations, aliases }
}

fn page(query: &str, overview: &Overview) -> String {
    shown(&Asked::parse(Some(query)).unwrap(), overview).into_string()
}

/// Where `parts` are in `page`, which must have all of them.
fn places<const N: usize>(page: &str, parts: [&str; N]) -> [usize; N] {
    parts.map(|part| page.find(part).unwrap_or_else(|| panic!("no {part}: {page}")))
}

#[test]
fn says_one_cause_under_twelve_broken_integrations_once() {
    let names: Vec<String> = (0..12).map(|n| format!("flow-{n:02}")).collect();
    let hanging: Vec<&str> = names.iter().map(String::as_str).collect();
    let integrations = names.iter().map(|name| held(name, "crm", 100)).collect();
    let page = page("", &overview(integrations, vec![alias("crm", "open", &hanging, 1_200)]));
    assert_eq!(page.matches("class=\"banner").count(), 1);
    assert!(page.contains("has been failing") && page.contains("12 min"), "{page}");
    assert!(page.contains("12 integrations</a> send through it, <strong>1\u{202f}200 messages</strong> wait; none is lost"), "{page}");
    assert!(page.contains("href=\"/?alias=crm\""), "{page}");
}

#[test]
fn shows_what_needs_a_person_before_what_mends_itself() {
    let dead = IntegrationOverview { dead_letters: 3, ..integration("a-dead") };
    let left = IntegrationOverview { state: IntegrationState::Inactive, waiting: 7, ..integration("b-left") };
    let busy = IntegrationOverview { state: IntegrationState::Delivering, waiting: 1, ..integration("c-busy") };
    let all = vec![busy, integration("d-idle"), held("e-down", "erp", 5), held("f-refused", "tax", 5), left, dead];
    let aliases = vec![alias("erp", "open", &["e-down"], 5), alias("tax", "credential-refused", &["f-refused"], 5)];
    let page = page("", &overview(all, aliases));
    let rows = [
        "id=\"integration-f-refused\"",
        "id=\"integration-a-dead\"",
        "id=\"integration-e-down\"",
        "id=\"integration-c-busy\"",
        "id=\"integration-d-idle\"",
    ];
    assert!(places(&page, rows).is_sorted(), "{page}");
    assert!(places(&page, ["has refused the host", "has been failing"]).is_sorted(), "{page}");
    assert!(page.contains("7 messages in b-left, which is not active any more"), "{page}");
    assert!(page.contains("href=\"/dead-letters?integration=a-dead\""), "{page}");
}

fn failing(name: &str) -> IntegrationOverview {
    let last = SourceResult { at: NOW, result: "failed".into(), code: Some("no-such-table".into()), detail: None, items: 0, fresh: 0 };
    let source = SourceOverview { source: "poll shop".into(), state: Some(SourceState { cursor: None, due_at: NOW, last }) };
    IntegrationOverview { sources: vec![source], ..integration(name) }
}

#[test]
fn a_source_that_fails_needs_a_person() {
    let overview = overview(vec![integration("idle"), failing("polled")], Vec::new());
    let page = page("show=needs-a-person", &overview);
    assert!(page.contains("id=\"integration-polled\"") && !page.contains("id=\"integration-idle\""), "{page}");
}

#[test]
fn says_how_many_more_there_are_than_it_tells_of() {
    let pause = || Some(Pause { since: NOW, reason: "why".into() });
    let paused = |n: usize| IntegrationOverview { state: IntegrationState::Paused, paused: pause(), ..integration(&format!("paused-{n}")) };
    let left = |n: usize| IntegrationOverview { state: IntegrationState::Inactive, waiting: 1, ..integration(&format!("left-{n}")) };
    let many = (0..6).map(paused).chain((0..7).map(left)).chain((0..7).map(|n| failing(&format!("failing-{n}"))));
    let shown = page("", &overview(many.collect(), Vec::new()));
    for more in [
        "<a href=\"#integrations\">And 1 more integration is paused</a>",
        "<a href=\"/?show=needs-a-person\">And 2 more sources fail</a>",
        "<a href=\"/?show=needs-a-person\">And 2 more integrations are not active, and messages wait in them</a>",
    ] {
        assert!(shown.contains(more), "{more}: {shown}");
    }
    let few = page("", &overview((0..5).map(paused).collect(), Vec::new()));
    assert!(!few.contains("And ") && few.contains("lockgate resume paused-0 --integration"), "{few}");
}

#[test]
fn shows_what_a_target_answered_as_text() {
    let page = page("alias=%3Ci%3E", &overview(vec![held("a", "crm", 1)], vec![alias("crm", "throttled", &["a"], 1)]));
    assert!(page.contains("&lt;b&gt;no&lt;/b&gt;\\u{202e}"), "{page}");
    assert!(!page.contains("<i>"), "{page}");
}

#[test]
fn pages_through_a_thousand_integrations() {
    let overview = overview((0..1_000).map(|n| integration(&format!("flow-{n:04}"))).collect(), Vec::new());
    let first = page("", &overview);
    assert_eq!(first.matches("id=\"integration-").count(), ROWS);
    assert!(first.contains("1–50 of 1000") && first.contains("href=\"/?page=2\""), "{first}");
    let last = page("page=20", &overview);
    assert!(last.contains("integration-flow-0999") && !last.contains("After"), "{last}");
    for beyond in ["page=21", "page=18446744073709551615"] {
        let beyond = page(beyond, &overview);
        assert!(beyond.contains("There is no such page") && beyond.contains("href=\"/\""), "{beyond}");
    }
}

#[test]
fn narrows_down_by_name_standing_and_alias() {
    let all = vec![held("order-to-crm", "crm", 1), integration("order-to-erp"), integration("stock-to-erp")];
    let overview = overview(all, vec![alias("crm", "open", &["order-to-crm"], 1)]);
    let rows = |query: &str| page(query, &overview).matches("id=\"integration-").count();
    assert_eq!(rows("name=ORDER"), 2);
    assert_eq!(rows("name=order&show=idle"), 1);
    assert_eq!(rows("alias=crm"), 1);
    assert!(page("name=nothing", &overview).contains("No integration fits"));
    assert!(page("show=held", &overview).contains("href=\"/?show=idle\""), "chips lead on");
}

#[test]
fn refuses_a_query_it_does_not_know() {
    for query in ["nmae=x", "show=broken", "page=one", "page=-1", "name=a&name=b"] {
        assert!(Asked::parse(Some(query)).is_err(), "{query}");
    }
    assert_eq!(Asked::parse(Some("name=+&page=0")).unwrap().path(), "/");
    assert_eq!(Asked::parse(Some("name=a%26b&page=2")).unwrap().path(), "/?name=a%26b&page=2");
}

#[test]
fn says_what_to_do_where_there_is_nothing() {
    assert!(page("", &overview(Vec::new(), Vec::new())).contains("lockgate deploy"));
}

#[test]
fn says_that_the_host_goes_down() {
    let overview = Overview { intake_open: false, ..overview(Vec::new(), Vec::new()) };
    assert!(page("", &overview).contains("Intake is closed"));
}
