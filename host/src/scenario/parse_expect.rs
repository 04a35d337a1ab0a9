//! What a scenario expects, read.

use std::collections::BTreeMap;
use std::path::Path;

use super::content::Content;
use super::file::{Expect, ExpectedRequest, Fate, Pattern, Shape};
use super::parse::{one_or_many, value_bytes};
use super::parse_body::{shape, text_of};
use crate::alias::Hold;
use crate::config::quantity;
use crate::config::reader::{Keys, Node, Table};
use crate::message::FailureClass;
use crate::problem::Code;

const EXPECTS_MAX: usize = 1_000;
const SHAPES_MAX: usize = 10_000;

const EXPECT: Keys = Keys::all(&[
    "of",
    "outcome",
    "class",
    "code",
    "detail",
    "attempts",
    "waits",
    "not-before",
    "within",
    "output",
    "request",
    "key-values",
    "absent-key-values",
    "channels",
    "aliases",
    "tokens",
    "cursor",
]);
const OUTPUT: Keys = Keys::all(&["json", "text", "file", "fields", "absent", "null", "content-type", "headers"]);
const REQUEST: Keys =
    Keys::all(&["alias", "to", "times", "same-key", "json", "text", "file", "fields", "absent", "null", "content-type", "headers"]);
const EXAMPLE: &str = "[scenario.expect]";

/// Every `[scenario.expect]`.
pub fn expects(table: &Table<'_>, path: &str, base: &Path) -> Option<Vec<Expect>> {
    let node = table.required("expect", "expect = { outcome = \"delivered\" }")?;
    let nodes = one_or_many(&node, EXPECTS_MAX, EXAMPLE)?;
    let read: Vec<_> = nodes.iter().map(|(at, node)| expect(node, format!("{path}/expect{at}"), base)).collect();
    read.into_iter().collect()
}

fn expect(node: &Node<'_>, path: String, base: &Path) -> Option<Expect> {
    let table = node.table(EXPECT, "{ outcome = \"delivered\" }")?;
    if table.entries().next().is_none() {
        node.invalid("expects nothing", "{ outcome = \"delivered\" }");
        return None;
    }
    let text = |key: &str| table.optional(key).map_or(Some(None), |node| text_of(&node).map(|text| Some(text.to_owned())));
    let count = |key: &str| table.optional(key).map_or(Some(None), |node| node.integer(0..1_000_001, "1").map(Some));
    let span = |key: &str| table.optional(key).map_or(Some(None), |node| node.parsed("\"30m\"", quantity::duration).map(Some));
    let small = |count: Option<u64>| count.and_then(|count| u32::try_from(count).ok());
    let outcome = table.optional("outcome").map_or(Some(None), |node| node.word(&Fate::ALL).map(Some));
    let class = table.optional("class").map_or(Some(None), |node| class(&node).map(Some));
    let outputs = table.optional("output").map_or(Some(None), |node| shapes(&node, base).map(Some));
    let requests = table.optional("request").map_or(Some(None), |node| requests(&node, &path, base).map(Some));
    let key_values = key_values(&table);
    let channels = table.optional("channels").map_or(Some(BTreeMap::new()), |node| channels(&node, base));
    let aliases = table.optional("aliases").map_or(Some(BTreeMap::new()), |node| aliases(&node));
    let tokens = table.optional("tokens").map_or(Some(BTreeMap::new()), |node| tokens(&node));
    Some(Expect {
        of: text("of")?,
        outcome: outcome?,
        class: class?,
        code: text("code")?,
        detail: text("detail")?,
        attempts: small(count("attempts")?),
        waits: small(count("waits")?),
        not_before: span("not-before")?,
        within: span("within")?,
        outputs: outputs?,
        requests: requests?,
        key_values: key_values?,
        channels: channels?,
        aliases: aliases?,
        tokens: tokens?,
        cursor: text("cursor")?,
        path,
    })
}

fn class(node: &Node<'_>) -> Option<FailureClass> {
    let words: Vec<_> = FailureClass::ALL.iter().map(|class| (class.as_str(), *class)).collect();
    node.word(&words)
}

fn shapes(node: &Node<'_>, base: &Path) -> Option<Vec<Shape>> {
    let nodes = one_or_many(node, SHAPES_MAX, "[[scenario.expect.output]]")?;
    let shapes: Vec<_> = nodes.iter().map(|(_, node)| shape(&node.table(OUTPUT, "{ fields = { \"/id\" = \"1\" } }")?, base)).collect();
    shapes.into_iter().collect()
}

fn requests(node: &Node<'_>, path: &str, base: &Path) -> Option<Vec<ExpectedRequest>> {
    let nodes = one_or_many(node, SHAPES_MAX, "[[scenario.expect.request]]")?;
    let requests: Vec<_> = nodes.iter().map(|(at, node)| request(node, format!("{path}/request{at}"), base)).collect();
    requests.into_iter().collect()
}

fn request(node: &Node<'_>, path: String, base: &Path) -> Option<ExpectedRequest> {
    let table = node.table(REQUEST, "{ to = \"POST /orders\" }")?;
    let alias = table.optional("alias").map_or(Some(None), |node| node.parsed("\"crm\"", crate::config::name_of).map(Some));
    let to = table.required("to", "to = \"POST /orders\"").and_then(|node| node.parsed("\"POST /orders\"", Pattern::parse));
    let times = match table.optional("times") {
        Some(node) if node.value().as_str() == Some("any") => Some(None),
        Some(node) => node.integer(1..1_000_001, "2").map(Some),
        None => Some(Some(1)),
    };
    let times = times?.map(|times| u32::try_from(times).unwrap_or(u32::MAX));
    let same_key = table.optional("same-key").map_or(Some(false), |node| node.boolean("true"));
    Some(ExpectedRequest { path, alias: alias?, to: to?, times, same_key: same_key?, shape: shape(&table, base)? })
}

fn key_values(table: &Table<'_>) -> Option<BTreeMap<String, Option<Shape>>> {
    let mut all = BTreeMap::new();
    if let Some(node) = table.optional("key-values") {
        for (key, node) in node.map("{ seen-1001 = \"yes\" }")?.entries() {
            let (body, is_text) = (value_bytes(&node)?, node.value().is_str());
            let content_type = if is_text { "text/plain" } else { "application/json" };
            let whole = Some(Content { body: body.into(), content_type: content_type.into() });
            all.insert(key.to_owned(), Some(Shape { whole, ..Shape::default() }));
        }
    }
    if let Some(node) = table.optional("absent-key-values") {
        for node in node.list(SHAPES_MAX, "[\"seen-1001\"]")? {
            all.insert(node.text(1024, "\"seen-1001\"")?.to_owned(), None);
        }
    }
    Some(all)
}

fn channels(node: &Node<'_>, base: &Path) -> Option<BTreeMap<String, Vec<Shape>>> {
    let map = node.map("{ \"orders.canonical\" = [{ fields = { \"/id\" = \"1\" } }] }")?;
    map.entries().map(|(name, node)| Some((name.to_owned(), shapes(&node, base)?))).collect()
}

fn aliases(node: &Node<'_>) -> Option<BTreeMap<String, String>> {
    let held = [Hold::Throttled, Hold::Open, Hold::CredentialRefused].map(|hold| (hold.as_str(), hold.as_str()));
    let words: Vec<_> = [("healthy", "healthy")].into_iter().chain(held).collect();
    node.map("{ crm = \"healthy\" }")?.entries().map(|(name, node)| Some((name.to_owned(), node.word(&words)?.to_owned()))).collect()
}

fn tokens(node: &Node<'_>) -> Option<BTreeMap<String, u32>> {
    let map = node.map("{ crm = 1 }")?;
    if map.entries().next().is_none() {
        node.note(Code::WrongValue, "`tokens` names no alias", "for example `tokens = { crm = 1 }`");
        return None;
    }
    map.entries().map(|(name, node)| Some((name.to_owned(), u32::try_from(node.integer(0..1_000_001, "1")?).unwrap_or(u32::MAX)))).collect()
}
