//! `[[source]]` of an integration: where messages enter, and what identifies, orders and finds them.
//!
//! Depends on `integration`'s types and `config::reader`; the plugin of a poll is read by `step`.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::de::DeValue;

use super::host::bounded_duration;
use super::name;
use super::reader::{Keys, Node, Table};
use super::step;
use crate::integration::select::Selector;
use crate::integration::{Beginning, Entry, NotASchedule, Occasion, Poll, Schedule, Source};
use crate::problem::Code;

/// The keys that say what kind of source it is.
const ENTRIES: [&str; 4] = ["webhook", "poll", "schedule", "channel"];
const SOURCES_MAX: usize = 16;
const SELECTORS_MAX: usize = 8;
const WHEN_MAX: usize = 16;
const TRACK_MAX: usize = 16;
const PATH_CHARS_MAX: usize = 256;
/// The least time between two polls of a source.
const EVERY_MIN: Duration = Duration::from_secs(1);
const EVERY_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const SOURCE: Keys = Keys { known: &["webhook", "poll", "schedule", "channel", "id", "key", "when", "track"], not_built: &["contract"] };
const WEBHOOK: Keys = Keys::all(&["path", "verify"]);
const CHANNEL: Keys = Keys::all(&["name", "from"]);
const POLL: Keys = Keys::all(&["plugin", "config", "grant", "bind", "every", "schedule", "name"]);
const SCHEDULE: Keys = Keys::all(&["cron", "zone"]);
const CHANNEL_EXAMPLE: &str = "{ name = \"orders.canonical\", from = \"earliest\" }";
const SCHEDULE_EXAMPLE: &str = "{ cron = \"0 2 * * *\", zone = \"Europe/Berlin\" }";
const POLL_EXAMPLE: &str = "{ plugin = \"shop-orders@1\", every = \"1m\", bind = { target = \"shop\" } }";

/// Every `[[source]]`.
pub fn sources(root: &Table<'_>) -> Vec<Source> {
    let Some(node) = root.required("source", "[[source]]") else { return Vec::new() };
    let Some(nodes) = node.list(SOURCES_MAX, "[[source]]") else { return Vec::new() };
    if nodes.is_empty() {
        node.invalid("is empty: without a source no message enters", "[{ channel = \"orders.canonical\" }]");
    }
    let mut sources: Vec<Source> = Vec::new();
    for node in &nodes {
        let Some(source) = source(node) else { continue };
        if sources.iter().any(|other| is_same(&other.entry, &source.entry)) {
            node.note(
                Code::WrongValue,
                format!("`{}` is there twice: a message would be delivered twice", node.name()),
                "remove one of them",
            );
        } else if let Entry::Poll(Poll { name, .. }) = &source.entry
            && sources.iter().any(|other| matches!(&other.entry, Entry::Poll(poll) if poll.name == *name))
        {
            node.note(
                Code::WrongValue,
                format!("`{}` polls under the name `{name}`, as another source does: they would share a cursor", node.name()),
                format!("give it a name of its own: `name = \"{name}-2\"` in `poll`"),
            );
        }
        sources.push(source);
    }
    sources
}

/// Whether whatever enters through one would enter through the other.
fn is_same(one: &Entry, other: &Entry) -> bool {
    match (one, other) {
        (Entry::Channel { name: one, .. }, Entry::Channel { name: other, .. }) => one == other,
        _ => one == other,
    }
}

fn source(node: &Node<'_>) -> Option<Source> {
    let table = node.table(SOURCE, "{ channel = \"orders.canonical\" }")?;
    let entry = match ENTRIES.map(|key| table.optional(key)) {
        [Some(webhook), None, None, None] => webhook_entry(&webhook, table.optional("when")),
        [None, Some(poll), None, None] => poll_entry(&poll, &table),
        [None, None, Some(schedule), None] => {
            refuse(&table, &["id", "when"], "is for webhooks; a time comes once");
            self::schedule(&schedule).map(Entry::Schedule)
        }
        [None, None, None, Some(channel)] => channel_entry(&channel, &table),
        _ => {
            table.wrong(
                Code::WrongValue,
                format!("`{}` must have one of `webhook`, `poll`, `schedule` and `channel`", node.name()),
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

fn poll_entry(node: &Node<'_>, table: &Table<'_>) -> Option<Entry> {
    refuse(table, &["when"], "is for webhooks; the plugin says what it fetches");
    let poll = node.table(POLL, POLL_EXAMPLE)?;
    let when = match (poll.optional("every"), poll.optional("schedule")) {
        (Some(every), None) => bounded_duration(&every, "\"1m\"", EVERY_MIN, EVERY_MAX).map(Occasion::Every),
        (None, Some(schedule)) => self::schedule(&schedule).map(Box::new).map(Occasion::At),
        _ => {
            let message = format!("`{}` must have either `every` or `schedule`", node.name());
            poll.wrong(Code::MissingKey, message, format!("add `every = \"1m\"` or `schedule = {SCHEDULE_EXAMPLE}`"));
            None
        }
    };
    let named = poll.optional("name").map(|node| node.parsed("\"orders\"", name::name));
    let step = step::plugin_use(&poll)?;
    let name = named.unwrap_or_else(|| Some(step.plugin.clone()))?;
    Some(Entry::Poll(Poll { name, step, when: when? }))
}

fn schedule(node: &Node<'_>) -> Option<Schedule> {
    let table = node.table(SCHEDULE, SCHEDULE_EXAMPLE)?;
    let cron = table.required("cron", "cron = \"0 2 * * *\"");
    let zone = table.required("zone", "zone = \"Europe/Berlin\"");
    let (cron, zone) = (cron?, zone?);
    let (line, zone_name) = (cron.text(128, "\"0 2 * * *\"")?, zone.text(64, "\"Europe/Berlin\"")?);
    match Schedule::new(line, zone_name) {
        Ok(schedule) => return Some(schedule),
        Err(why @ NotASchedule::Zone) => zone.invalid(&format!("= \"{}\": {why}", zone_name.escape_debug()), "\"Europe/Berlin\""),
        Err(why) => cron.invalid(&format!("= \"{}\": {why}", line.escape_debug()), "\"0 2 * * *\""),
    }
    None
}

/// Refuses keys that mean nothing for the kind of source that `table` is.
fn refuse(table: &Table<'_>, keys: &[&str], why: &str) {
    for key in keys.iter().filter(|key| table.optional(key).is_some()) {
        table.wrong_key(key, Code::UnknownKey, format!("`{key}` {why}"), format!("remove `{key}`"));
    }
}

fn webhook_entry(node: &Node<'_>, when: Option<Node<'_>>) -> Option<Entry> {
    let table = node.table(WEBHOOK, "{ path = \"/shop/orders\", verify = \"shop\" }")?;
    let path = table.required("path", "path = \"/shop/orders\"").and_then(|node| node.parsed("\"/shop/orders\"", webhook_path));
    let verify = table.required("verify", "verify = \"shop\"").and_then(|node| node.parsed("\"shop\"", name::name));
    let when = when.and_then(|node| self::when(&node)).unwrap_or_default();
    Some(Entry::Webhook { path: path?, verify: verify.filter(|verify| verify != "none"), when })
}

pub(super) fn webhook_path(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
    let segment = |segment: &str| !segment.is_empty() && segment.chars().all(plain) && segment != "." && segment != "..";
    match text.strip_prefix('/') {
        Some(rest) if text.len() <= PATH_CHARS_MAX && rest.split('/').all(segment) => Ok(text.to_owned()),
        _ => Err("a path starts with `/` and has letters, digits, `-`, `.`, `_` and `~` between slashes, at most 256".to_owned()),
    }
}

fn channel_entry(node: &Node<'_>, table: &Table<'_>) -> Option<Entry> {
    refuse(table, &["id", "when", "track"], "is for webhooks; a message of a channel already has it");
    let example = "\"orders.canonical\"";
    if !matches!(node.value(), DeValue::Table(_)) {
        return Some(Entry::Channel { name: node.parsed(example, name::channel)?, from: Beginning::default() });
    }
    let channel = node.table(CHANNEL, CHANNEL_EXAMPLE)?;
    let words = [Beginning::Now, Beginning::Earliest].map(|from| (from.as_str(), from));
    let from = channel.optional("from").map(|node| node.word(&words));
    let name = channel.required("name", "name = \"orders.canonical\"").and_then(|node| node.parsed(example, name::channel));
    Some(Entry::Channel { name: name?, from: from.map_or(Some(Beginning::default()), |from| from)? })
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
