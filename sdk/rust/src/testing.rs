//! A host for native tests: configuration, scripted HTTP answers, key-value and queue, all in memory.
//!
//! ```
//! use lockgate_sdk::{Context, testing};
//! # use lockgate_sdk::{Delivered, Failure, Message, Receipt, Sink, http};
//! # struct Notify;
//! # impl Sink for Notify {
//! #     fn deliver(_: Message, _: Context) -> Result<Delivered, Failure> {
//! #         http::Request::post("/notes").send("target")?.success()?;
//! #         Ok(Receipt::default().into())
//! #     }
//! # }
//!
//! let run = testing::Host::new()
//!     .config(serde_json::json!({ "room": "ops" }))
//!     .answers([testing::answer(503, "busy")])
//!     .run(|| Notify::deliver(testing::message("hello"), Context::default()));
//!
//! assert!(run.result.unwrap_err().is_transient());
//! assert_eq!(run.requests[0].request.path, "/notes");
//! ```
//!
//! Exists on native targets only, in place of the component's imports.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use crate::{Draft, Header, Message, http, log, queue};

type Responder = Box<dyn FnMut(&str, &http::Request) -> Result<http::Response, http::Error>>;

thread_local! {
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// What a plugin under test can reach. Each test makes its own.
pub struct Host {
    config: String,
    respond: Responder,
    record: Record,
}

/// What the plugin did with the host.
#[derive(Clone, Debug, Default)]
struct Record {
    requests: Vec<Sent>,
    lines: Vec<(log::Level, String)>,
    queued: Vec<Queued>,
    key_values: BTreeMap<String, Vec<u8>>,
}

/// One outbound request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub slot: String,
    pub request: http::Request,
}

/// One message sent to a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    pub channel: String,
    pub draft: Draft,
    pub options: queue::Options,
}

/// What a run gave, and what the plugin did meanwhile.
#[derive(Clone, Debug)]
pub struct Run<R> {
    pub result: R,
    /// Outbound requests in the order in which they were sent.
    pub requests: Vec<Sent>,
    /// Log lines.
    pub lines: Vec<(log::Level, String)>,
    /// Messages sent to channels.
    pub queued: Vec<Queued>,
    /// The whole key-value map afterwards. A TTL starts when a delivery settles, so nothing expires within a call.
    pub key_values: BTreeMap<String, Vec<u8>>,
}

/// A message with this body, as `application/json`.
pub fn message(body: impl Into<Vec<u8>>) -> Message {
    Message {
        id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        key: None,
        content_type: "application/json".into(),
        headers: Vec::new(),
        body: body.into(),
        received_at_ms: 1_700_000_000_000,
    }
}

/// Messages with these bodies, as a batch has them: each with an id and a key of its own.
pub fn messages<B: Into<Vec<u8>>>(bodies: impl IntoIterator<Item = B>) -> Vec<Message> {
    let numbered = bodies.into_iter().enumerate().map(|(number, body)| Message {
        id: format!("01890a5d-ac96-774b-bcce-{number:012x}"),
        key: Some(format!("key-{number}")),
        ..message(body)
    });
    numbered.collect()
}

/// An answer with this status and body.
pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Result<http::Response, http::Error> {
    Ok(http::Response { status, headers: Vec::new(), body: body.into() })
}

/// An answer with headers.
pub fn answer_with(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Result<http::Response, http::Error> {
    let headers = headers.iter().map(|(name, value)| Header::new(name, *value)).collect();
    Ok(http::Response { status, headers, body: body.into() })
}

impl Host {
    /// A host with an empty configuration, no scripted answers and an empty map. A request finds it unreachable.
    pub fn new() -> Host {
        let respond = Box::new(|_: &str, _: &http::Request| Err(http::Error::Unreachable("the test scripted no answer".into())));
        Host { config: "{}".into(), respond, record: Record::default() }
    }

    /// Sets the step's configuration.
    #[must_use]
    pub fn config(mut self, config: serde_json::Value) -> Host {
        self.config = config.to_string();
        self
    }

    /// Answers the first request with the first answer, and so on; unreachable when they are used up.
    #[must_use]
    pub fn answers(self, answers: impl IntoIterator<Item = Result<http::Response, http::Error>>) -> Host {
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        self.responder(move |_, _| {
            answers.pop_front().unwrap_or_else(|| Err(http::Error::Unreachable("no scripted answer is left".into())))
        })
    }

    /// Answers each request with what `respond` makes of slot and request.
    #[must_use]
    pub fn responder(mut self, respond: impl FnMut(&str, &http::Request) -> Result<http::Response, http::Error> + 'static) -> Host {
        self.respond = Box::new(respond);
        self
    }

    /// Puts a value into the key-value map beforehand.
    #[must_use]
    pub fn key_value(mut self, key: &str, value: impl Into<Vec<u8>>) -> Host {
        self.record.key_values.insert(key.into(), value.into());
        self
    }

    /// Runs `plugin` on this thread with this host.
    ///
    /// # Panics
    ///
    /// If called within another run.
    pub fn run<R>(self, plugin: impl FnOnce() -> R) -> Run<R> {
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "one testing::Host at a time on a thread");
            *current = Some(self);
        });
        let _leave = Leave;
        let result = plugin();
        let Record { requests, lines, queued, key_values } = with(|host| std::mem::take(&mut host.record));
        Run { result, requests, lines, queued, key_values }
    }
}

impl Default for Host {
    fn default() -> Host {
        Host::new()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Host").field("config", &self.config).field("record", &self.record).finish_non_exhaustive()
    }
}

/// Leaves the host even when the plugin panics, so that the thread's next test starts clean.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(Option::take);
    }
}

fn with<R>(act: impl FnOnce(&mut Host) -> R) -> R {
    CURRENT.with_borrow_mut(|current| {
        act(current.as_mut().expect("outside a component the host's functions work only inside `lockgate_sdk::testing::Host::run`"))
    })
}

/// The host's functions; `__bindings::imports` has the same ones inside a component.
pub(crate) mod imports {
    use super::{Queued, Sent, with};
    use crate::key_value::{Error, KeyPage};
    use crate::{Draft, http, log, queue};

    const KEY_BYTES_MAX: usize = 512;
    const VALUE_BYTES_MAX: usize = 1024 * 1024;

    pub fn config_get() -> String {
        with(|host| host.config.clone())
    }

    pub fn log_write(level: log::Level, text: &str, fields: &[(&str, &str)]) {
        let fields: String = fields.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        with(|host| host.record.lines.push((level, format!("{text}{fields}"))));
    }

    pub fn http_send(slot: &str, request: http::Request) -> Result<http::Response, http::Error> {
        with(|host| {
            let answer = (host.respond)(slot, &request);
            host.record.requests.push(Sent { slot: slot.into(), request });
            answer
        })
    }

    pub fn http_send_all(slot: &str, requests: Vec<http::Request>) -> Vec<Result<http::Response, http::Error>> {
        requests.into_iter().map(|request| http_send(slot, request)).collect()
    }

    pub fn key_value_get(key: &str) -> Result<Option<Vec<u8>>, Error> {
        check_key(key)?;
        Ok(with(|host| host.record.key_values.get(key).cloned()))
    }

    pub fn key_value_set(key: &str, value: &[u8], _ttl_ms: Option<u64>) -> Result<(), Error> {
        check_key(key)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::ValueTooLarge);
        }
        with(|host| host.record.key_values.insert(key.into(), value.into()));
        Ok(())
    }

    pub fn key_value_delete(key: &str) -> Result<(), Error> {
        check_key(key)?;
        with(|host| host.record.key_values.remove(key));
        Ok(())
    }

    pub fn key_value_list(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<KeyPage, Error> {
        let limit = limit.clamp(1, 1000) as usize;
        with(|host| {
            let after = |key: &&String| key.starts_with(prefix) && cursor.is_none_or(|cursor| key.as_str() > cursor);
            let mut keys: Vec<String> = host.record.key_values.keys().filter(after).take(limit + 1).cloned().collect();
            let more = keys.len() > limit;
            keys.truncate(limit);
            let cursor = if more { keys.last().cloned() } else { None };
            Ok(KeyPage { keys, cursor })
        })
    }

    pub fn key_value_compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, Error> {
        if key_value_get(key)?.as_deref() != expected {
            return Ok(false);
        }
        key_value_set(key, value, None)?;
        Ok(true)
    }

    pub fn key_value_increment(key: &str, delta: i64) -> Result<i64, Error> {
        let now = match key_value_get(key)? {
            None => 0,
            Some(value) => std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()).ok_or(Error::NotANumber)?,
        };
        let sum = i64::checked_add(now, delta).ok_or(Error::NotANumber)?;
        key_value_set(key, sum.to_string().as_bytes(), None)?;
        Ok(sum)
    }

    pub fn queue_send(channel: &str, draft: Draft, options: queue::Options) -> Result<(), queue::Error> {
        const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
        const MESSAGES_MAX: usize = 1000;
        with(|host| {
            if draft.body.len() > BODY_BYTES_MAX {
                return Err(queue::Error::TooLarge);
            }
            if host.record.queued.len() == MESSAGES_MAX {
                return Err(queue::Error::TooMany);
            }
            host.record.queued.push(Queued { channel: channel.into(), draft, options });
            Ok(())
        })
    }

    fn check_key(key: &str) -> Result<(), Error> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains('\0') { Err(Error::InvalidKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::key_value::{self, Error};
    use crate::{config, log};

    #[test]
    fn a_request_without_a_scripted_answer_finds_the_target_unreachable() {
        let run = Host::new().run(|| http::Request::get("/x").send("target"));
        assert!(matches!(run.result, Err(http::Error::Unreachable(_))));
        assert_eq!((run.requests[0].slot.as_str(), run.requests[0].request.method.as_str()), ("target", "GET"));
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_a_permanent_failure_that_names_the_field() {
        #[derive(Debug, serde::Deserialize)]
        struct Config {
            #[serde(rename = "stage")]
            _stage: String,
        }
        let failure = Host::new().run(config::<Config>).result.unwrap_err();
        assert_eq!(failure.code(), "config-invalid");
        assert!(failure.detail().contains("missing field `stage`"), "{failure}");
    }

    #[test]
    fn the_map_refuses_what_the_host_refuses() {
        Host::new().key_value("word", "x").run(|| {
            assert_eq!(key_value::set("", b"v"), Err(Error::InvalidKey));
            assert_eq!(key_value::get(&"k".repeat(513)), Err(Error::InvalidKey));
            assert_eq!(key_value::set("k", &vec![0; 1024 * 1024 + 1]), Err(Error::ValueTooLarge));
            assert_eq!(key_value::increment("word", 1), Err(Error::NotANumber));
        });
    }

    #[test]
    fn the_map_counts_swaps_and_pages() {
        let run = Host::new().run(|| {
            assert_eq!(key_value::increment("n", 2), Ok(2));
            assert_eq!(key_value::increment("n", -3), Ok(-1));
            assert_eq!(key_value::compare_and_swap("a/1", Some(b"x"), b"y"), Ok(false));
            assert_eq!(key_value::compare_and_swap("a/1", None, b"y"), Ok(true));
            key_value::set_for("a/2", b"z", Duration::from_secs(1)).unwrap();
            let first = key_value::list("a/", None, 1).unwrap();
            assert_eq!((first.keys, first.cursor.as_deref()), (vec!["a/1".to_owned()], Some("a/1")));
            let second = key_value::list("a/", Some("a/1"), 1).unwrap();
            assert_eq!((second.keys, second.cursor), (vec!["a/2".to_owned()], None));
            key_value::delete("a/2").unwrap();
        });
        assert_eq!(run.key_values.keys().collect::<Vec<_>>(), ["a/1", "n"]);
    }

    #[test]
    fn log_lines_and_queued_messages_are_recorded() {
        let run = Host::new().run(|| {
            log::warn!("{} left", 3);
            log::write(log::Level::Info, "sent", &[("order", "#1001")]);
            queue::send("audit", Draft::new("text/plain", "hi"), queue::Options::default()).unwrap();
        });
        assert_eq!(run.lines, [(log::Level::Warn, "3 left".into()), (log::Level::Info, "sent order=#1001".into())]);
        assert_eq!((run.queued[0].channel.as_str(), run.queued[0].draft.body.as_slice()), ("audit", b"hi".as_slice()));
    }
}
