//! `log`: lines of a plugin in the host's log and among its events, bounded per call, with nothing in them that could act on a
//! terminal.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use crate::message::MessageId;
pub use crate::telemetry::events::Level;
use crate::telemetry::events::{Detail, Event, Events, Kind};

/// Who speaks, on every line, and who hears it beside the log.
#[derive(Clone, Debug)]
pub struct Speaker {
    pub integration: String,
    pub message: MessageId,
    pub plugin: String,
    pub events: Arc<Events>,
}

/// The lines of one call.
#[derive(Debug)]
pub struct CallLog {
    speaker: Speaker,
    lines: Mutex<Lines>,
}

#[derive(Debug)]
struct Lines {
    bytes_left: usize,
    dropped: u64,
    said: Option<String>,
}

/// The longest part of a line on stderr that is kept for the report of a trap.
const SAID_BYTES_MAX: usize = 512;

impl CallLog {
    /// A log that takes `bytes_max` bytes of text and fields.
    pub fn new(speaker: Speaker, bytes_max: usize) -> Self {
        Self { speaker, lines: Mutex::new(Lines { bytes_left: bytes_max, dropped: 0, said: None }) }
    }

    /// Writes one line, or counts it as dropped once the call has said too much.
    pub fn write(&self, level: Level, text: &str, fields: &[(&str, &str)]) {
        let bytes = fields.iter().fold(text.len(), |sum, (name, value)| sum.saturating_add(name.len()).saturating_add(value.len()));
        {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            // An empty line costs too.
            match lines.bytes_left.checked_sub(bytes.max(1)) {
                Some(left) => lines.bytes_left = left,
                None => {
                    lines.dropped = lines.dropped.saturating_add(1);
                    return;
                }
            }
        }
        self.speaker.emit(level, text, fields);
    }

    /// Remembers what a plugin wrote to stderr last: a Rust panic's place and message, without its advice, most likely.
    pub fn said(&self, line: &str) {
        if line.starts_with("note: ") {
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let said = match lines.said.take() {
            Some(before) if before.contains("panicked at") && !line.contains("panicked at") => format!("{before} {}", escaped(line)),
            _ => escaped(line),
        };
        lines.said = Some(crate::plugin::fault::cut(said, SAID_BYTES_MAX));
    }

    /// What was said on stderr last.
    pub fn last_said(&self) -> Option<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).said.clone()
    }

    /// Lines dropped so far.
    pub fn dropped(&self) -> u64 {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).dropped
    }

    /// Tells how many lines were dropped, if any were. Called once, at the end of the call.
    pub fn close(&self) {
        let dropped = self.dropped();
        if dropped > 0 {
            self.speaker.emit(Level::Warn, &format!("{dropped} more lines dropped: over the limit on log text of a call"), &[]);
        }
    }
}

/// Levels are part of a tracing call site, so there is one for each.
macro_rules! log_line {
    ($level:ident, $speaker:expr, $text:expr, $fields:expr) => {
        tracing::event!(
            target: "plugin",
            tracing::Level::$level,
            integration = $speaker.integration,
            message_id = $speaker.message.to_string(),
            plugin = $speaker.plugin,
            fields = joined($fields),
            "{}",
            $text
        )
    };
}

impl Speaker {
    fn emit(&self, level: Level, text: &str, fields: &[(&str, &str)]) {
        let (logged, told) = match level {
            Level::Trace => (tracing::enabled!(target: "plugin", tracing::Level::TRACE), self.events.listens(Detail::Trace)),
            Level::Debug => (tracing::enabled!(target: "plugin", tracing::Level::DEBUG), self.events.listens(Detail::Debug)),
            Level::Info | Level::Warn | Level::Error => (true, true),
        };
        if !logged && !told {
            return;
        }
        let text = escaped(text);
        let fields: Vec<(String, String)> = fields.iter().map(|(name, value)| (escaped(name), escaped(value))).collect();
        match level {
            Level::Trace => log_line!(TRACE, self, text, &fields),
            Level::Debug => log_line!(DEBUG, self, text, &fields),
            Level::Info => log_line!(INFO, self, text, &fields),
            Level::Warn => log_line!(WARN, self, text, &fields),
            Level::Error => log_line!(ERROR, self, text, &fields),
        }
        if told {
            self.tell(level, text, fields);
        }
    }

    fn tell(&self, level: Level, text: String, fields: Vec<(String, String)>) {
        let mut event = Event::new(Kind::Log, level, text).of(&self.integration).about(self.message).with("plugin", self.plugin.clone());
        event.fields.extend(fields.into_iter().map(|(name, value)| (name.into(), value.into())));
        self.events.tell(event);
    }
}

/// `name="value" name="value"`, quotes escaped; none where there are none.
fn joined(fields: &[(String, String)]) -> Option<String> {
    let join = |mut joined: String, (name, value): &(String, String)| {
        let space = if joined.is_empty() { "" } else { " " };
        let _ = write!(joined, "{space}{name}=\"{}\"", value.replace('"', "\\\""));
        joined
    };
    (!fields.is_empty()).then(|| fields.iter().fold(String::new(), join))
}

/// `text` with control characters, and those that turn the direction of text around, written out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::telemetry::events::{Filter, Reader, Start};

    fn log(bytes_max: usize) -> (CallLog, Reader) {
        let events = Events::new(Arc::new(ManualClock::at(Timestamp(0))));
        let heard = events.read(Filter { level: Some(Level::Debug), ..Filter::default() }, Start::Now);
        let message = MessageId(uuid::Uuid::nil());
        (CallLog::new(Speaker { integration: "i".into(), message, plugin: "p".into(), events }, bytes_max), heard)
    }

    #[test]
    fn drops_and_counts_what_is_over_the_limit() {
        let (log, mut heard) = log(10);
        log.write(Level::Info, "12345678", &[]);
        log.write(Level::Info, "1234", &[]);
        log.write(Level::Info, "12", &[]);
        log.write(Level::Info, "", &[]);
        assert_eq!(log.dropped(), 2);
        log.close();
        let heard: Vec<_> = heard.look().told.into_iter().map(|told| told.event.text).collect();
        assert_eq!(heard, ["12345678", "12", "2 more lines dropped: over the limit on log text of a call"]);
    }

    #[test]
    fn tells_lines_as_events_with_nothing_in_them_that_acts_on_a_terminal() {
        let (log, mut heard) = log(1_000);
        log.write(Level::Trace, "nobody asked for this", &[]);
        log.write(Level::Debug, "a\u{1b}[2Jb", &[("x", "1"), ("plugin", "another\n")]);
        let heard = serde_json::to_value(&heard.look().told).unwrap();
        assert_eq!(heard[0]["text"], "a\\u{1b}[2Jb");
        assert_eq!((&heard[0]["level"], &heard[0]["integration"]), (&"debug".into(), &"i".into()));
        assert_eq!(heard[0]["fields"], serde_json::json!({ "plugin": "p", "x": "1" }), "a plugin cannot say that it is another");
        assert_eq!(heard.as_array().unwrap().len(), 1);
    }

    #[test]
    fn escapes_what_would_act_on_a_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d ü"), "a\\u{1b}[2Jb\\nc\\u{202e}d ü");
        let fields = [("a", "say \"hi\""), ("b", "x")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(joined(&fields).as_deref(), Some("a=\"say \\\"hi\\\"\" b=\"x\""));
        assert_eq!(joined(&[]), None);
    }
}
