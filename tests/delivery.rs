//! The way of one message over the real binary: targets that fail in every way, dead letters and replay, order.

use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::CRM_SECRET_FILE;
use lockgate::demo::crm::Scripted;

/// How many opportunities the CRM has.
fn opportunities(outside: &Outside) -> usize {
    outside.crm.received().records.keys().filter(|(kind, _)| kind == "Opportunity").count()
}

#[track_caller]
fn wait_for_opportunities(outside: &Outside, count: usize) {
    eventually(&format!("{count} opportunities are in the CRM"), || (opportunities(outside) == count).then_some(()));
}

/// Opportunities written more than once, though each was sent once.
fn doubled(outside: &Outside) -> Vec<String> {
    let received = outside.crm.received();
    received.writes.iter().filter(|((kind, _), writes)| kind == "Opportunity" && **writes > 1).map(|((_, id), _)| id.clone()).collect()
}

fn queue_is_empty(host: &Host) {
    eventually("nothing waits", || {
        let status = host.api("/api/v1/status");
        let waiting = |entry: &Value| entry["waiting"].as_u64().unwrap();
        (status["integrations"].as_array().unwrap().iter().map(waiting).sum::<u64>() == 0).then_some(())
    });
}

fn dead_letters(host: &Host) -> Vec<Value> {
    host.api("/api/v1/dead-letters")["dead-letters"].as_array().unwrap().clone()
}

fn alias_state(host: &Host, alias: &str) -> String {
    let status = host.api("/api/v1/status");
    let aliases = status["aliases"].as_array().unwrap();
    aliases.iter().find(|entry| entry["name"] == alias).unwrap()["state"].as_str().unwrap().to_owned()
}

#[test]
fn retries_when_the_crm_answers_500_then_takes_the_order() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.answer_next(Scripted::status(500));
    outside.crm.answer_next(Scripted::status(500));
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    wait_for_opportunities(&outside, 1);
    assert_eq!(outside.crm.answers_left(), 0);
    assert!(doubled(&outside).is_empty());
}

#[test]
fn waits_out_a_429_without_using_an_attempt() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.answer_next(Scripted::status(429).header("retry-after", "1"));
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    wait_for_opportunities(&outside, 1);
    queue_is_empty(&host);
    let attempts = crm_attempts(&host);
    let results: Vec<&str> = attempts.iter().map(|attempt| attempt["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["waited", "delivered"]);
    // Told, not timed: the ledger has when each attempt started and ended.
    let (waited_at, delivered_at) = (time(&attempts[0]["started-at"]), time(&attempts[1]["started-at"]));
    assert!(delivered_at.duration_since(waited_at).as_millis() >= 1_000, "{attempts:#?}");
}

fn time(text: &Value) -> jiff::Timestamp {
    text.as_str().unwrap().parse().unwrap()
}

/// The attempts of the one message that the integration `orders-to-crm` read.
fn crm_attempts(host: &Host) -> Vec<Value> {
    let messages = host.api("/api/v1/messages?integration=orders-to-crm");
    let id = messages["messages"][0]["id"].as_str().unwrap().to_owned();
    let message = host.api(&format!("/api/v1/messages/{id}"));
    let attempts = message["attempts"].as_array().unwrap().clone();
    attempts.into_iter().filter(|attempt| attempt["integration"] == "orders-to-crm").collect()
}

#[test]
fn refreshes_an_expired_token_and_sends_again_in_the_same_attempt() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    wait_for_opportunities(&outside, 1);
    outside.crm.expire_tokens();
    accepted(&post_order(&host, "evt-2", &order(1002, 8, "10.00")));
    wait_for_opportunities(&outside, 2);
    assert_eq!(outside.crm.received().token_requests, 2);
    queue_is_empty(&host);
    let results: Vec<Value> = crm_attempts(&host).iter().map(|attempt| attempt["result"].clone()).collect();
    assert_eq!(results, ["delivered"]);
}

#[test]
fn a_refused_credential_stops_the_alias_and_a_new_secret_releases_the_messages() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.rotate_secret("the-new-secret");
    for number in 0..5 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(2000 + number, 7 + number, "10.00")));
    }
    eventually("the alias is refused", || (alias_state(&host, "crm") == "credential-refused").then_some(()));
    let refused = outside.crm.received().token_requests;
    assert_eq!(opportunities(&outside), 0);
    assert!(dead_letters(&host).is_empty(), "messages wait; they are no dead letters");
    assert!(refused <= 8, "a refused credential is not hammered: {refused} token requests");
    workspace.write(CRM_SECRET_FILE, "the-new-secret");
    wait_for_opportunities(&outside, 5);
    eventually("the alias is healthy", || (alias_state(&host, "crm") == "healthy").then_some(()));
    assert!(!host.logged().contains("the-new-secret"));
}

#[test]
fn a_permanent_rejection_becomes_a_dead_letter_and_is_delivered_by_a_replay_after_the_repair() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm.refuse("StageName", "Prospecting");
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    let letter = eventually("there is a dead letter", || dead_letters(&host).first().cloned());
    assert_eq!(letter["class"], "permanent");
    assert!(letter["detail"].as_str().unwrap().contains("Prospecting"), "{letter:#}");
    outside.crm.accept_all();
    let replay = workspace.lockgate(&["dead-letters", "replay", &letter["id"].to_string(), "--json"]);
    assert!(replay.status.success(), "{replay:?}");
    wait_for_opportunities(&outside, 1);
    eventually("it is no dead letter any more", || dead_letters(&host).is_empty().then_some(()));
}

#[test]
fn an_edited_order_is_delivered_in_place_of_the_one_that_could_not_be() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let mut poison = order(3013, 7, "10.00");
    poison["currency"] = Value::Null;
    let original = accepted(&post_order(&host, "evt-1", &poison));
    let letter = eventually("there is a dead letter", || dead_letters(&host).first().cloned())["id"].to_string();
    poison["currency"] = "EUR".into();
    workspace.write("mended.json", &poison.to_string());
    workspace.write("broken.json", "{\"id\": 1,\n}");
    let edit = |arguments: &[&str]| {
        let output = workspace.lockgate(&[&["dead-letters", "edit", &letter, "--reason", "currency added"], arguments].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let mended = workspace.path().join("mended.json");
    let (mended, broken) = (mended.to_str().unwrap(), workspace.path().join("broken.json"));

    let (code, _, told) = edit(&[]);
    assert!(code == 2 && told.contains("--body FILE"), "no terminal, no editor: {told}");
    let (code, _, told) = edit(&["--body", mended]);
    assert!(code == 2 && told.contains("--yes") && told.contains("--dry-run"), "nobody can be asked: {told}");
    let (code, _, told) = edit(&["--body", broken.to_str().unwrap(), "--yes"]);
    assert!(code == 1 && told.contains("LG-4011") && told.contains("line 2, column 1"), "{told}");
    let (code, told, _) = edit(&["--body", mended, "--dry-run"]);
    assert_eq!((code, told.as_str()), (0, "  /currency  null → \"EUR\"\n"));
    assert_eq!(dead_letters(&host).len(), 1, "nothing was done so far");

    let (code, told, _) = edit(&["--body", mended, "--yes"]);
    assert!(code == 0 && told.contains("/currency  null → \"EUR\"") && told.contains("on its way as replay 1"), "{told}");
    wait_for_opportunities(&outside, 1);
    let (code, told, _) = edit(&["--body", mended, "--yes"]);
    assert!(code == 1 && told.contains("already edited at "), "{told}");
    assert!(dead_letters(&host).is_empty() && doubled(&outside).is_empty());
    let shown = host.api(&format!("/api/v1/messages/{original}"));
    assert!(shown["body"]["text"].as_str().unwrap().contains("null"), "the original stays as it was: {shown:#}");
}

#[test]
fn what_is_paused_keeps_its_messages_over_a_restart_and_sends_them_when_it_is_resumed() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let said = |arguments: &[&str], status: i32| {
        let output = workspace.lockgate(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(said(&["pause", "nothing", "--reason", "x"], 1).contains("`lockgate status` shows the names"));
    assert!(said(&["pause", "crm", "--reason", "their maintenance"], 0).contains("alias crm is paused since"));
    for number in 0..5 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(1000 + number, number, "10.00")));
    }
    eventually("five wait for the CRM", || {
        let status = host.api("/api/v1/status");
        let waiting =
            |name| status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap()["waiting"].clone();
        (waiting("orders-to-crm") == 5 && waiting("shop-orders") == 0).then_some(())
    });
    assert!(host.stop().success());

    let host = Host::start(&workspace);
    assert_eq!(alias_state(&host, "crm"), "paused");
    assert_eq!(opportunities(&outside), 0, "nothing was sent");
    assert!(said(&["pause", "orders-to-crm", "--reason", "and this"], 0).contains("integration orders-to-crm"));
    assert!(said(&["status"], 0).contains("their maintenance"));
    assert!(said(&["resume", "crm"], 0).contains("goes on"));
    assert_eq!(opportunities(&outside), 0, "the integration is still paused");
    assert!(said(&["resume", "orders-to-crm"], 0).contains("goes on"));
    wait_for_opportunities(&outside, 5);
    assert!(said(&["resume", "orders-to-crm"], 0).contains("was not paused"));
    queue_is_empty(&host);
}

#[test]
fn one_poison_order_stops_none_of_the_others() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    for number in 0..40_u64 {
        let mut order = order(3000 + number, 7, "10.00");
        if number == 13 {
            order["currency"] = Value::Null;
        }
        accepted(&post_order(&host, &format!("evt-{number}"), &order));
    }
    wait_for_opportunities(&outside, 39);
    let letters = dead_letters(&host);
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!(letters[0]["integration"], "shop-orders");
    assert!(doubled(&outside).is_empty());
}

#[test]
fn a_strict_integration_sends_nothing_newer_of_a_key_past_its_dead_letter() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let file = "integrations/shop-orders.toml";
    let flow = std::fs::read_to_string(workspace.path().join(file)).unwrap();
    let ordered = |order: &str| format!("{flow}\n[delivery]\norder = \"{order}\"\n");
    workspace.write(file, &ordered("strict"));
    let host = Host::start(&workspace);
    let poison = |id: u64, customer: u64| {
        let mut order = order(id, customer, "10.00");
        order["currency"] = Value::Null;
        order
    };
    for (event, order) in [("evt-1", poison(1001, 7)), ("evt-2", order(1002, 7, "10.00")), ("evt-3", poison(1003, 8))] {
        accepted(&post_order(&host, event, &order));
    }
    accepted(&post_order(&host, "evt-4", &order(1004, 8, "10.00")));
    accepted(&post_order(&host, "evt-5", &order(1005, 9, "10.00")));
    wait_for_opportunities(&outside, 1);
    let letters = eventually("two are parked", || Some(dead_letters(&host)).filter(|letters| letters.len() == 2));
    let status = host.api("/api/v1/status");
    let shop = status["integrations"].as_array().unwrap().iter().find(|entry| entry["name"] == "shop-orders").unwrap();
    assert_eq!((&shop["waiting"], &shop["stopped-keys"]), (&2.into(), &2.into()), "behind them: {shop:#}");

    // A person gives up the first: the one behind it goes. The other key stays where it is.
    let first = letters.iter().find(|letter| letter["lane"] == "7").unwrap_or_else(|| panic!("{letters:#?}"))["id"].to_string();
    let told = workspace.lockgate(&["dead-letters", "discard", &first, "--reason", "a test"]);
    assert!(told.status.success(), "{told:?}");
    wait_for_opportunities(&outside, 2);

    // The owner has a change of mind: what was stopped by the rule goes without it.
    assert!(host.stop().success());
    workspace.write(file, &ordered("key"));
    let host = Host::start_with(&workspace, &["--deploy"]);
    wait_for_opportunities(&outside, 3);
    queue_is_empty(&host);
    assert_eq!(dead_letters(&host).len(), 1, "still there for people");
}

#[test]
fn keeps_the_order_of_a_key_while_the_crm_fails() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    for _ in 0..3 {
        outside.crm.answer_next(Scripted::status(500));
        outside.crm.answer_next(Scripted::status(503));
    }
    // Thirty versions of three orders; each version has the next amount.
    for version in 1..=10_u64 {
        for customer in 1..=3_u64 {
            let order = order(4000 + customer, customer, &format!("{version}.00"));
            accepted(&post_order(&host, &format!("evt-{customer}-{version}"), &order));
        }
    }
    queue_is_empty(&host);
    let received = outside.crm.received();
    let mut seen: std::collections::BTreeMap<String, Vec<f64>> = std::collections::BTreeMap::new();
    for (_, request) in &received.requests {
        for part in request["compositeRequest"].as_array().unwrap() {
            if let Some(amount) = part["body"].get("Amount") {
                let amount = amount.to_string().trim_matches('"').parse().unwrap();
                seen.entry(part["url"].as_str().unwrap().to_owned()).or_default().push(amount);
            }
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
    for (order, amounts) in seen {
        let versions: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(amounts, versions, "{order}");
    }
}

#[test]
fn an_order_for_two_shipments_becomes_two_opportunities() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let order: Value = example_order("split.json");
    let id = accepted(&post_order(&host, "evt-1", &order));
    wait_for_opportunities(&outside, 2);
    queue_is_empty(&host);
    let message = host.api(&format!("/api/v1/messages/{id}"));
    assert_eq!(message["children"].as_array().unwrap().len(), 2, "{message:#}");
}

/// One of the example's orders.
pub fn example_order(name: &str) -> Value {
    let path = crate::support::build::root().join("examples/shop-to-crm/orders").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_reader_of_a_channel_gets_every_order_unchanged() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let names = ["plain.json", "big-id.json", "nulls.json", "emoji-xml.json"];
    for name in names {
        accepted(&post_order(&host, name, &example_order(name)));
    }
    wait_for_opportunities(&outside, names.len());
    queue_is_empty(&host);
    let kept = outside.audit.kept();
    assert_eq!(kept.bodies.len(), names.len());
    let all: String = kept.bodies.iter().map(|(_, body)| String::from_utf8(body.to_vec()).unwrap()).collect();
    let big = example_order("big-id.json")["id"].to_string();
    assert!(big.parse::<u64>().unwrap() > 1 << 53 && all.contains(&big), "{big} is not in {all}");
}

#[test]
fn a_second_integration_that_reads_the_channel_is_added_without_touching_the_first() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let audit = std::fs::read_to_string(workspace.path().join("integrations/orders-to-audit.toml")).unwrap();
    std::fs::remove_file(workspace.path().join("integrations/orders-to-audit.toml")).unwrap();
    let host = Host::start(&workspace);
    accepted(&post_order(&host, "evt-1", &order(1001, 7, "10.00")));
    wait_for_opportunities(&outside, 1);
    let before = releases(&host);
    assert!(host.stop().success());

    workspace.write("integrations/orders-to-audit.toml", &audit);
    assert!(workspace.lockgate(&["update"]).status.success());
    let host = Host::start_with(&workspace, &["--deploy"]);
    accepted(&post_order(&host, "evt-2", &order(1002, 7, "10.00")));
    wait_for_opportunities(&outside, 2);
    eventually("the audit service has the new order", || (outside.audit.kept().bodies.len() == 1).then_some(()));
    let after = releases(&host);
    for (integration, release) in before {
        assert_eq!(after.get(&integration), Some(&release), "{integration} was not touched");
    }
    assert!(after.contains_key("orders-to-audit"));
}

fn releases(host: &Host) -> std::collections::BTreeMap<String, String> {
    let integrations = host.api("/api/v1/integrations");
    let entries = integrations["integrations"].as_array().unwrap();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap().to_owned();
    entries.iter().map(|entry| (text(entry, "name"), text(entry, "release"))).collect()
}

#[test]
fn orders_wait_while_the_crm_is_down_and_arrive_once_when_it_is_up() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm_down();
    for number in 0..10 {
        accepted(&post_order(&host, &format!("evt-{number}"), &order(5000 + number, number % 3, "10.00")));
    }
    eventually("the alias is seen to be down", || (alias_state(&host, "crm") == "open").then_some(()));
    eventually("the audit service has every order meanwhile", || (outside.audit.kept().bodies.len() == 10).then_some(()));
    assert!(dead_letters(&host).is_empty());
    outside.crm_up();
    wait_for_opportunities(&outside, 10);
    queue_is_empty(&host);
    assert!(doubled(&outside).is_empty());
    assert!(crm_attempts(&host).iter().all(|attempt| attempt["result"] != "failed"), "waiting uses no attempt");
}
