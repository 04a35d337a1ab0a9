//! What happened held against what is expected: [`judge`]. Pure.

use serde::Serialize;
use serde_json::Value;

use super::file::{Expect, ExpectedRequest, Scenario, Shape};
use super::outside::{Reply, Request};
use super::run::{Came, Happened, Output};
use crate::config::quantity;
use crate::config::reader::nearest;
use crate::difference;

/// Mismatches of one scenario that are told; the rest mostly follows from them.
const TOLD_MAX: usize = 50;
/// Of a longer value its beginning is told.
const SHOWN_CHARS_MAX: usize = 400;

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// `outcome`, `output 1`, `request 2 crm POST /composite`, `key-value seen`, …
    pub of: String,
    /// Where in it: a JSON pointer, `content-type`, `header x`, or nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
    pub expected: String,
    pub got: String,
    /// What may help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Everything that is not as `scenario` expects.
pub fn judge(scenario: &Scenario, happened: &Happened) -> Vec<Mismatch> {
    let mut judging = Judging { happened, found: Vec::new(), of: String::new() };
    if let Some(request) = &happened.unanswered {
        // What else there is follows from it.
        judging.unanswered(request);
        return judging.found;
    }
    scenario.expects.iter().for_each(|expect| judging.expect(expect));
    judging.found.truncate(TOLD_MAX);
    judging.found
}

struct Judging<'a> {
    happened: &'a Happened,
    found: Vec<Mismatch>,
    /// Which message it is about, where there are several.
    of: String,
}

impl<'a> Judging<'a> {
    fn note(&mut self, of: impl Into<String>, path: &str, expected: impl Into<String>, got: impl Into<String>) {
        self.note_with(of, path, expected, got, None);
    }

    fn note_with(&mut self, of: impl Into<String>, path: &str, expected: impl Into<String>, got: impl Into<String>, hint: Option<String>) {
        let of = format!("{}{}", self.of, of.into());
        self.found.push(Mismatch { of, path: path.to_owned(), expected: expected.into(), got: got.into(), hint });
    }

    fn unanswered(&mut self, request: &Request) {
        let Request { alias, method, path, .. } = request;
        let hint = format!("add: [[scenario.answer]] alias = \"{alias}\", to = \"{method} {path}\", status = 200");
        self.note_with(format!("request {alias} {method} {path}"), "", "an answer in the scenario", "none", Some(hint));
    }

    fn expect(&mut self, expect: &Expect) {
        let all = if self.happened.messages.is_empty() { &self.happened.brought } else { &self.happened.messages };
        let chosen: Vec<&'a Came> = all.iter().filter(|came| expect.of.as_ref().is_none_or(|of| *of == came.name)).collect();
        if chosen.is_empty() && (expect.outcome.is_some() || expect.attempts.is_some()) {
            self.note("messages", "", "at least one", "none");
        }
        for came in &chosen {
            self.of = if all.len() > 1 { format!("message {}: ", came.name) } else { String::new() };
            self.fate(expect, came);
        }
        self.of = expect.of.as_ref().map(|of| format!("message {of}: ")).unwrap_or_default();
        if let Some(shapes) = &expect.outputs {
            let outputs: Vec<&Output> = chosen.iter().flat_map(|came| &came.outputs).collect();
            self.outputs("output", shapes, &outputs);
        }
        if let Some(expected) = &expect.requests {
            let is_theirs =
                |request: &&Request| expect.of.is_none() || chosen.iter().any(|came| came.keys.contains(&request.idempotency_key));
            // What nobody took the target did not get.
            let got = self.happened.requests.iter().filter(|request| !request.is_token && request.reply != Reply::Unreachable);
            let got: Vec<&Request> = got.filter(is_theirs).collect();
            self.requests(expected, &got);
        }
        self.of.clear();
        self.at_the_end(expect);
    }

    fn fate(&mut self, expect: &Expect, came: &Came) {
        let why = || {
            let class = came.class.map(|class| format!(" {class}")).unwrap_or_default();
            let code = came.code.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
            let detail = came.detail.as_ref().map(|detail| format!(": {}", shown_text(detail))).unwrap_or_default();
            format!("{}{class}{code}{detail}", came.fate.as_str())
        };
        if let Some(outcome) = expect.outcome.filter(|outcome| *outcome != came.fate) {
            self.note("outcome", "", outcome.as_str(), why());
            return;
        }
        if let Some(class) = expect.class.filter(|class| came.class != Some(*class)) {
            self.note("class", "", class.as_str(), why());
        }
        if let Some(code) = expect.code.as_ref().filter(|code| came.code.as_ref() != Some(*code)) {
            self.note("code", "", code, why());
        }
        if let Some(detail) = expect.detail.as_ref().filter(|detail| !came.detail.as_ref().is_some_and(|got| got.contains(detail.as_str())))
        {
            self.note("detail", "", format!("something with {detail:?}"), why());
        }
        let mut count = |of: &str, expected: Option<u32>, got: u32| {
            if let Some(expected) = expected.filter(|expected| *expected != got) {
                self.note(of, "", expected.to_string(), got.to_string());
            }
        };
        count("attempts", expect.attempts, came.attempts);
        count("waits", expect.waits, came.waits);
        let took = || came.took.map_or_else(|| "it has not ended".to_owned(), |took| format!("after {}", quantity::shown(took)));
        if let Some(least) = expect.not_before.filter(|least| came.took.is_none_or(|took| took < *least)) {
            self.note("time", "", format!("not before {}", quantity::shown(least)), took());
        }
        if let Some(most) = expect.within.filter(|most| came.took.is_none_or(|took| took > *most)) {
            self.note("time", "", format!("within {}", quantity::shown(most)), took());
        }
    }

    fn outputs(&mut self, of: &str, shapes: &[Shape], outputs: &[&Output]) {
        if shapes.len() != outputs.len() {
            self.note(format!("{of}s"), "", shapes.len().to_string(), outputs.len().to_string());
        }
        for (number, (shape, output)) in (1..).zip(shapes.iter().zip(outputs)) {
            let of = if outputs.len() > 1 { format!("{of} {number}") } else { of.to_owned() };
            let Output { content, headers } = output;
            self.shape(&of, shape, &Seen { body: &content.body, content_type: Some(&content.content_type), headers });
        }
    }

    fn requests(&mut self, expected: &[ExpectedRequest], got: &[&Request]) {
        let mut rest = got.iter().zip(1..).peekable();
        for wanted in expected {
            let fits = |request: &Request| {
                wanted.alias.as_ref().is_none_or(|alias| *alias == request.alias) && wanted.to.fits(&request.method, &request.path)
            };
            let mut matched: Vec<&Request> = Vec::new();
            while wanted.times.is_none_or(|times| matched.len() < times as usize) {
                let Some((request, number)) = rest.next_if(|(request, _)| fits(request)) else { break };
                let shown = format!("request {number} {}", told(request));
                let content_type = request.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
                self.shape(&shown, &wanted.shape, &Seen { body: &request.body, content_type, headers: &request.headers });
                matched.push(request);
            }
            let least = wanted.times.unwrap_or(1) as usize;
            if matched.len() < least {
                let alias = wanted.alias.as_ref().map(|alias| format!("{alias} ")).unwrap_or_default();
                let (of, got) = match rest.peek() {
                    Some((request, number)) => (format!("request {number}"), format!("{} {}", told(request), answered(&request.reply))),
                    None => (format!("request {}", got.len() + 1), "none".to_owned()),
                };
                self.note(of, "", format!("{alias}{}", wanted.to), got);
                // Of those behind it nobody knows which is meant.
                return;
            }
            if wanted.same_key && matched.windows(2).any(|pair| pair[0].idempotency_key != pair[1].idempotency_key) {
                self.note(format!("requests {}", wanted.to), "idempotency-key", "the same for all of them", "several");
            }
        }
        if let Some((request, number)) = rest.next() {
            let more = rest.count();
            let more = if more > 0 { format!(", and {more} more") } else { String::new() };
            self.note(format!("request {number}"), "", "none", format!("{} {}{more}", told(request), answered(&request.reply)));
        }
    }

    fn at_the_end(&mut self, expect: &Expect) {
        for (key, shape) in &expect.key_values {
            let got = self.happened.key_values.get(key).cloned().flatten();
            match (shape, got) {
                (Some(shape), Some(value)) => {
                    self.shape(&format!("key-value {key}"), shape, &Seen { body: &value, content_type: None, headers: &[] });
                }
                (Some(_), None) => self.note(format!("key-value {key}"), "", "a value", "none"),
                (None, Some(value)) => {
                    self.note(format!("key-value {key}"), "", "none", shown_text(&String::from_utf8_lossy(&value)));
                }
                (None, None) => {}
            }
        }
        for (channel, shapes) in &expect.channels {
            let happened = self.happened;
            let got: Vec<&Output> = happened.channels.get(channel).into_iter().flatten().collect();
            self.outputs(&format!("channel {channel} message"), shapes, &got);
        }
        for (name, state) in &expect.aliases {
            let got = self.happened.aliases.iter().find(|alias| alias.name == *name).map_or("none", |alias| alias.state);
            if got != state {
                self.note(format!("alias {name}"), "", state, got);
            }
        }
        for (alias, count) in &expect.tokens {
            let got = self.happened.requests.iter().filter(|request| request.is_token && request.alias == *alias).count();
            if got != *count as usize {
                self.note(format!("tokens of {alias}"), "", count.to_string(), got.to_string());
            }
        }
        if let Some(cursor) = expect.cursor.as_ref().filter(|cursor| self.happened.cursor.as_ref() != Some(*cursor)) {
            let got = self.happened.cursor.clone().unwrap_or_else(|| "none".to_owned());
            self.note("cursor", "", cursor, got);
        }
    }

    fn shape(&mut self, of: &str, shape: &Shape, seen: &Seen<'_>) {
        if let Some(whole) = &shape.whole {
            self.whole(of, whole.is_json(), &whole.body, seen.body);
        }
        let document = || serde_json::from_slice::<Value>(seen.body).ok();
        if !(shape.fields.is_empty() && shape.absent.is_empty() && shape.null.is_empty()) {
            match document() {
                Some(document) => self.fields(of, shape, &document),
                None => self.note(of, "", "JSON", shown_text(&String::from_utf8_lossy(seen.body))),
            }
        }
        if let Some(expected) = shape.content_type.as_deref().filter(|expected| seen.content_type != Some(*expected)) {
            self.note(of, "content-type", expected, seen.content_type.unwrap_or("none"));
        }
        for (name, expected) in &shape.headers {
            let got = seen.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
            if got != Some(expected) {
                self.note(of, &format!("header {name}"), expected, got.unwrap_or("none"));
            }
        }
    }

    fn whole(&mut self, of: &str, is_json: bool, expected: &[u8], got: &[u8]) {
        if expected == got {
            return;
        }
        if is_json {
            let Some(difference) = difference::fields(expected, got) else {
                self.note(of, "", "JSON", shown_text(&String::from_utf8_lossy(got)));
                return;
            };
            for field in difference.fields {
                let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), shown);
                self.note(of, &field.path, shown(&field.before), shown(&field.after));
            }
            return;
        }
        let text = |bytes: &[u8]| shown_text(&String::from_utf8_lossy(bytes));
        self.note(of, "", text(expected), text(got));
    }

    fn fields(&mut self, of: &str, shape: &Shape, document: &Value) {
        for (pointer, expected) in &shape.fields {
            match document.pointer(pointer) {
                Some(got) if got == expected => {}
                Some(got) => self.note(of, pointer, shown(expected), shown(got)),
                None => {
                    self.note_with(of, pointer, shown(expected), "nothing", meant(pointer, document));
                }
            }
        }
        for pointer in &shape.absent {
            if let Some(got) = document.pointer(pointer) {
                self.note(of, pointer, "nothing", shown(got));
            }
        }
        for pointer in &shape.null {
            match document.pointer(pointer) {
                Some(Value::Null) => {}
                Some(got) => self.note(of, pointer, "null", shown(got)),
                None => {
                    self.note_with(of, pointer, "null", "nothing", meant(pointer, document));
                }
            }
        }
    }
}

/// What there is of something.
struct Seen<'s> {
    body: &'s [u8],
    content_type: Option<&'s str>,
    headers: &'s [(String, String)],
}

/// What nobody has, and what is nearest to it.
fn meant(pointer: &str, document: &Value) -> Option<String> {
    let mut pointers = Vec::new();
    collect(&mut pointers, String::new(), document);
    let near = nearest(pointer, pointers.iter().map(String::as_str));
    near.map(|near| format!("did you mean {near}?")).or_else(|| {
        let parent = pointer.rsplit_once('/').map(|(parent, _)| parent)?;
        let there = document.pointer(parent)?.as_object()?;
        let names: Vec<&str> = there.keys().map(String::as_str).take(20).collect();
        Some(format!("there is: {}", names.join(", ")))
    })
}

/// Pointers that are looked at for the nearest one.
const POINTERS_MAX: usize = 5_000;

fn collect(pointers: &mut Vec<String>, path: String, value: &Value) {
    if pointers.len() >= POINTERS_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                collect(pointers, format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")), value);
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| collect(pointers, format!("{path}/{index}"), value)),
        _ => {}
    }
    pointers.push(path);
}

fn told(request: &Request) -> String {
    format!("{} {} {}", request.alias, request.method, request.path)
}

fn answered(reply: &Reply) -> String {
    match reply {
        Reply::Answer { status, .. } => format!("(answered {status})"),
        Reply::Unreachable => "(unreachable)".to_owned(),
        Reply::Reset => "(the connection broke)".to_owned(),
        Reply::Silence => "(not answered)".to_owned(),
    }
}

/// A value as JSON, not too much of it.
pub fn shown(value: &Value) -> String {
    shown_text(&value.to_string())
}

fn shown_text(text: &str) -> String {
    if text.chars().nth(SHOWN_CHARS_MAX).is_none() {
        return text.to_owned();
    }
    text.chars().take(SHOWN_CHARS_MAX).chain(['…']).collect()
}
