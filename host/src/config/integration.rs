//! `integrations/<name>.toml`: one integration as its owner writes it.
//!
//! Reads the head, the sources and the delivery policy; steps and the sink are in `step`, the sink's batches in `batch`. Depends on `integration`'s
//! types and `config::reader`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::batch;
use super::host::bounded_duration;
use super::name;
use super::reader::{Keys, Node, Page, Places, Table};
use super::step;
use crate::integration::select::Selector;
use crate::integration::{Backoff, DeliveryPolicy, Entry, Integration, Jitter, Order, Owner, Source};
use crate::problem::{Code, Problems};

/// An integration with the text it was read from and where in it things stand.
#[derive(Clone, Debug)]
pub struct IntegrationFile {
    pub integration: Integration,
    /// What a release keeps.
    pub text: String,
    pub places: Places,
}

const SOURCES_MAX: usize = 16;
const SELECTORS_MAX: usize = 8;
const WHEN_MAX: usize = 16;
const TRACK_MAX: usize = 16;
const PATH_CHARS_MAX: usize = 256;
const CONCURRENCY_MAX: u64 = 1024;
const DESCRIPTION_CHARS_MAX: usize = 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const ROOT: Keys = Keys { known: &["integration", "source", "step", "sink", "delivery"], not_built: &["promise"] };
const HEAD: Keys = Keys::all(&["description", "owner"]);
const OWNER: Keys = Keys { known: &["team", "contact"], not_built: &["alerts"] };
const SOURCE: Keys =
    Keys { known: &["webhook", "channel", "id", "key", "when", "track"], not_built: &["poll", "schedule", "contract", "from"] };
const WEBHOOK: Keys = Keys::all(&["path", "verify"]);
const CHANNEL: Keys = Keys { known: &["name"], not_built: &["from"] };
const DELIVERY: Keys = Keys::all(&["order", "concurrency", "give-up-after", "attempts", "backoff"]);
const BACKOFF: Keys = Keys::all(&["base", "cap", "jitter"]);

impl IntegrationFile {
    /// Reads the text of `file`, which is the integration `name`.
    pub fn parse(name: &str, file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let file = file.into();
        let (integration, places) = Page::new(&file, text).read(ROOT, |root| read(name, root))?;
        Ok(Self { integration, text: text.to_owned(), places })
    }

    /// Reads an integration back from the text a release keeps.
    pub fn from_release(name: &str, text: &str) -> Result<Integration, Problems> {
        Self::parse(name, Path::new("integrations").join(format!("{name}.toml")), text).map(|file| file.integration)
    }
}

fn read(name: &str, root: &Table<'_>) -> Option<Integration> {
    if !name::is_name(name) {
        root.wrong(Code::WrongValue, format!("`{name}.toml` does not name an integration: {}", name::NAME_RULE), "rename the file");
    }
    for (_, node) in root.entries() {
        refuse_urls(&node);
    }
    let head = root.required("integration", HEAD_EXAMPLE).and_then(|node| node.table(HEAD, HEAD_EXAMPLE));
    let description = head.as_ref().and_then(|head| {
        head.required("description", "description = \"What it is for\"")?.text(DESCRIPTION_CHARS_MAX, "\"What it is for\"")
    });
    let owner = head.as_ref().and_then(|head| head.required("owner", OWNER_EXAMPLE).and_then(|node| owner(&node, true)));
    let sources = sources(root);
    let steps = step::steps(root);
    let sink = root.required("sink", "[sink]").and_then(|node| step::sink(&node));
    let mut delivery = delivery(root, &sources);
    batch::batching(root, &mut delivery);
    Some(Integration {
        name: name.to_owned(),
        description: description?.to_owned(),
        owner: owner?,
        sources,
        steps: steps?,
        sink: sink?,
        delivery,
    })
}

const HEAD_EXAMPLE: &str = "[integration]";
const OWNER_EXAMPLE: &str = "owner = { team = \"Order operations\", contact = \"order-ops@acme.example\" }";

/// An `owner`; an integration's names a team.
pub(super) fn owner(node: &Node<'_>, team_needed: bool) -> Option<Owner> {
    let table = node.table(OWNER, "{ team = \"Order operations\", contact = \"order-ops@acme.example\" }")?;
    let team = if team_needed { table.required("team", "team = \"Order operations\"") } else { table.optional("team") };
    let contact = table.required("contact", "contact = \"order-ops@acme.example\"");
    let team = team.and_then(|node| node.text(128, "\"Order operations\""));
    Some(Owner { team: team.map(str::to_owned), contact: contact?.text(256, "\"order-ops@acme.example\"")?.to_owned() })
}

/// Endpoints belong to aliases: a URL anywhere in an integration is refused, so that an environment can change it.
fn refuse_urls(node: &Node<'_>) {
    match node.value() {
        DeValue::String(text) if holds_url(text) => node.note(
            Code::HardCodedEndpoint,
            format!("`{}` holds a URL: an integration is the same in every environment", node.name()),
            "put the endpoint into an alias of environments/<env>.toml and bind a slot to it, or the text under [values] there and write \"{values.<name>}\" here",
        ),
        DeValue::Array(_) => node.list(usize::MAX, "[]").unwrap_or_default().iter().for_each(refuse_urls),
        DeValue::Table(_) => node.map("{}").iter().for_each(|table| table.entries().for_each(|(_, node)| refuse_urls(&node))),
        _ => {}
    }
}

/// A scheme (RFC 3986 §3.1) followed by `://`.
fn holds_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
}

fn sources(root: &Table<'_>) -> Vec<Source> {
    let Some(node) = root.required("source", "[[source]]") else { return Vec::new() };
    let Some(nodes) = node.list(SOURCES_MAX, "[[source]]") else { return Vec::new() };
    if nodes.is_empty() {
        node.invalid("is empty: without a source no message enters", "[{ channel = \"orders.canonical\" }]");
    }
    let mut sources: Vec<Source> = Vec::new();
    for node in &nodes {
        let Some(source) = source(node) else { continue };
        if sources.iter().any(|other| other.entry == source.entry) {
            node.note(
                Code::WrongValue,
                format!("`{}` is there twice: a message would be delivered twice", node.name()),
                "remove one of them",
            );
        }
        sources.push(source);
    }
    sources
}

fn source(node: &Node<'_>) -> Option<Source> {
    let table = node.table(SOURCE, "{ channel = \"orders.canonical\" }")?;
    let entry = match (table.optional("webhook"), table.optional("channel")) {
        (Some(webhook), None) => webhook_entry(&webhook, table.optional("when")),
        (None, Some(channel)) => channel_entry(&channel, &table),
        _ => {
            table.wrong(
                Code::WrongValue,
                format!("`{}` must have either `webhook` or `channel`", node.name()),
                "for example `webhook = { path = \"/shop/orders\", verify = \"shop\" }`",
            );
            None
        }
    };
    let id = table.optional("id").and_then(|node| selectors(&node)).unwrap_or_default();
    let key = table.optional("key").and_then(|node| selector(&node));
    let track = table.optional("track").and_then(|node| track(&node)).unwrap_or_default();
    Some(Source { entry: entry?, id, key, track })
}

fn webhook_entry(node: &Node<'_>, when: Option<Node<'_>>) -> Option<Entry> {
    let table = node.table(WEBHOOK, "{ path = \"/shop/orders\", verify = \"shop\" }")?;
    let path = table.required("path", "path = \"/shop/orders\"").and_then(|node| node.parsed("\"/shop/orders\"", webhook_path));
    let verify = table.required("verify", "verify = \"shop\"").and_then(|node| node.parsed("\"shop\"", name::name));
    let when = when.and_then(|node| self::when(&node)).unwrap_or_default();
    Some(Entry::Webhook { path: path?, verify: verify.filter(|verify| verify != "none"), when })
}

fn webhook_path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain) && segment != "." && segment != "..";
    match text.strip_prefix('/') {
        Some(rest) if text.len() <= PATH_CHARS_MAX && rest.split('/').all(segment) => Ok(text.to_owned()),
        _ => Err("a path starts with `/` and has letters, digits, `-`, `.`, `_` and `~` between slashes, at most 256".to_owned()),
    }
}

fn channel_entry(node: &Node<'_>, table: &Table<'_>) -> Option<Entry> {
    for key in ["id", "when", "track"] {
        if table.optional(key).is_some() {
            let message = format!("`{key}` is for webhooks; a message of a channel already has it");
            table.wrong_key(key, Code::UnknownKey, message, format!("remove `{key}`"));
        }
    }
    let example = "\"orders.canonical\"";
    let name = match node.value() {
        DeValue::Table(_) => node.table(CHANNEL, example)?.required("name", "name = \"orders.canonical\"")?.parsed(example, name::channel),
        _ => node.parsed(example, name::channel),
    };
    Some(Entry::Channel { name: name? })
}

fn selector(node: &Node<'_>) -> Option<Selector> {
    node.parsed("\"json:/customer/id\"", str::parse)
}

fn selectors(node: &Node<'_>) -> Option<Vec<Selector>> {
    node.list(SELECTORS_MAX, "[\"header:X-Shopify-Webhook-Id\"]")?.iter().map(selector).collect()
}

fn when(node: &Node<'_>) -> Option<BTreeMap<Selector, Vec<String>>> {
    let example = "{ \"header:X-Shopify-Topic\" = [\"orders/create\"] }";
    let mut when = BTreeMap::new();
    let table = node.map(example)?;
    for (key, values) in table.entries().take(WHEN_MAX) {
        let Ok(header @ Selector::Header(_)) = key.parse() else {
            table.wrong_key(
                key,
                Code::WrongValue,
                format!("`{key}` in `{}` is not a header", node.name()),
                format!("for example `{example}`"),
            );
            continue;
        };
        let wanted: Option<Vec<String>> = match values.value() {
            DeValue::String(_) => values.text(256, "\"orders/create\"").map(|text| vec![text.to_owned()]),
            _ => values.list(64, "[\"orders/create\"]").and_then(|nodes| {
                if nodes.is_empty() {
                    values.invalid("is empty: nothing would ever match", "[\"orders/create\"]");
                }
                nodes.iter().map(|node| node.text(256, "\"orders/create\"").map(str::to_owned)).collect()
            }),
        };
        when.insert(header, wanted.unwrap_or_default());
    }
    if table.entries().count() > WHEN_MAX {
        node.invalid(&format!("has more than {WHEN_MAX} headers"), example);
    }
    Some(when)
}

fn track(node: &Node<'_>) -> Option<BTreeMap<String, Selector>> {
    let table = node.map("{ order = \"json:/name\" }")?;
    if table.entries().count() > TRACK_MAX {
        node.invalid(&format!("has more than {TRACK_MAX} names"), "{ order = \"json:/name\" }");
    }
    let mut track = BTreeMap::new();
    for (key, value) in table.entries() {
        if !name::is_name(key) {
            table.wrong_key(key, Code::WrongValue, format!("`{key}` in `{}`: {}", node.name(), name::NAME_RULE), "rename it");
        }
        track.extend(selector(&value).map(|selector| (key.to_owned(), selector)));
    }
    Some(track)
}

fn delivery(root: &Table<'_>, sources: &[Source]) -> DeliveryPolicy {
    let mut policy = DeliveryPolicy::default();
    let Some(table) = root.optional("delivery").and_then(|node| node.table(DELIVERY, "{ concurrency = 8 }")) else { return policy };
    if let Some(node) = table.optional("order") {
        policy.order = order(&node, sources).unwrap_or(policy.order);
    }
    if let Some(found) = table.optional("concurrency").and_then(|node| node.integer(1..CONCURRENCY_MAX + 1, "8")) {
        policy.concurrency = usize::try_from(found).unwrap_or(policy.concurrency);
    }
    let give_up = table.optional("give-up-after").and_then(|node| bounded_duration(&node, "\"24h\"", Duration::ZERO, 365 * DAY));
    policy.give_up_after = give_up.unwrap_or(policy.give_up_after);
    let attempts = table.optional("attempts").and_then(|node| node.integer(1..1_000_001, "10"));
    policy.attempts = attempts.and_then(|attempts| u32::try_from(attempts).ok());
    if let Some(node) = table.optional("backoff") {
        policy.backoff = backoff(&node).unwrap_or(policy.backoff);
    }
    policy
}

fn order(node: &Node<'_>, sources: &[Source]) -> Option<Order> {
    let order = node.word(&[("key", Order::Key), ("strict", Order::Strict), ("none", Order::None)])?;
    let keyless = |source: &Source| source.key.is_none() && matches!(source.entry, Entry::Webhook { .. });
    if order != Order::None && sources.iter().any(keyless) {
        node.invalid(&format!("= \"{}\", and a webhook source has no `key` to order by", order.as_str()), "\"none\"");
    }
    Some(order)
}

fn backoff(node: &Node<'_>) -> Option<Backoff> {
    let mut backoff = Backoff::default();
    let table = node.table(BACKOFF, "{ base = \"1s\", cap = \"5m\", jitter = \"full\" }")?;
    let least = Duration::from_millis(10);
    let base = table.optional("base").and_then(|node| bounded_duration(&node, "\"1s\"", least, DAY));
    let cap = table.optional("cap").and_then(|node| bounded_duration(&node, "\"5m\"", least, DAY));
    backoff.base = base.unwrap_or(backoff.base);
    backoff.cap = cap.unwrap_or_else(|| backoff.cap.max(backoff.base));
    if let Some(node) = table.optional("jitter") {
        backoff.jitter = node.word(&[("full", Jitter::Full), ("none", Jitter::None)])?;
    }
    if backoff.cap < backoff.base {
        node.invalid("has a `cap` below its `base`", "{ base = \"1s\", cap = \"5m\" }");
    }
    Some(backoff)
}

#[cfg(test)]
#[path = "integration_tests.rs"]
mod tests;
