//! `log`: lines of a plugin in the host's log, bounded per call, with nothing in them that could act on a terminal.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use crate::integration::PinnedPlugin;
use crate::message::MessageId;

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
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    pub integration: &'a str,
    pub message: MessageId,
    pub plugin: &'a PinnedPlugin,
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

    /// Tells how many lines were dropped, if any were. Called once, at the end of the call.
    pub fn close(&self, speaker: Speaker<'_>) {
        let dropped = self.dropped();
        if dropped > 0 {
            speaker.emit(Level::Warn, &format!("{dropped} more lines dropped: over the limit on log text of a call"), &[]);
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
macro_rules! emit {
    ($level:ident, $speaker:expr, $text:expr, $fields:expr) => {
        tracing::event!(
            target: "plugin",
            tracing::Level::$level,
            integration = $speaker.integration,
            message_id = $speaker.message.to_string(),
            plugin = format!("{}@{}", $speaker.plugin.name, $speaker.plugin.version),
            fields = $fields,
            "{}",
            $text
        )
    };
}

impl Speaker<'_> {
    fn emit(self, level: Level, text: &str, fields: &[(&str, &str)]) {
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

    fn plugin() -> PinnedPlugin {
        PinnedPlugin { name: "p".into(), version: semver::Version::new(1, 0, 0), digest: "00".repeat(32) }
    }

    fn speaker(plugin: &PinnedPlugin) -> Speaker<'_> {
        Speaker { integration: "i", message: MessageId(uuid::Uuid::nil()), plugin }
    }

    #[test]
    fn drops_and_counts_what_is_over_the_limit() {
        let (log, plugin) = (CallLog::new(10), plugin());
        for line in ["12345678", "1234", "12", ""] {
            log.write(speaker(&plugin), Level::Info, line, &[]);
        }
        assert_eq!(log.dropped(), 2);
    }

    #[test]
    fn a_line_is_written_where_it_ends_however_it_was_printed() {
        let (log, plugin) = (CallLog::new(1024), plugin());
        let mut error = OpenLine::new(Output::Error);
        for piece in ["first\nthread panicked ", "at src/lib.rs:1:", "2:\r\nwhy not\nnote: ", "advice\n", "the last"] {
            error.print(&log, speaker(&plugin), piece.as_bytes());
        }
        assert_eq!(log.last_said().unwrap(), "thread panicked at src/lib.rs:1:2: why not");
        error.end(&log, speaker(&plugin));
        assert_eq!(log.last_said().unwrap(), "thread panicked at src/lib.rs:1:2: why not the last");
        error.end(&log, speaker(&plugin));
        assert_eq!(log.lines.lock().unwrap().bytes_left, 1024 - "firstthread panicked at src/lib.rs:1:2:why notnote: advicethe last".len());
    }

    #[test]
    fn a_line_without_an_end_is_broken_and_standard_output_is_no_reason_of_a_trap() {
        let (log, plugin) = (CallLog::new(1 << 20), plugin());
        let mut standard = OpenLine::new(Output::Standard);
        standard.print(&log, speaker(&plugin), &vec![b'x'; 3 * LINE_BYTES_MAX + 1]);
        assert_eq!((standard.bytes.len(), log.last_said()), (1, None));
    }

    #[test]
    fn escapes_what_would_act_on_a_terminal() {
        assert_eq!(escaped("a\u{1b}[2Jb\nc\u{202e}d ü"), "a\\u{1b}[2Jb\\nc\\u{202e}d ü");
        assert_eq!(joined(&[("a", "say \"hi\""), ("b", "x")]), "a=\"say \\\"hi\\\"\" b=\"x\"");
    }
}
