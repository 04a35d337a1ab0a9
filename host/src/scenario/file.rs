//! What a file of scenarios says, as plain data: [`Scenario`].

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::content::Content;
use crate::clock::Timestamp;
use crate::config::quantity;
use crate::config::reader::Places;
use crate::integration::Step;
use crate::message::FailureClass;
use crate::plugin::manifest::Role;

/// When a scenario begins where it does not say: 2026-01-01T12:00:00Z.
pub const START: Timestamp = Timestamp(1_767_268_800_000);
/// The longest that `until idle` waits: longer than the time after which a delivery is given up by default.
pub const IDLE_WITHIN: Duration = Duration::from_secs(48 * 60 * 60);

/// The scenarios of one file.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    pub scenarios: Vec<Scenario>,
    pub places: Places,
}

/// What is put through what, and what is expected to come of it.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    /// Where it stands in its file, for [`Places::at`]: `scenario/0`.
    pub path: String,
    pub subject: Subject,
    /// What the clock shows at the start.
    pub start: Timestamp,
    pub messages: Vec<Input>,
    /// How often a source is asked that the host asks itself.
    pub polls: u32,
    /// In the order in which they are tried.
    pub answers: Vec<Answer>,
    /// What passes behind the last message.
    pub clock: Span,
    /// Key-value data at the start.
    pub data: Vec<(String, Vec<u8>)>,
    pub expects: Vec<Expect>,
}

/// What a scenario is about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An integration of the workspace.
    Integration(String),
    Plugin(Box<OnePlugin>),
}

/// One plugin and what it is given.
#[derive(Clone, Debug)]
pub struct OnePlugin {
    pub place: PluginPlace,
    /// Where it has several.
    pub role: Option<Role>,
    pub step: Step,
}

/// Where a plugin is found.
#[derive(Clone, Debug)]
pub enum PluginPlace {
    /// Among the plugins of the workspace, by name and version.
    Named,
    /// In a file, under the folder that scenarios are run in.
    File(PathBuf),
    /// In the folder that scenarios are run in.
    Here,
}

/// Time that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    For(Duration),
    /// Until nothing waits any more, [`IDLE_WITHIN`] at most.
    UntilIdle,
}

impl Span {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "until idle" {
            return Ok(Self::UntilIdle);
        }
        quantity::duration(text).map(Self::For).map_err(|why| format!("{why}; or `until idle`"))
    }
}

/// A message that comes in.
#[derive(Clone, Debug)]
pub struct Input {
    pub name: String,
    pub path: String,
    pub content: Content,
    pub headers: Vec<(String, String)>,
    /// What makes it the same as another one.
    pub id: Option<String>,
    pub key: Option<String>,
    /// What passes before it comes.
    pub after: Span,
}

/// What is answered to some requests.
#[derive(Clone, Debug)]
pub struct Answer {
    pub path: String,
    /// None: whichever is asked.
    pub alias: Option<String>,
    pub to: To,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub content: Option<Content>,
    pub fault: Option<Fault>,
    pub delay: Duration,
    /// How many requests it answers; none: all.
    pub times: Option<u32>,
    /// From and until when of the scenario's time it answers.
    pub from: Duration,
    pub until: Option<Duration>,
    /// Of a token: for how long it is good.
    pub expires_in: Option<Duration>,
}

impl Answer {
    /// 200, with nothing in it, to all of them.
    pub fn to(to: To) -> Self {
        Self {
            path: String::new(),
            alias: None,
            to,
            status: 200,
            headers: Vec::new(),
            content: None,
            fault: None,
            delay: Duration::ZERO,
            times: None,
            from: Duration::ZERO,
            until: None,
            expires_in: None,
        }
    }
}

/// Which requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// Those for a token of the alias.
    Token,
    Requests(Pattern),
}

/// `POST /composite`: a method and a path; `*` stands for any characters of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub method: String,
    pub path: String,
}

impl Pattern {
    /// Every request.
    pub fn all() -> Self {
        Self { method: "*".into(), path: "*".into() }
    }

    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::all());
        }
        match text.split_once(' ') {
            Some((method, path)) if method == "*" || (!method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase())) => {
                if path.starts_with('/') || path == "*" {
                    return Ok(Self { method: method.into(), path: path.into() });
                }
                Err("the path, under the alias's url, starts with `/`".into())
            }
            _ => Err("expected a method, a space and a path; `*` stands for any".into()),
        }
    }

    /// Whether a request is among them. A query counts where the pattern has one.
    pub fn fits(&self, method: &str, path_and_query: &str) -> bool {
        let path = match (self.path.contains('?'), path_and_query.split_once('?')) {
            (false, Some((path, _))) => path,
            _ => path_and_query,
        };
        (self.method == "*" || self.method == method) && glob(&self.path, path)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any characters. Takes time in proportion to both, multiplied.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, t) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// What goes wrong in the place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nobody takes the connection.
    Unreachable,
    /// The connection breaks when the request is there, before the answer is.
    Reset,
    /// No answer comes.
    Timeout,
    /// The answer comes, with the first half of its body.
    Truncated,
}

/// What is expected.
#[derive(Clone, Debug, Default)]
pub struct Expect {
    pub path: String,
    /// Of which message; none: of each.
    pub of: Option<String>,
    pub outcome: Option<Fate>,
    pub class: Option<FailureClass>,
    pub code: Option<String>,
    /// What the detail holds.
    pub detail: Option<String>,
    pub attempts: Option<u32>,
    pub waits: Option<u32>,
    /// How long after it came it ended, at least and at most.
    pub not_before: Option<Duration>,
    pub within: Option<Duration>,
    pub outputs: Option<Vec<Shape>>,
    pub requests: Option<Vec<ExpectedRequest>>,
    pub key_values: BTreeMap<String, Option<Shape>>,
    pub channels: BTreeMap<String, Vec<Shape>>,
    /// Their states at the end.
    pub aliases: BTreeMap<String, String>,
    /// How many tokens were asked for.
    pub tokens: BTreeMap<String, u32>,
    pub cursor: Option<String>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Skipped,
    DeadLettered,
    Waiting,
    /// It was taken before.
    Duplicate,
    /// It was not taken.
    Refused,
}

impl Fate {
    pub const ALL: [(&'static str, Self); 6] = [
        ("delivered", Self::Delivered),
        ("skipped", Self::Skipped),
        ("dead-lettered", Self::DeadLettered),
        ("waiting", Self::Waiting),
        ("duplicate", Self::Duplicate),
        ("refused", Self::Refused),
    ];

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, fate)| *fate == self).map_or("", |(word, _)| word)
    }
}

/// What a message, a request or a value looks like.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// All of it.
    pub whole: Option<Content>,
    /// JSON pointers with what is there.
    pub fields: Vec<(String, Value)>,
    /// JSON pointers under which nothing is.
    pub absent: Vec<String>,
    /// JSON pointers with a null.
    pub null: Vec<String>,
    pub content_type: Option<String>,
    pub headers: Vec<(String, String)>,
}

/// Requests of one kind, one behind the other.
#[derive(Clone, Debug)]
pub struct ExpectedRequest {
    pub path: String,
    pub alias: Option<String>,
    pub to: Pattern,
    /// None: one or more.
    pub times: Option<u32>,
    /// Whether all of them have the same idempotency key.
    pub same_key: bool,
    pub shape: Shape,
}
