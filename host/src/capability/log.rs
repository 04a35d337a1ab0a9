//! `log`: lines of a plugin in the host's log, bounded per call, with nothing in them that could act on a terminal.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Who speaks, on every line.
#[derive(Clone, Debug)]
pub struct Speaker {
    pub integration: String,
    pub message: String,
    pub plugin: String,
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
macro_rules! emit {
    ($level:ident, $speaker:expr, $text:expr, $fields:expr) => {
        tracing::event!(
            target: "plugin",
            tracing::Level::$level,
            integration = $speaker.integration,
            message_id = $speaker.message,
            plugin = $speaker.plugin,
            fields = $fields,
            "{}",
            $text
        )
    };
}

impl Speaker {
    fn emit(&self, level: Level, text: &str, fields: &[(&str, &str)]) {
        let text = escaped(text);
        let fields = (!fields.is_empty()).then(|| joined(fields));
        match level {
            Level::Trace => emit!(TRACE, self, text, fields),
            Level::Debug => emit!(DEBUG, self, text, fields),
            Level::Info => emit!(INFO, self, text, fields),
            Level::Warn => emit!(WARN, self, text, fields),
            Level::Error => emit!(ERROR, self, text, fields),
        }
    }
}

/// `name="value" name="value"`, quotes and control characters escaped.
fn joined(fields: &[(&str, &str)]) -> String {
    fields.iter().fold(String::new(), |mut joined, (name, value)| {
        let space = if joined.is_empty() { "" } else { " " };
        let _ = write!(joined, "{space}{}=\"{}\"", escaped(name), escaped(&value.replace('"', "\\\"")));
        joined
    })
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

    fn log(bytes_max: usize) -> CallLog {
        CallLog::new(Speaker { integration: "i".into(), message: "m".into(), plugin: "p".into() }, bytes_max)
    }

    #[test]
    fn drops_and_counts_what_is_over_the_limit() {
        let log = log(10);
        log.write(Level::Info, "12345678", &[]);
        log.write(Level::Info, "1234", &[]);
        log.write(Level::Info, "12", &[]);
        log.write(Level::Info, "", &[]);
        assert_eq!(log.dropped(), 2);
    }

    #[test]
    fn escapes_what_would_act_on_a_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d ü"), "a\\u{1b}[2Jb\\nc\\u{202e}d ü");
        assert_eq!(joined(&[("a", "say \"hi\""), ("b", "x")]), "a=\"say \\\"hi\\\"\" b=\"x\"");
    }
}
