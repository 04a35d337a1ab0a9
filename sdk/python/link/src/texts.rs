//! URLs in what the interpreter says of itself: where its documentation is, who defined a format. A component that holds them looks as if
//! it had systems of its own to call, which hosts refuse; and what a file of Python's library said stays in memory after it was read.

use std::ops::Range;

use anyhow::Result;
use memchr::memmem;
use wasmparser::{Parser, Payload};

const SCHEMES: [&[u8]; 3] = [b"http", b"https", b"ftp"];
/// Names that programs compare and write, and nobody calls.
const NAMES: [&[u8]; 3] = [b"www.w3.org/", b"www.apple.com/DTDs/", b"xml.org/"];
const SEPARATOR: &[u8] = b"://";
/// As long, and no separator.
const INSTEAD: &[u8] = b"::/";

/// Makes the URLs in a text unreadable for programs, of the same length.
pub fn blank_urls(text: &mut [u8]) {
    let separators: Vec<usize> = memmem::find_iter(text, SEPARATOR).collect();
    for found in separators {
        let at = found + SEPARATOR.len();
        let is_url = SCHEMES.iter().any(|scheme| text[..found].ends_with(scheme));
        if is_url && !NAMES.iter().any(|name| text[at..].starts_with(name)) {
            text[found..at].copy_from_slice(INSTEAD);
        }
    }
}

/// The same in the data of a module.
pub fn blank_urls_of_module(module: &[u8]) -> Result<Vec<u8>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::DataSection(section) = payload? {
            for data in section {
                let data = data?;
                ranges.push(data.range.end - data.data.len()..data.range.end);
            }
        }
    }
    let mut blanked = module.to_vec();
    for range in ranges {
        blank_urls(&mut blanked[range]);
    }
    Ok(blanked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_blanked_and_names_stay() {
        let mut text = *b"see https://docs.python.org/3/ and http://www.w3.org/XML/1998/namespace, ftp://a.b; file://x scheme://y ://";
        blank_urls(&mut text);
        let expected = "see https::/docs.python.org/3/ and http://www.w3.org/XML/1998/namespace, ftp::/a.b; file://x scheme://y ://";
        assert_eq!(std::str::from_utf8(&text), Ok(expected));
    }
}
