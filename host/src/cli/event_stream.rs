//! Server-sent events as a command receives them (HTML Standard, section 9.2.6). Knows HTTP bodies, not what the events say.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::clock::{SystemClock, within};

/// A host that is there says something every 15 seconds.
const SILENT_AT_MOST: Duration = Duration::from_secs(45);
/// One event of ours is much smaller.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// A stream that is open.
#[derive(Debug)]
pub struct EventStream {
    body: Incoming,
    received: Received,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its kind; none for `message`, the usual one.
    pub name: Option<String>,
    pub data: String,
}

/// Why a stream gives no more, for people.
pub type Broken = String;

impl EventStream {
    pub fn new(body: Incoming) -> Self {
        Self { body, received: Received::default() }
    }

    /// The next event; none when the host has ended the stream.
    pub async fn next(&mut self) -> Result<Option<Sent>, Broken> {
        loop {
            if let Some(sent) = self.received.next() {
                return Ok(Some(sent));
            }
            if self.received.buffered.len() > EVENT_BYTES_MAX {
                return Err("an event without an end".to_owned());
            }
            match within(&SystemClock::new(), SILENT_AT_MOST, self.body.frame()).await {
                None => return Err(format!("nothing heard for {} s", SILENT_AT_MOST.as_secs())),
                Some(None) => return Ok(None),
                Some(Some(Err(error))) => return Err(error.to_string()),
                Some(Some(Ok(frame))) => self.received.take(&frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// The id from which to go on once this stream is over.
    pub fn seen(&self) -> Option<&str> {
        self.received.seen.as_deref()
    }
}

/// Bytes that came, and what they said so far.
#[derive(Debug, Default)]
struct Received {
    buffered: Vec<u8>,
    seen: Option<String>,
}

impl Received {
    fn take(&mut self, bytes: &Bytes) {
        self.buffered.extend_from_slice(bytes);
    }

    /// The next event that is complete. Hosts end lines with a line feed.
    fn next(&mut self) -> Option<Sent> {
        while let Some(end) = self.buffered.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.buffered.drain(..end + 2).collect();
            if let Some(sent) = self.read(&String::from_utf8_lossy(&block)) {
                return Some(sent);
            }
        }
        None
    }

    /// A block of lines: an event, or only a comment or an id.
    fn read(&mut self, block: &str) -> Option<Sent> {
        let (mut name, mut data) = (None, None::<String>);
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match (field, &mut data) {
                ("id", _) => self.seen = Some(value.to_owned()),
                ("event", _) => name = Some(value.to_owned()),
                ("data", Some(data)) => *data = format!("{data}\n{value}"),
                ("data", none) => *none = Some(value.to_owned()),
                _ => {}
            }
        }
        data.map(|data| Sent { name, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(name: Option<&str>, data: &str) -> Sent {
        Sent { name: name.map(str::to_owned), data: data.to_owned() }
    }

    #[test]
    fn reads_events_however_they_are_cut_into_pieces() {
        let stream =
            ": a comment\nretry: 1000\nid: 1\n\nid: 2\ndata: {\"text\":\"é: x\"}\n\nevent: gap\ndata: a\ndata:b\n\nid: 7\n\ndata: left";
        for size in 1..stream.len() {
            let mut received = Received::default();
            let mut all = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                received.take(&Bytes::copy_from_slice(piece));
                all.extend(std::iter::from_fn(|| received.next()));
            }
            assert_eq!(all, [sent(None, "{\"text\":\"é: x\"}"), sent(Some("gap"), "a\nb")], "in pieces of {size}");
            assert_eq!(received.seen.as_deref(), Some("7"));
        }
    }
}
