//! What travels: [`Item`], one part of one message.

use std::fmt;
use std::str::FromStr;

/// Ordered as they were sent, within a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    pub key: String,
    pub number: u64,
    pub part: u64,
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.key, self.number, self.part)
    }
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unreadable = || format!("{text:?} is no item");
        let words: Vec<&str> = text.split(' ').collect();
        let &[key, number, part] = words.as_slice() else { return Err(unreadable()) };
        let read = |word: &str| word.parse().map_err(|_| unreadable());
        Ok(Self { key: key.to_owned(), number: read(number)?, part: read(part)? })
    }
}

/// How many parts message `number` of a key is split into: mostly one, now and then three, and none for one that is poison.
pub fn parts(number: u64) -> u64 {
    match number {
        number if number % 13 == 7 => 0,
        number if number % 5 == 0 => 3,
        _ => 1,
    }
}

/// The body of a message as it is sent: what the step is to do.
pub fn sent(key: &str, number: u64) -> String {
    format!("tally {key} {number} {}", parts(number))
}
