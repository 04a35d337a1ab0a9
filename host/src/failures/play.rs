//! Messages through a chamber with a target, to the end: [`play`], and what came of it, [`Ran`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::target::{Done, Target};
use crate::problem::Problems;
use crate::scenario::chamber::{Chamber, Incoming, Met, Setting, within};
use crate::scenario::file::IDLE_WITHIN;
use crate::scenario::run::{Came, Output, Told};

/// What passes between two messages.
const BETWEEN: Duration = Duration::from_secs(1);

/// What came of some messages.
#[derive(Clone, Debug)]
pub struct Ran {
    pub came: Vec<Came>,
    /// What targets did, in order.
    pub done: Vec<Done>,
    /// A key under which bodies came that are not the same.
    pub other_body: Option<String>,
    /// Requests to targets, and for tokens.
    pub asked: usize,
    pub tokens: usize,
    /// `{"output": […], "request": [{"to", "body"}, …]}`: what its steps made, and what was written to targets, as JSON.
    pub made: Value,
}

/// What is done beside putting messages in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Play {
    Plain,
    /// The host is stopped while the first request is under way.
    Stopped,
}

/// Puts messages, by their names, into a chamber with this target, and waits until nothing waits any more.
///
/// # Errors
/// What keeps a chamber from being made.
pub fn play(setting: &Setting, messages: &[(String, Incoming)], target: Target, how: Play) -> Result<Ran, Problems> {
    let target = Arc::new(target);
    within(setting.clone(), target.clone(), Vec::new(), async |chamber: &Chamber| {
        let mut met: Vec<(&String, _, Met)> = Vec::new();
        for (index, (name, incoming)) in messages.iter().enumerate() {
            if index > 0 {
                chamber.pass(BETWEEN, || false).await;
            }
            met.push((name, chamber.now(), chamber.put(incoming.clone()).await));
        }
        if how == Play::Stopped {
            let is_asked = || chamber.wire.asked().iter().any(|request| !request.is_token);
            chamber.pass(IDLE_WITHIN, || chamber.is_idle() || is_asked()).await;
            chamber.restart().await;
        }
        chamber.pass(IDLE_WITHIN, || chamber.is_idle()).await;
        let told = Told::of(chamber);
        let came: Vec<Came> = met.iter().map(|(name, at, met)| told.came(chamber, name, *at, met)).collect();
        let (requests, done) = (chamber.wire.asked(), target.done());
        let tokens = requests.iter().filter(|request| request.is_token).count();
        let made = made(&came, &done);
        Ok(Ran { made, came, done, other_body: target.other_body(), asked: requests.len() - tokens, tokens })
    })
}

/// What is no JSON is its text.
fn made(came: &[Came], done: &[Done]) -> Value {
    let value = |body: &Bytes| serde_json::from_slice(body).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(body).into_owned()));
    let outputs: Vec<Value> = came.iter().flat_map(|came| &came.outputs).map(|output: &Output| value(&output.content.body)).collect();
    let writes = done.iter().filter(|done| done.is_write());
    let requests: Vec<Value> =
        writes.map(|done| json!({ "to": format!("{} {}", done.method, done.path), "body": value(&done.body) })).collect();
    json!({ "output": outputs, "request": requests })
}

/// A pointer into [`Ran::made`], for people: `output /customer/name`, `output 2 /id`, `request 1 /records/0`, `request 1 path`.
pub fn place(pointer: &str) -> String {
    let mut parts = pointer.splitn(4, '/').skip(1);
    let (of, index, rest) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let number = match index.parse::<usize>() {
        Ok(0) if of == "output" => String::new(),
        Ok(index) => format!(" {}", index.saturating_add(1)),
        Err(_) if index == "*" => " *".to_owned(),
        Err(_) => String::new(),
    };
    match rest {
        None | Some("body") => format!("{of}{number}"),
        Some("to") if of == "request" => format!("{of}{number} path"),
        Some(rest) if of == "request" => format!("{of}{number} /{}", rest.strip_prefix("body/").unwrap_or(rest)),
        Some(rest) => format!("{of}{number} /{rest}"),
    }
}
