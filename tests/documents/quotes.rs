//! What the documents quote is parsed by what reads it: files as users write them, names of metrics.

use std::collections::BTreeSet;

use lockgate::config::{EnvironmentFile, HostConfig, IntegrationFile};
use lockgate::demo::crm::Scripted;
use lockgate::plugin::manifest::Manifest;
use lockgate::scenario::file::ScenarioFile;

use super::pages::{self, MarkdownPage};
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::shopify_signature;
use crate::support::odd::odd_workspace;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::SHOP_SECRET;

/// What a step stands in.
const AROUND_A_STEP: &str = "[integration]\ndescription = \"quoted\"\nowner = { team = \"a\", contact = \"b\" }
[sink]\nchannel = \"out\"
[[source]]\nchannel = \"in\"\n[[step]]\nplugin = \"quoted\"\n";

/// Parses a TOML block as what its fence says it is.
fn parse(kind: &str, text: &str) -> Result<(), String> {
    let told = |problems: lockgate::problem::Problems| problems.to_string();
    match kind {
        "host" => HostConfig::parse("lockgate.toml".as_ref(), text).map(drop).map_err(told),
        "integration" => IntegrationFile::parse("quoted", "integrations/quoted.toml", text).map(drop).map_err(told),
        "step" => parse("integration", &format!("{AROUND_A_STEP}{text}")),
        "environment" => EnvironmentFile::parse("quoted", "environments/quoted.toml", text).map(drop).map_err(told),
        "scenario" => {
            let example = crate::support::build::root().join("examples/shop-to-crm");
            ScenarioFile::parse("tests/quoted.toml", text, &example, false).map(drop).map_err(told)
        }
        "plugin" => Manifest::parse("plugin.toml", text).map(drop).map_err(told),
        "cargo" => toml::from_str::<toml::Table>(text).map(drop).map_err(|error| error.to_string()),
        _ => Err("say behind ```toml what it is: host, integration, step, environment, scenario, plugin or cargo".to_owned()),
    }
}

#[test]
fn every_toml_block_in_the_documents_is_what_it_says() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for page in pages::all() {
        for block in page.blocks() {
            let Some(kind) = block.info.strip_prefix("toml") else { continue };
            seen.insert(kind.trim().to_owned());
            if let Err(why) = parse(kind.trim(), &block.text) {
                wrong.push(format!("{}:{}: {why}", page.path.display(), block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["cargo", "environment", "host", "integration", "plugin", "scenario", "step"]);
}

#[test]
fn every_json_block_in_the_documents_is_json() {
    for page in pages::all() {
        for block in page.blocks().into_iter().filter(|block| block.info == "json") {
            let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
            assert!(parsed.is_ok(), "{}:{}: {parsed:?}", page.path.display(), block.line);
        }
    }
}

#[test]
fn the_second_reader_in_the_examples_page_is_the_examples_file() {
    let page = MarkdownPage::read("examples/shop-to-crm/README.md");
    let shown = page.blocks().into_iter().find(|block| block.info == "toml integration").unwrap().text;
    let file = MarkdownPage::read("examples/shop-to-crm/integrations/orders-to-audit.toml").text;
    assert!(file.contains(&shown), "the file has:\n{file}");
}

/// `lockgate_…` names of a metrics page and their labels: `lockgate_alias_state` and `alias`.
fn exposed(metrics: &str) -> BTreeSet<String> {
    let families = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).filter_map(|line| line.split_once(' '));
    families
        .map(|(name, kind)| if kind == "counter" && !name.ends_with("_total") { format!("{name}_total") } else { name.to_owned() })
        .collect()
}

/// The metrics that docs/http.md names; `…_x` stands for `lockgate_messages_x`.
fn documented() -> BTreeSet<String> {
    let spans = MarkdownPage::read("docs/http.md").spans();
    let names = spans.iter().filter_map(|span| span.split('{').next()).map(|name| name.replace('…', "lockgate_messages"));
    names.filter(|name| name.starts_with("lockgate_")).collect()
}

/// The labels that docs/http.md gives metrics in braces.
fn documented_labels() -> Vec<(String, String)> {
    let spans = MarkdownPage::read("docs/http.md").spans();
    let labelled = spans.iter().filter_map(|span| span.strip_suffix('}')?.split_once('{'));
    let labelled = labelled.map(|(name, labels)| (name.replace('…', "lockgate_messages"), labels.to_owned()));
    let labelled = labelled.filter(|(name, _)| name.starts_with("lockgate_"));
    labelled.flat_map(|(name, labels)| labels.split(',').map(|label| (name.clone(), label.to_owned())).collect::<Vec<_>>()).collect()
}

fn has_label(metrics: &str, name: &str, label: &str) -> bool {
    metrics.lines().any(|line| line.starts_with(name) && (line.contains(&format!("{{{label}=")) || line.contains(&format!(",{label}="))))
}

#[test]
fn the_metrics_in_the_documents_are_those_of_a_running_host() {
    let outside = Outside::start();
    let workspace = odd_workspace(&outside);
    let swept = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\n\
                 poll = { plugin = \"odd@1\", every = \"1s\", grant = [\"key-value\", \"queue\"], bind = { target = \"audit\" } }\n[sink]\nchannel = \"odd.out\"\n";
    workspace.write("integrations/swept.toml", swept);
    let host = Host::start(&workspace);
    // A family shows once something was counted: a delivery that fails and is retried, a refused request, an ignored one.
    outside.crm.answer_next(Scripted::status(500));
    accepted(&post_order(&host, "evt-1", &order(1, 7, "10.00")));
    eventually("the order is in the CRM", || outside.crm.received().requests.first().map(|_| ()));
    let body = order(2, 7, "10.00").to_string();
    let signature = shopify_signature(SHOP_SECRET, body.as_bytes());
    assert_eq!(host.post("/shop/orders", &[("x-shopify-hmac-sha256", "forged")], body.clone()).status, 401);
    let headers =
        [("x-shopify-topic", "orders/delete"), ("x-shopify-hmac-sha256", signature.as_str()), ("content-type", "application/json")];
    assert_eq!(host.post("/shop/orders", &headers, body).status, 200);
    let metrics = eventually("the poll is counted", || {
        let metrics = String::from_utf8(host.api_raw("GET", "/metrics", "").body.to_vec()).unwrap();
        metrics.contains("lockgate_polls_total{").then_some(metrics)
    });
    assert_eq!(documented(), exposed(&metrics), "docs/http.md on the left, /metrics on the right");
    let missing: Vec<_> = documented_labels().into_iter().filter(|(name, label)| !has_label(&metrics, name, label)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_endpoints_of_the_api_are_in_the_document_about_http() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let paths = host.api("/api/v1/openapi.json")["paths"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let page = MarkdownPage::read("docs/http.md");
    let missing: Vec<&String> = paths.iter().filter(|path| !page.text.contains(path.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
