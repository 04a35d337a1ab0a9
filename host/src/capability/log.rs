//! `log`: lines of a plugin in the host's log and among its events, bounded per call, with nothing in them that could act on a
//! terminal.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use crate::integration::{Limit, PinnedPlugin};
use crate::message::MessageId;
pub use crate::telemetry::events::Level;
use crate::telemetry::events::{Detail, Event, Events, Kind};

/// Who speaks, on every line, and who hears it beside the log.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    pub integration: &'a str,
    pub message: MessageId,
    pub plugin: &'a PinnedPlugin,
    pub events: &'a Events,
}

/// Where a program prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Standard,
    Error,
}

/// The lines of one call.
#[derive(Debug)]
pub struct CallLog {
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
/// A line that gets longer is broken here.
const LINE_BYTES_MAX: usize = 8 * 1024;

impl CallLog {
    /// A log that takes `bytes_max` bytes of text and fields.
    pub fn new(bytes_max: usize) -> Self {
        Self { lines: Mutex::new(Lines { bytes_left: bytes_max, dropped: 0, said: None }) }
    }

    /// Writes one line, or counts it as dropped once the call has said too much.
    pub fn write(&self, speaker: Speaker<'_>, level: Level, text: &str, fields: &[(&str, &str)]) {
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
        speaker.emit(level, text, fields);
    }

    /// Remembers what a plugin wrote to stderr last: a Rust panic's place and message, without its advice, most likely.
    fn said(&self, line: &str) {
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

    /// Tells how many lines were dropped, if any were, and which limits were met that a plugin may keep to itself (`over`): these lines
    /// are the host's and cost the plugin nothing. Called once, at the end of the call.
    pub fn close(&self, speaker: Speaker<'_>, over: &[String]) {
        let dropped = self.dropped();
        let setting = Limit::Log.setting();
        let told = (dropped > 0).then(|| format!("{dropped} more lines dropped: over the limit on log text of a call ({setting})"));
        for line in told.iter().chain(over) {
            speaker.emit(Level::Warn, line, &[]);
        }
    }
}

/// The line that a program is printing, until it ends.
#[derive(Debug)]
pub struct OpenLine {
    to: Output,
    bytes: Vec<u8>,
}

impl OpenLine {
    pub fn new(to: Output) -> Self {
        Self { to, bytes: Vec::new() }
    }

    /// Takes what is printed, and writes every line that ends in it.
    pub fn print(&mut self, log: &CallLog, speaker: Speaker<'_>, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            for piece in part.chunks(LINE_BYTES_MAX) {
                let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
                self.bytes.extend_from_slice(text);
                if ends || self.bytes.len() >= LINE_BYTES_MAX {
                    self.end(log, speaker);
                }
            }
        }
    }

    /// Writes what is there of a line, if anything.
    pub fn end(&mut self, log: &CallLog, speaker: Speaker<'_>) {
        let line = std::mem::take(&mut self.bytes);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches('\r');
        if text.is_empty() {
            return;
        }
        match self.to {
            Output::Standard => log.write(speaker, Level::Info, text, &[]),
            Output::Error => {
                log.said(text);
                log.write(speaker, Level::Warn, text, &[]);
            }
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
            plugin = $speaker.plugin_text(),
            fields = joined($fields),
            "{}",
            $text
        )
    };
}

impl Speaker<'_> {
    fn plugin_text(self) -> String {
        format!("{}@{}", self.plugin.name, self.plugin.version)
    }

    fn emit(self, level: Level, text: &str, fields: &[(&str, &str)]) {
        if !self.events.is_heard() {
            return;
        }
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

    fn tell(self, level: Level, text: String, fields: Vec<(String, String)>) {
        let mut event = Event::new(Kind::Log, level, text).of(self.integration).about(self.message).with("plugin", self.plugin_text());
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
    use std::sync::Arc;

    use super::*;
    use crate::clock::{ManualClock, Timestamp};
    use crate::telemetry::events::{Filter, Reader, Start};

    /// A call's log, who speaks in it, and who hears it.
    struct Spoken {
        log: CallLog,
        plugin: PinnedPlugin,
        events: Arc<Events>,
        heard: Reader,
    }

    impl Spoken {
        fn new(bytes_max: usize) -> Self {
            let events = Events::new(Arc::new(ManualClock::at(Timestamp(0))));
            let heard = events.read(Filter { level: Some(Level::Debug), ..Filter::default() }, Start::Now);
            let plugin = PinnedPlugin { name: "p".into(), version: semver::Version::new(1, 0, 0), digest: "00".repeat(32) };
            Self { log: CallLog::new(bytes_max), plugin, events, heard }
        }

        fn speaker(&self) -> Speaker<'_> {
            Speaker { integration: "i", message: MessageId(uuid::Uuid::nil()), plugin: &self.plugin, events: &self.events }
        }

        fn write(&self, level: Level, text: &str, fields: &[(&str, &str)]) {
            self.log.write(self.speaker(), level, text, fields);
        }

        fn heard(&mut self) -> Vec<String> {
            self.heard.look().told.into_iter().map(|told| told.event.text.into_owned()).collect()
        }
    }

    #[test]
    fn drops_and_counts_what_is_over_the_limit() {
        let mut spoken = Spoken::new(10);
        for line in ["12345678", "1234", "12", ""] {
            spoken.write(Level::Info, line, &[]);
        }
        assert_eq!(spoken.log.dropped(), 2);
        spoken.log.close(spoken.speaker(), &[]);
        assert_eq!(spoken.heard(), ["12345678", "12", "2 more lines dropped: over the limit on log text of a call (limits.log)"]);
    }

    #[test]
    fn a_line_is_written_where_it_ends_however_it_was_printed() {
        let mut spoken = Spoken::new(1024);
        let mut error = OpenLine::new(Output::Error);
        for piece in ["first\nthread panicked ", "at src/lib.rs:1:", "2:\r\nwhy not\nnote: ", "advice\n", "the last"] {
            error.print(&spoken.log, spoken.speaker(), piece.as_bytes());
        }
        assert_eq!(spoken.log.last_said().unwrap(), "thread panicked at src/lib.rs:1:2: why not");
        error.end(&spoken.log, spoken.speaker());
        error.end(&spoken.log, spoken.speaker());
        assert_eq!(spoken.heard(), ["first", "thread panicked at src/lib.rs:1:2:", "why not", "note: advice", "the last"]);
    }

    #[test]
    fn a_line_without_an_end_is_broken_and_standard_output_is_no_reason_of_a_trap() {
        let spoken = Spoken::new(1 << 20);
        let mut standard = OpenLine::new(Output::Standard);
        standard.print(&spoken.log, spoken.speaker(), &vec![b'x'; 3 * LINE_BYTES_MAX + 1]);
        assert_eq!((standard.bytes.len(), spoken.log.last_said()), (1, None));
    }

    #[test]
    fn tells_lines_as_events_with_nothing_in_them_that_acts_on_a_terminal() {
        let mut spoken = Spoken::new(1_000);
        spoken.write(Level::Trace, "nobody asked for this", &[]);
        spoken.write(Level::Debug, "a\u{1b}[2Jb", &[("x", "1"), ("plugin", "another\n")]);
        let heard = serde_json::to_value(&spoken.heard.look().told).unwrap();
        assert_eq!(heard[0]["text"], "a\\u{1b}[2Jb");
        assert_eq!((&heard[0]["level"], &heard[0]["integration"]), (&"debug".into(), &"i".into()));
        assert_eq!(heard[0]["fields"], serde_json::json!({ "plugin": "p@1.0.0", "x": "1" }), "a plugin cannot say that it is another");
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
