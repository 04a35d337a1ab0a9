//! `integrations/<name>.toml`: one integration as its owner writes it.
//!
//! Reads the head and the delivery policy; sources are in `source`, steps and the sink in `step`, its batches in `batch`. Depends on `integration`'s
//! types and `config::reader`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::batch;
use super::host::bounded_duration;
use super::limits;
use super::name;
use super::reader::{Keys, Node, Page, Places, Table};
use super::{source, step};
use crate::integration::{Backoff, DeliveryPolicy, Entry, Integration, Jitter, Order, Owner, Source};
use crate::plugin::endpoints::begins_with_host;
use crate::problem::{Code, Problems};

/// An integration with the text it was read from and where in it things stand.
#[derive(Clone, Debug)]
pub struct IntegrationFile {
    pub integration: Integration,
    /// What a release keeps.
    pub text: String,
    pub places: Places,
}

const CONCURRENCY_MAX: u64 = 1024;
const DESCRIPTION_CHARS_MAX: usize = 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const ROOT: Keys = Keys { known: &["integration", "source", "step", "sink", "delivery", "limits"], not_built: &["promise"] };
const HEAD: Keys = Keys::all(&["description", "owner"]);
const OWNER: Keys = Keys { known: &["team", "contact"], not_built: &["alerts"] };
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
    let sources = source::sources(root);
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
        limits: root.optional("limits").map(|node| limits::said(&node)).unwrap_or_default(),
        ordering: 0,
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
    let refuse = |what: &str| {
        node.note(
            Code::HardCodedEndpoint,
            format!("`{}` {what}: an integration is the same in every environment", node.name()),
            "put the endpoint into an alias of environments/<env>.toml and bind a slot to it, or the text under [values] there and write \"{values.<name>}\" here",
        );
    };
    match node.value() {
        DeValue::String(text) if holds_url(text) => refuse("holds a URL"),
        DeValue::String(text) if begins_with_host(text) => refuse("names a host"),
        DeValue::Array(_) => node.list(usize::MAX, "[]").unwrap_or_default().iter().for_each(refuse_urls),
        DeValue::Table(_) => node.map("{}").iter().for_each(|table| table.entries().for_each(|(_, node)| refuse_urls(&node))),
        _ => {}
    }
}

/// A scheme (RFC 3986 §3.1) followed by `://`.
fn holds_url(text: &str) -> bool {
    text.match_indices("://").any(|(at, _)| text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
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
    // A channel's messages and a poll's items may bring a key of their own.
    let keyless = |source: &Source| match source.entry {
        Entry::Webhook { .. } if source.key.is_none() => Some("webhook"),
        Entry::Schedule(_) if source.key.is_none() => Some("schedule"),
        _ => None,
    };
    if let (Order::Key | Order::Strict, Some(kind)) = (order, sources.iter().find_map(keyless)) {
        let message = format!("`{}` = \"{}\", and a {kind} source has no `key` to order by", node.name(), order.as_str());
        node.note(Code::WrongValue, message, "give that source a `key`, for example `key = \"json:/customer/id\"`; or `order = \"none\"`");
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
