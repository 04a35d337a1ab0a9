//! Reads a file of scenarios. What it may say is in `docs/testing.md`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::file::{Answer, Fault, Input, OnePlugin, Pattern, PluginPlace, START, Scenario, ScenarioFile, Span, Subject, To};
use super::parse_body::{content, headers, text_of};
use super::parse_expect::expects;
use crate::clock::Timestamp;
use crate::config::reader::{Keys, Node, Page, Table};
use crate::config::{name_of, plugin_given, plugin_requirement, quantity};
use crate::integration::Step;
use crate::plugin::manifest::Role;
use crate::problem::{Code, Problems};

const SCENARIOS_MAX: usize = 1_000;
const MESSAGES_MAX: usize = 1_000;
const ANSWERS_MAX: usize = 1_000;
const NAME_CHARS_MAX: usize = 200;
const POLLS_MAX: u64 = 1_000;

const ROOT: Keys = Keys::all(&["integration", "plugin", "role", "config", "grant", "bind", "answer", "scenario"]);
const SCENARIO: Keys = Keys::all(&[
    "name",
    "integration",
    "plugin",
    "role",
    "config",
    "grant",
    "bind",
    "start",
    "data",
    "message",
    "polls",
    "answer",
    "clock",
    "expect",
]);
const MESSAGE: Keys = Keys::all(&["name", "json", "text", "file", "content-type", "headers", "id", "key", "after"]);
const ANSWER: Keys = Keys::all(&[
    "alias",
    "to",
    "status",
    "headers",
    "json",
    "text",
    "file",
    "content-type",
    "fault",
    "delay",
    "times",
    "from",
    "until",
    "expires-in",
]);
const SUBJECT_EXAMPLE: &str = "integration = \"orders-to-crm\"";

impl ScenarioFile {
    /// Reads the text of `file`. Paths in it are under `base`; where it names no integration and no plugin it is about the plugin in
    /// `base`, if `has_own` says that there is one.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(file: impl Into<PathBuf>, text: &str, base: &Path, has_own: bool) -> Result<Self, Problems> {
        let reading = Reading { base, has_own };
        let (scenarios, places) = Page::new(file, text).read(ROOT, |root| reading.scenarios(root))?;
        Ok(Self { scenarios, places })
    }
}

#[derive(Clone, Copy)]
struct Reading<'a> {
    base: &'a Path,
    has_own: bool,
}

impl Reading<'_> {
    fn scenarios(self, root: &Table<'_>) -> Option<Vec<Scenario>> {
        let common = self.subject(root);
        let answers = self.answers(root, "answer");
        let node = root.required("scenario", "[[scenario]]")?;
        let nodes = node.list(SCENARIOS_MAX, "[[scenario]]")?;
        let scenarios: Vec<_> = nodes.iter().enumerate().map(|(index, node)| self.scenario(index, node, root, common.as_ref())).collect();
        let mut scenarios = scenarios.into_iter().collect::<Option<Vec<_>>>()?;
        // Those of the file come behind a scenario's own.
        let answers = answers?;
        scenarios.iter_mut().for_each(|scenario| scenario.answers.extend(answers.iter().cloned()));
        Some(scenarios)
    }

    fn scenario(self, index: usize, node: &Node<'_>, root: &Table<'_>, common: Option<&Option<Subject>>) -> Option<Scenario> {
        let table = node.table(SCENARIO, "[[scenario]]")?;
        let path = format!("scenario/{index}");
        let name = table
            .required("name", "name = \"an order becomes an invoice\"")
            .and_then(|node| node.text(NAME_CHARS_MAX, "\"an order becomes an invoice\""));
        let own = self.subject(&table);
        let start = table.optional("start").map_or(Some(START), |node| node.parsed("\"2026-03-29T00:59:00Z\"", moment));
        let messages = self.messages(&table, &path);
        let polls = table.optional("polls").map_or(Some(1), |node| node.integer(1..POLLS_MAX + 1, "1"));
        let answers = self.answers(&table, &format!("{path}/answer"));
        let clock = table.optional("clock").map_or(Some(Span::UntilIdle), |node| node.parsed("\"30m\"", Span::parse));
        let data = data(&table);
        let expects = expects(&table, &path, self.base);
        let subject = match (own?, common?) {
            (Some(subject), _) => subject,
            (None, Some(subject)) => overridden(subject.clone(), &table)?,
            (None, None) if self.has_own => overridden(Subject::Plugin(Box::new(here(root)?)), &table)?,
            (None, None) => {
                table.missing("integration", SUBJECT_EXAMPLE);
                return None;
            }
        };
        Some(Scenario {
            name: name?.to_owned(),
            path,
            subject,
            start: start?,
            messages: messages?,
            polls: u32::try_from(polls?).unwrap_or(u32::MAX),
            answers: answers?,
            clock: clock?,
            data: data?,
            expects: expects?,
        })
    }

    /// What a table says it is about: the outer none is a mistake, the inner that it says nothing.
    fn subject(self, table: &Table<'_>) -> Option<Option<Subject>> {
        match (table.optional("integration"), table.optional("plugin")) {
            (Some(_), Some(_)) => {
                let what = "`integration` and `plugin`: a scenario is about one of them";
                table.wrong_key("plugin", Code::WrongValue, what, "remove one; an integration has its plugins with it");
                None
            }
            (Some(node), None) => {
                refuse_given(table);
                node.parsed("\"orders-to-crm\"", name_of).map(|name| Some(Subject::Integration(name)))
            }
            (None, Some(node)) => plugin(table, &node).map(|plugin| Some(Subject::Plugin(Box::new(plugin)))),
            (None, None) => Some(None),
        }
    }

    fn messages(self, table: &Table<'_>, path: &str) -> Option<Vec<Input>> {
        let Some(node) = table.optional("message") else { return Some(Vec::new()) };
        let nodes = one_or_many(&node, MESSAGES_MAX, "[[scenario.message]]")?;
        let messages: Vec<_> =
            nodes.iter().enumerate().map(|(index, (at, node))| self.message(index, node, format!("{path}/message{at}"))).collect();
        let messages = messages.into_iter().collect::<Option<Vec<Input>>>()?;
        for (index, message) in messages.iter().enumerate() {
            if messages[..index].iter().any(|other| other.name == message.name) {
                node.note(Code::WrongValue, format!("two messages are named `{}`", message.name), "give each a name of its own");
                return None;
            }
        }
        Some(messages)
    }

    fn message(self, index: usize, node: &Node<'_>, path: String) -> Option<Input> {
        let table = node.table(MESSAGE, "{ file = \"orders/plain.json\" }")?;
        let name = match table.optional("name") {
            Some(node) => node.text(NAME_CHARS_MAX, "\"first\"")?.to_owned(),
            None => (index + 1).to_string(),
        };
        let has_content = ["json", "text", "file"].iter().any(|key| table.optional(key).is_some());
        if !has_content {
            table.missing("json", "file = \"orders/plain.json\"");
        }
        let content = content(&table, self.base);
        let text = |key: &str| table.optional(key).map_or(Some(None), |node| text_of(&node).map(|text| Some(text.to_owned())));
        let after = table.optional("after").map_or(Some(Span::For(Duration::ZERO)), |node| node.parsed("\"30m\"", Span::parse));
        let (headers, id, key) = (headers(&table)?, text("id")?, text("key")?);
        Some(Input { name, path, content: content?, headers, id, key, after: after? })
    }

    fn answers(self, table: &Table<'_>, path: &str) -> Option<Vec<Answer>> {
        let Some(node) = table.optional("answer") else { return Some(Vec::new()) };
        let nodes = one_or_many(&node, ANSWERS_MAX, "[[scenario.answer]]")?;
        let answers: Vec<_> = nodes.iter().map(|(at, node)| self.answer(node, format!("{path}{at}"))).collect();
        answers.into_iter().collect()
    }

    fn answer(self, node: &Node<'_>, path: String) -> Option<Answer> {
        let table = node.table(ANSWER, "{ to = \"POST /orders\", status = 201 }")?;
        let alias = match table.optional("alias") {
            Some(node) => Some(node.parsed("\"crm\"", name_of)?),
            None => None,
        };
        let to = table.optional("to").map_or(Some(To::Requests(Pattern::all())), |node| node.parsed("\"POST /orders\"", to))?;
        let status = table.optional("status").map_or(Some(200), |node| node.integer(100..600, "201"))?;
        let has_content = ["json", "text", "file"].iter().any(|key| table.optional(key).is_some());
        let content = if has_content { Some(content(&table, self.base)?) } else { None };
        let fault = match table.optional("fault") {
            Some(node) => Some(node.word(&FAULTS)?),
            None => None,
        };
        let span = |key: &str| table.optional(key).map_or(Some(None), |node| node.parsed("\"30m\"", quantity::duration).map(Some));
        let times = table.optional("times").map_or(Some(None), |node| node.integer(1..1_000_001, "2").map(Some))?;
        let answer = Answer {
            path,
            alias,
            to,
            status: u16::try_from(status).unwrap_or(200),
            headers: headers(&table)?,
            content,
            fault,
            delay: span("delay")?.unwrap_or_default(),
            times: times.and_then(|times| u32::try_from(times).ok()),
            from: span("from")?.unwrap_or_default(),
            until: span("until")?,
            expires_in: span("expires-in")?,
        };
        fits_together(&table, &answer).then_some(answer)
    }
}

const FAULTS: [(&str, Fault); 4] =
    [("unreachable", Fault::Unreachable), ("reset", Fault::Reset), ("timeout", Fault::Timeout), ("truncated", Fault::Truncated)];

/// Notes what in an answer excludes another part of it.
fn fits_together(table: &Table<'_>, answer: &Answer) -> bool {
    let mut fits = true;
    let mut refuse = |key: &str, what: String| {
        table.wrong_key(key, Code::WrongValue, what, format!("remove `{key}`"));
        fits = false;
    };
    if matches!(answer.fault, Some(Fault::Unreachable | Fault::Reset | Fault::Timeout)) {
        for key in ["status", "headers", "json", "text", "file"].into_iter().filter(|key| table.optional(key).is_some()) {
            refuse(key, format!("`{key}`, and no answer comes: `fault`"));
        }
    }
    if answer.fault == Some(Fault::Truncated) && answer.content.is_none() {
        refuse("fault", "`fault` = \"truncated\", and there is no body to be cut".into());
    }
    if answer.expires_in.is_some() && (answer.to != To::Token || answer.content.is_some()) {
        refuse("expires-in", "`expires-in` is for an answer to \"token\" that has no body of its own".into());
    }
    fits
}

fn to(text: &str) -> Result<To, String> {
    if text == "token" { Ok(To::Token) } else { Pattern::parse(text).map(To::Requests) }
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse::<jiff::Timestamp>()
        .map(|at| Timestamp(at.as_millisecond()))
        .map_err(|_| "expected a time such as 2026-03-29T00:59:00Z".into())
}

/// A table, or a list of them; each with how its path goes on.
pub fn one_or_many<'a>(node: &Node<'a>, most: usize, example: &str) -> Option<Vec<(String, Node<'a>)>> {
    if node.value().is_table() {
        return Some(vec![(String::new(), node.clone())]);
    }
    let nodes = node.list(most, example)?;
    Some(nodes.into_iter().enumerate().map(|(index, node)| (format!("/{index}"), node)).collect())
}

/// `{ seen-1001 = "yes" }`: a text as it is, anything else as JSON.
fn data(table: &Table<'_>) -> Option<Vec<(String, Vec<u8>)>> {
    let Some(node) = table.optional("data") else { return Some(Vec::new()) };
    let map = node.map("{ seen-1001 = \"yes\" }")?;
    map.entries().map(|(key, node)| Some((key.to_owned(), value_bytes(&node)?))).collect()
}

/// The bytes of a key-value.
pub fn value_bytes(node: &Node<'_>) -> Option<Vec<u8>> {
    if node.value().is_str() {
        return Some(text_of(node)?.as_bytes().to_vec());
    }
    Some(crate::config::json_of(node)?.to_string().into_bytes())
}

fn plugin(table: &Table<'_>, node: &Node<'_>) -> Option<OnePlugin> {
    let (config, grants, bindings) = plugin_given(table)?;
    let role = role(table)?;
    let text = node.text(1024, "\"shop-order@1.2\"")?;
    if text.ends_with(".wasm") {
        let step = Step { plugin: String::new(), version: semver::VersionReq::STAR, config, grants, bindings };
        return Some(OnePlugin { place: PluginPlace::File(text.into()), role, step });
    }
    let (plugin, version) = node.parsed("\"shop-order@1.2\"", plugin_requirement)?;
    Some(OnePlugin { place: PluginPlace::Named, role, step: Step { plugin, version, config, grants, bindings } })
}

/// What a plugin is given, by key.
const GIVEN: [&str; 4] = ["role", "config", "grant", "bind"];

fn refuse_given(table: &Table<'_>) {
    for key in GIVEN.into_iter().filter(|key| table.optional(key).is_some()) {
        let what = format!("`{key}` is for a `plugin`; an integration's file says its own");
        table.wrong_key(key, Code::UnknownKey, what, format!("remove `{key}`"));
    }
}

/// What the file is about, with what a scenario says otherwise.
fn overridden(subject: Subject, table: &Table<'_>) -> Option<Subject> {
    let Subject::Plugin(mut plugin) = subject else {
        refuse_given(table);
        return Some(subject);
    };
    let (config, grants, bindings) = plugin_given(table)?;
    let says = |key: &str| table.optional(key).is_some();
    if says("config") {
        plugin.step.config = config;
    }
    if says("grant") {
        plugin.step.grants = grants;
    }
    if says("bind") {
        plugin.step.bindings = bindings;
    }
    if says("role") {
        plugin.role = role(table)?;
    }
    Some(Subject::Plugin(plugin))
}

/// The plugin of the folder, with what the file says of it.
fn here(root: &Table<'_>) -> Option<OnePlugin> {
    let (config, grants, bindings) = plugin_given(root)?;
    let step = Step { plugin: String::new(), version: semver::VersionReq::STAR, config, grants, bindings };
    Some(OnePlugin { place: PluginPlace::Here, role: role(root)?, step })
}

fn role(table: &Table<'_>) -> Option<Option<Role>> {
    let words = [("transformer", Role::Transformer), ("sink", Role::Sink), ("batch-sink", Role::BatchSink), ("source", Role::Source)];
    table.optional("role").map_or(Some(None), |node| node.word(&words).map(Some))
}
