//! As little HTTP/1.1 as a benchmark needs: where a message ends, its status, its body. One message at a time on a connection, none
//! pipelined. What a peer sends is trusted: nothing of this stands in the way of anybody else's bytes.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest order, invoice or acknowledgement.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The largest answer to a question: metrics of a thousand integrations.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The end of a body in chunks, where nothing comes behind it.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A connection that is kept.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A message as it came.
pub struct Message<'a> {
    /// Start line and headers.
    pub head: &'a [u8],
    /// Chunked bodies with the sizes of their chunks.
    pub body: &'a [u8],
}

/// An answer to a question.
pub struct Answer {
    pub status: Option<u16>,
    pub head: String,
    pub body: String,
}

impl Wire {
    pub async fn connect(to: SocketAddr) -> Result<Self> {
        Ok(Self::new(TcpStream::connect(to).await?))
    }

    pub fn new(stream: TcpStream) -> Self {
        // Only slower without.
        drop(stream.set_nodelay(true));
        Self { stream, buffer: vec![0; MESSAGE_BYTES_MAX] }
    }

    /// Asks for `path` over a connection of its own, and gives the body of the answer.
    pub async fn get(at: SocketAddr, path: &str) -> Option<String> {
        Self::ask(at, "GET", path, "").await.map(|answer| answer.body)
    }

    /// Sends a request without a body over a connection of its own; `headers` lines end with CRLF.
    pub async fn ask(at: SocketAddr, method: &str, path: &str, headers: &str) -> Option<Answer> {
        let mut wire = Self { stream: TcpStream::connect(at).await.ok()?, buffer: vec![0; ANSWER_BYTES_MAX] };
        wire.send(format!("{method} {path} HTTP/1.1\r\nHost: {at}\r\n{headers}\r\n").as_bytes()).await.ok()?;
        let answer = wire.receive().await.ok()??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Some(Answer { status: answer.status(), head: text(answer.head), body: text(answer.body) })
    }

    pub async fn send(&mut self, message: &[u8]) -> Result<()> {
        self.stream.write_all(message).await
    }

    /// The next message; none where the other side has ended the connection between two.
    pub async fn receive(&mut self) -> Result<Option<Message<'_>>> {
        let mut filled = 0;
        loop {
            let room = self.buffer.get_mut(filled..).filter(|room| !room.is_empty());
            let room = room.ok_or_else(|| Error::new(ErrorKind::InvalidData, "a message is larger than any should be"))?;
            let read = self.stream.read(room).await?;
            if read == 0 {
                return if filled == 0 { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
            filled += read;
            if let Some(head_bytes) = whole(&self.buffer[..filled]) {
                let (head, body) = self.buffer[..filled].split_at(head_bytes);
                return Ok(Some(Message { head, body }));
            }
        }
    }
}

impl Message<'_> {
    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        std::str::from_utf8(self.head.get(9..12)?).ok()?.parse().ok()
    }
}

/// How long the head of a message is, if all of the message is there.
fn whole(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let body = bytes.len() - head;
    let is_there = match framing(&bytes[..head]) {
        Framing::Length(length) => body >= length,
        Framing::Chunked => bytes.ends_with(LAST_CHUNK),
    };
    is_there.then_some(head)
}

enum Framing {
    Length(usize),
    Chunked,
}

fn framing(head: &[u8]) -> Framing {
    for line in head.split(|byte| *byte == b'\n') {
        // Most lines start otherwise.
        let Some((b'c' | b'C' | b't' | b'T', _)) = line.split_first() else { continue };
        let Some((name, value)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(':')) else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Framing::Length(value.trim().parse().unwrap_or(0));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Framing::Chunked;
        }
    }
    Framing::Length(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_not_whole_before_its_last_byte() {
        for message in [
            "HTTP/1.1 202 Accepted\r\ncontent-type: a/b\r\nContent-Length: 3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ] {
            let bytes = message.as_bytes();
            let head = message.find("\r\n\r\n").unwrap() + 4;
            assert!((0..bytes.len()).all(|cut| whole(&bytes[..cut]).is_none()), "{message}");
            assert_eq!(whole(bytes), Some(head), "{message}");
        }
    }

    #[test]
    fn a_status_is_read_where_there_is_one() {
        let status = |head: &str| Message { head: head.as_bytes(), body: b"" }.status();
        assert_eq!(status("HTTP/1.1 202 Accepted\r\n"), Some(202));
        assert_eq!(status("HTTP/1.1"), None);
    }
}
