//! What `integrations/<name>.toml` takes and refuses, pinned by the text people see.

use super::source::webhook_path;
use super::*;
use crate::integration::select::Selector;
use crate::integration::{Allow, Batching, Beginning, Entry, Grant, Sink};

/// The example of the reference, reduced to what is built.
const EXAMPLE: &str = r#"
[integration]
description = "Web shop orders become CRM opportunities"
owner = { team = "Order operations", contact = "order-ops@acme.example" }

[[source]]
webhook = { path = "/shop/orders", verify = "shop" }   # `shop` is an alias
id  = ["header:X-Shopify-Webhook-Id"]
key = "json:/customer/id"
when = { "header:X-Shopify-Topic" = ["orders/create", "orders/updated"] }
track = { order = "json:/name" }

[[step]]
plugin = "shop-order@1.2"
[[step]]
plugin = "order-to-opportunity"
config = { stage = "{values.new-order-stage}", at = 2024-01-02, n = [1, +2.50, true] }
grant = ["key-value"]
bind = { tax = { alias = "tax", allow = ["POST /v2/quote", "GET /v2/*"] } }

[sink]
plugin = "salesforce@1"
bind = { target = "crm" }

[delivery]
order = "key"
concurrency = 4
give-up-after = "2h"
attempts = 10
backoff = { base = "2s", cap = "1m", jitter = "none" }
"#;

const MINIMAL: &str = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\nchannel = \"in\"\n[sink]\nchannel = \"out\"\n";

fn parse(text: &str) -> Result<Integration, String> {
    IntegrationFile::parse("x", "x.toml", text).map(|file| file.integration).map_err(|problems| problems.to_string())
}

/// `line:column: code message` of everything that is wrong.
fn mistakes(text: &str) -> Vec<String> {
    let problems = IntegrationFile::parse("x", "x.toml", text).unwrap_err().0;
    assert!(problems.iter().all(|problem| problem.fix.is_some()));
    let place = |problem: &crate::problem::Problem| problem.location.clone().map(|at| format!("{}:{}", at.line, at.column)).unwrap();
    problems.iter().map(|problem| format!("{}: {} {}", place(problem), problem.code, problem.message)).collect()
}

fn with(lines: &str) -> String {
    format!("{MINIMAL}{lines}")
}

#[test]
fn reports_every_mistake_of_the_file_with_its_place_and_fix() {
    let text = r#"[integration]
descripton = "x"
owner = { contact = "a" }

[[source]]
webhook = { path = "shop orders" }
key = "customer"
id = "header:X"

[[step]]
plugin = "shop@one"
grants = ["key-value"]
grant = ["http", "network"]
config = "x"

[sink]
plugin = "a@1"
channel = "b"

[delivery]
concurrency = "8"
backoff = { base = "1m", cap = "1s", jiter = "full" }
"#;
    assert_eq!(
        parse(text).unwrap_err(),
        r#"x.toml:1:1: LG-1004 `integration.description` is missing
  fix: add `description = "What it is for"`
x.toml:2:1: LG-1003 unknown key `integration.descripton`
  fix: did you mean `description`? known here: description, owner
x.toml:3:9: LG-1004 `integration.owner.team` is missing
  fix: add `team = "Order operations"`
x.toml:6:11: LG-1004 `source 1.webhook.verify` is missing
  fix: add `verify = "shop"`
x.toml:6:20: LG-1005 `source 1.webhook.path` = "shop orders": a path starts with `/` and has letters, digits, `-`, `.`, `_` and `~` between slashes, at most 256
  fix: for example `path = "/shop/orders"`
x.toml:7:7: LG-1005 `source 1.key` = "customer": expected `header:<Name>`, `json:/<pointer>` or `body`
  fix: for example `key = "json:/customer/id"`
x.toml:8:6: LG-1005 `source 1.id` must be a list; it is a text
  fix: for example `id = ["header:X-Shopify-Webhook-Id"]`
x.toml:11:10: LG-1005 `step 1.plugin` = "shop@one": `one` is not a version requirement: unexpected character 'o' while parsing major version number
  fix: for example `plugin = "shop-order@1.2"`
x.toml:12:1: LG-1003 unknown key `step 1.grants`
  fix: did you mean `grant`? known here: plugin, config, grant, bind
x.toml:13:10: LG-1005 `step 1.grant 1` = "http": HTTP comes with a binding
  fix: bind a slot: `bind = { target = "<alias>" }`
x.toml:13:18: LG-1005 `step 1.grant 2` = "network": expected one of `key-value`, `queue`
  fix: for example `"key-value"`
x.toml:14:10: LG-1005 `step 1.config` must be a table; it is a text
  fix: for example `config = { stage = "{values.new-order-stage}" }`
x.toml:16:1: LG-1005 `sink` must have either `plugin` or `channel`
  fix: for example `plugin = "salesforce@1"` or `channel = "orders.canonical"`
x.toml:21:15: LG-1005 `delivery.concurrency` must be a whole number; it is a text
  fix: for example `concurrency = 8`
x.toml:22:11: LG-1005 `delivery.backoff` has a `cap` below its `base`
  fix: for example `backoff = { base = "1s", cap = "5m" }`
x.toml:22:38: LG-1003 unknown key `delivery.backoff.jiter`
  fix: did you mean `jitter`? known here: base, cap, jitter"#
    );
}

#[test]
fn refuses_what_is_not_built_and_says_so() {
    let text = r#"[integration]
description = "d"
owner = { team = "t", contact = "c", alerts = "ops" }
[[source]]
channel = "in"
contract = "order"
[[step]]
mapping = "m"
plugin = "p"
[sink]
channel = "out"
contract = "x"
[promise]
window = "30d"
"#;
    let found = mistakes(text);
    for key in ["integration.owner.alerts", "source 1.contract", "step 1.mapping", "sink.contract", "promise"] {
        assert!(found.iter().any(|line| line.contains(&format!("LG-1003 `{key}` is not built in this version"))), "{key}: {found:#?}");
    }
}

#[test]
fn refuses_a_concurrency_that_is_none() {
    let mistake = |number: &str| parse(&format!("{MINIMAL}[delivery]\nconcurrency = {number}\n")).unwrap_err();
    for number in ["0", "-1", "1000000000"] {
        let told = mistake(number);
        assert!(told.starts_with("x.toml:9:15: LG-1005 `delivery.concurrency`"), "{told}");
        assert!(told.contains(number) && told.ends_with("fix: for example `concurrency = 8`"), "{told}");
    }
}

#[test]
fn reads_where_a_new_reader_of_a_channel_begins() {
    let from = |text: &str| parse(&MINIMAL.replace("channel = \"in\"", &format!("channel = {text}"))).unwrap().sources.remove(0).entry;
    let channel = |from| Entry::Channel { name: "in".into(), from };
    assert_eq!(from("\"in\""), channel(Beginning::Now));
    assert_eq!(from("{ name = \"in\", from = \"now\" }"), channel(Beginning::Now));
    assert_eq!(from("{ name = \"in\", from = \"earliest\" }"), channel(Beginning::Earliest));
    let wrong = mistakes(&MINIMAL.replace("channel = \"in\"", "channel = { name = \"in\", from = \"yesterday\" }"));
    assert_eq!(wrong, ["5:33: LG-1005 `source 1.channel.from` = \"yesterday\": expected one of `now`, `earliest`"]);
}

#[test]
fn refuses_a_url_anywhere() {
    let text =
        with("[[step]]\nplugin = \"p\"\nconfig = { a = [{ b = \"HTTPS://crm.acme.example/x\" }], c = \"not a://url\", d = \"a :// b\" }\n");
    let found = mistakes(&text);
    assert_eq!(
        found,
        [
            "10:23: LG-1008 `step 1.config.a 1.b` holds a URL: an integration is the same in every environment",
            "10:60: LG-1008 `step 1.config.c` holds a URL: an integration is the same in every environment"
        ]
    );
    let fix = IntegrationFile::parse("x", "x.toml", &text).unwrap_err().0[0].fix.clone().unwrap();
    assert!(fix.contains("alias") && fix.contains("{values.<name>}"), "{fix}");
}

#[test]
fn refuses_a_host_without_a_scheme_and_takes_no_other_text_for_one() {
    let text = |value: &str| with(&format!("[[step]]\nplugin = \"p\"\nconfig = {{ a = \"{value}\" }}\n"));
    for host in ["//crm.acme.example/x", "localhost:9010", "10.1.2.3", "crm.acme.example/services", "crm.acme.example:8443"] {
        let found = mistakes(&text(host));
        assert!(found.len() == 1 && found[0].contains("LG-1008 `step 1.config.a` names a host"), "{host}: {found:?}");
    }
    for other in ["/services/data/v60.0", "orders.canonical", "application/vnd.acme+json", "{values.stage}", "a.b", "12.30:45"] {
        assert!(IntegrationFile::parse("x", "x.toml", &text(other)).is_ok(), "{other}");
    }
}

#[test]
fn shows_where_the_syntax_is_broken() {
    assert_eq!(mistakes("[integration\nx = 1\n")[0], "1:13: LG-1002 not valid TOML: unclosed table, expected `]`");
    assert!(mistakes("a = 1\na = 2\n")[0].starts_with("2:1: LG-1002 not valid TOML: duplicate key"));
    let unclosed = "[[source]]\nid = [\"header:X\"\nkey = \"json:/id\"\n\n[sink]\nplugin = \"a@1\"\n\n[delivery]\norder = \"key\"\n";
    let told = mistakes(unclosed);
    assert_eq!(told.len(), 1, "what follows from the first mistake is not told: {told:?}");
    assert!(told[0].starts_with("3:1: LG-1002 not valid TOML: "), "{told:?}");
    assert!(mistakes("").contains(&"1:1: LG-1004 `sink` is missing".to_owned()));
}

#[test]
fn refuses_sources_that_would_be_accepted_and_ignored() {
    let channel = MINIMAL.replace("channel = \"in\"\n", "channel = \"in\"\nid = [\"body\"]\ntrack = { a = \"json:/a\" }\n");
    assert_eq!(
        mistakes(&channel),
        [
            "6:1: LG-1003 `id` is for webhooks; a message of a channel already has it",
            "7:1: LG-1003 `track` is for webhooks; a message of a channel already has it"
        ]
    );
    let twice = MINIMAL.replace("[sink]", "[[source]]\nchannel = { name = \"in\" }\n[sink]");
    assert_eq!(mistakes(&twice), ["6:1: LG-1005 `source 2` is there twice: a message would be delivered twice"]);
    let again = MINIMAL.replace("[sink]", "[[source]]\nchannel = { name = \"in\", from = \"earliest\" }\n[sink]");
    assert_eq!(mistakes(&again), ["6:1: LG-1005 `source 2` is there twice: a message would be delivered twice"]);
    let bound = with("bind = { a = \"b\" }\n");
    assert_eq!(mistakes(&bound), ["8:1: LG-1003 `sink.bind` is for plugins; this sink is a channel"]);
}

#[test]
fn refuses_order_by_key_where_a_webhook_has_none() {
    let text = MINIMAL.replace("channel = \"in\"", "webhook = { path = \"/a\", verify = \"none\" }");
    for order in ["key", "strict"] {
        assert_eq!(
            mistakes(&format!("{text}[delivery]\norder = \"{order}\"\n")),
            [format!("9:9: LG-1005 `delivery.order` = \"{order}\", and a webhook source has no `key` to order by")]
        );
    }
    assert!(parse(&text).is_ok());
}

#[test]
fn refuses_paths_and_rules_that_lead_elsewhere() {
    for bad in ["", "/", "a", "/a/", "//a", "/a//b", "/../a", "/a/./b", "/a?b", "/a b", "/{x}", "/a%2f", "/é"] {
        assert!(webhook_path(bad).is_err(), "{bad}");
    }
    for bad in ["/v2", "post /a", "POST a", "POST /a/../b", "POST /a?b", "POST /a*", "POST /a//b", "POST /%2e%2e", "FETCH /a", "POST  /a"] {
        let text =
            with("").replace("channel = \"out\"", &format!("plugin = \"p\"\nbind = {{ t = {{ alias = \"a\", allow = [\"{bad}\"] }} }}"));
        assert!(parse(&text).is_err(), "{bad}");
    }
}

#[test]
fn refuses_batches_that_contradict_the_rest_or_are_none() {
    let with_batch = |batch: &str, delivery: &str| {
        let sink = format!("plugin = \"p\"\nbatch = {batch}");
        mistakes(&format!("{}[delivery]\n{delivery}\n", with("").replace("channel = \"out\"", &sink)))
    };
    assert_eq!(
        with_batch("{}", "order = \"strict\""),
        ["8:9: LG-1005 `sink.batch` and `delivery.order` = \"strict\": strict order with batches across keys"]
    );
    assert_eq!(
        with_batch("{ max = 1000 }", "concurrency = 11"),
        ["8:9: LG-1005 `sink.batch.max` = 1000 and `delivery.concurrency` = 11: 11000 messages would be held at once; 10000 are the most"]
    );
    assert_eq!(with_batch("{ max = 1 }", ""), ["8:17: LG-1005 `sink.batch.max` = 1 is no batch"]);
    for bad in ["{ max = 0 }", "{ max = 1001 }", "{ within = \"6m\" }", "{ size = 10 }", "100", "{ max = \"100\" }"] {
        assert_eq!(with_batch(bad, "").len(), 1, "{bad}");
    }
    assert_eq!(mistakes(&with("batch = {}\n")), ["8:1: LG-1003 `sink.batch` is for plugins; this sink is a channel"]);
}

#[test]
fn a_batch_is_as_the_sink_says_and_safe_where_it_says_nothing() {
    let read = |batch: &str| {
        let sink = format!("plugin = \"p\"\n{batch}");
        parse(&with("").replace("channel = \"out\"", &sink)).unwrap().delivery.batch
    };
    assert_eq!(read(""), None);
    assert_eq!(read("batch = {}"), Some(Batching { max: 100, within: Duration::from_secs(1) }));
    assert_eq!(read("batch = { max = 1000, within = \"0s\" }"), Some(Batching { max: 1000, within: Duration::ZERO }));
}

#[test]
fn refuses_a_file_whose_name_is_not_a_name() {
    let problems = IntegrationFile::parse("My Flow", "My Flow.toml", MINIMAL).unwrap_err();
    assert!(problems.to_string().starts_with("My Flow.toml:1:1: LG-1005 `My Flow.toml` does not name an integration"), "{problems}");
}

#[test]
fn reads_the_example_of_the_reference() {
    let integration = parse(EXAMPLE).unwrap();
    assert_eq!(
        (integration.owner.team.as_deref(), integration.owner.contact.as_str()),
        (Some("Order operations"), "order-ops@acme.example")
    );
    let [source] = integration.sources.as_slice() else { panic!("{:?}", integration.sources) };
    let Entry::Webhook { path, verify, when } = &source.entry else { panic!("{source:?}") };
    assert_eq!((path.as_str(), verify.as_deref()), ("/shop/orders", Some("shop")));
    assert_eq!(when[&Selector::Header("x-shopify-topic".into())], ["orders/create", "orders/updated"]);
    assert_eq!(source.id, [Selector::Header("x-shopify-webhook-id".into())]);
    assert_eq!(
        (source.key.clone(), source.track["order"].clone()),
        (Some(Selector::Json("/customer/id".into())), Selector::Json("/name".into()))
    );

    let [first, second] = integration.steps.as_slice() else { panic!("{:?}", integration.steps) };
    assert_eq!((first.plugin.as_str(), first.version.to_string().as_str()), ("shop-order", "^1.2"));
    assert_eq!(second.version, semver::VersionReq::STAR);
    // The digits are those of the file.
    assert_eq!(
        serde_json::to_string(&second.config).unwrap(),
        r#"{"at":"2024-01-02","n":[1,2.50,true],"stage":"{values.new-order-stage}"}"#
    );
    assert_eq!(second.grants, [Grant::KeyValue].into());
    let allow = |method: &str, path: &str| Allow { method: method.into(), path: path.into() };
    assert_eq!(second.bindings["tax"].allow, [allow("POST", "/v2/quote"), allow("GET", "/v2/*")]);

    let Sink::Plugin(sink) = &integration.sink else { panic!("{:?}", integration.sink) };
    assert_eq!((sink.plugin.as_str(), sink.bindings["target"].alias.as_str()), ("salesforce", "crm"));
    let second = Duration::from_secs;
    let backoff = Backoff { base: second(2), cap: second(60), jitter: Jitter::None };
    let delivery =
        DeliveryPolicy { order: Order::Key, concurrency: 4, give_up_after: second(7200), attempts: Some(10), backoff, batch: None };
    assert_eq!(integration.delivery, delivery);
}

#[test]
fn reads_the_same_from_the_text_a_release_keeps() {
    let file = IntegrationFile::parse("x", "integrations/x.toml", EXAMPLE).unwrap();
    assert_eq!(IntegrationFile::from_release("x", &file.text).unwrap(), file.integration);
}

#[test]
fn is_safe_where_nothing_is_said() {
    let integration = parse(MINIMAL).unwrap();
    assert_eq!(integration.delivery, DeliveryPolicy::default());
    assert_eq!((integration.sink, integration.steps.len()), (Sink::Channel("out".into()), 0));
}

/// `MINIMAL` with this source.
fn with_source(source: &str) -> String {
    MINIMAL.replace("channel = \"in\"", source)
}

#[test]
fn refuses_polls_and_schedules_that_mean_nothing() {
    let poll = "poll = { plugin = \"shop@1\"";
    for (source, mistake) in [
        (format!("{poll} }}"), "`source 1.poll` must have either `every` or `schedule`"),
        (format!("{poll}, every = \"0s\" }}"), "`source 1.poll.every` = \"0s\": must be from 1s to 365d"),
        (format!("{poll}, every = \"1m\", slots = 1 }}"), "unknown key `source 1.poll.slots`"),
        (
            format!("{poll}, every = \"1m\" }}\nwhen = {{ \"header:a\" = [\"b\"] }}"),
            "`when` is for webhooks; the plugin says what it fetches",
        ),
        (format!("{poll}, every = \"1m\" }}\nchannel = \"in\""), "must have one of `webhook`, `poll`, `schedule` and `channel`"),
        ("schedule = { cron = \"0 0 30 2 *\", zone = \"UTC\" }".to_owned(), "it never fires: there is no such day"),
        ("schedule = { cron = \"0 2 * * *\", zone = \"Mars/Olympus\" }".to_owned(), "there is no such time zone"),
        ("schedule = { cron = \"0 2 * * *\" }".to_owned(), "`source 1.schedule.zone` is missing"),
        ("schedule = { cron = \"0 2 * * *\", zone = \"UTC\" }\nid = [\"body\"]".to_owned(), "`id` is for webhooks; a time comes once"),
    ] {
        let found = mistakes(&with_source(&source));
        assert!(found.len() == 1 && found[0].contains(mistake), "{source}: {found:?}");
    }
}

#[test]
fn two_polls_of_one_plugin_need_names_of_their_own() {
    let poll = |rest: &str| format!("poll = {{ plugin = \"shop@1\", every = \"1m\"{rest} }}");
    let both = |second: &str| with_source(&format!("{}\n[[source]]\n{}", poll(""), poll(second)));
    let found = mistakes(&both(", config = { of = \"refunds\" }"));
    assert!(found.len() == 1 && found[0].contains("`source 2` polls under the name `shop`, as another source does"), "{found:?}");
    let integration = parse(&both(", name = \"refunds\"")).unwrap();
    assert_eq!(integration.uses().map(|(place, _)| place).collect::<Vec<_>>(), ["source 1", "source 2"]);
}

#[test]
fn an_order_by_key_asks_schedules_for_a_key_and_lets_items_bring_theirs() {
    let ordered = |source: &str| format!("{}[delivery]\norder = \"key\"\n", with_source(source));
    let schedule = "schedule = { cron = \"0 2 * * *\", zone = \"UTC\" }";
    assert!(mistakes(&ordered(schedule))[0].contains("and a schedule source has no `key` to order by"));
    assert!(parse(&ordered(&format!("{schedule}\nkey = \"json:/schedule\""))).is_ok());
    assert!(parse(&ordered("poll = { plugin = \"shop@1\", every = \"1m\" }")).is_ok());
}
