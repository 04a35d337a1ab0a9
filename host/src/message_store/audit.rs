//! The audit trail: who changed what, when, and by what way, each entry chained to the one before by SHA-256. Plain data and the chain.
//!
//! Depends on the clock's [`Timestamp`]. Where entries are kept is `sqlite::audit`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clock::Timestamp;

/// The layout of what is hashed, [`VERSION_TAG`]. Another layout is another version; entries keep theirs.
pub const VERSION: i64 = 1;
const VERSION_TAG: &[u8] = b"lockgate audit 1\n";
/// The longest text of an entry; a longer one is cut.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;
const CUT: &str = "…";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])+ $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$each])+ $variant),+ }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the database, in JSON and on screens.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// By what way somebody came.
    Way {
        /// The admin API: commands and scripts.
        Api = "api",
        /// A form in the console.
        Console = "console",
        /// A command on the data folder of a host that does not run.
        Command = "command",
        /// The start of a host, as it was called.
        Start = "start",
        /// The host by itself, some time after somebody asked.
        Host = "host",
    }
}

words! {
    /// What was done.
    Act {
        /// An integration or an alias was paused.
        Pause = "pause",
        /// It goes on.
        Resume = "resume",
        /// An integration takes nothing new.
        Retire = "retire",
        /// It takes messages again.
        TakeBack = "take-back",
        /// Nothing of it waits any more, and it is retired.
        Retired = "retired",
        /// Dead letters were put back on their way.
        Replay = "replay",
        /// Dead letters were given up.
        Discard = "discard",
        /// Another message was delivered in place of a dead letter's.
        Edit = "edit",
        /// A message was put in by hand.
        Send = "send",
        /// An alias was asked whether it answers.
        TestAlias = "test-alias",
        /// A secret was set.
        SetSecret = "set-secret",
        /// A secret was unset.
        UnsetSecret = "unset-secret",
        /// Another environment took the place of the one that ran.
        ApplyEnvironment = "apply-environment",
        /// A backup was asked for.
        Backup = "backup",
        /// A token was made.
        CreateToken = "create-token",
        /// A token was revoked.
        RevokeToken = "revoke-token",
        /// A release became the active one.
        Activate = "activate",
        /// One that was active before became so again.
        RollBack = "roll-back",
        /// A release waits for approval.
        Propose = "propose",
        /// Somebody approved a release.
        Approve = "approve",
        /// Somebody rejected a release that waited for approval.
        Reject = "reject",
        /// A release is tried on a share of the keys.
        StartCanary = "start-canary",
        /// It is not tried any more.
        EndCanary = "end-canary",
        /// A release is shown what the active one has settled.
        StartShadow = "start-shadow",
        /// It is shown nothing any more.
        EndShadow = "end-shadow",
        /// What a role does not allow was asked for.
        Request = "request",
    }
}

words! {
    /// What became of it.
    Came {
        /// It is done: written in one transaction with this entry, or before it where an entry `asked` says so.
        Done = "done",
        /// It was asked for and is begun. What became of it is in a later entry, or in what it was about.
        Asked = "asked",
        /// It was begun and came to nothing, or not to all that was asked for.
        Failed = "failed",
        /// It was not begun: the role does not allow it.
        Refused = "refused",
    }
}

/// What is to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Entries are never dated before the one before them.
    pub at: Timestamp,
    /// The name of a token; `local` for who has the data folder's own; `start` and `host` where no person is at it.
    pub who: String,
    pub way: Way,
    pub act: Act,
    pub came: Came,
    /// What it was done to: `integration orders`.
    pub subject: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl Note {
    /// Something `who` did to `subject`. Nothing of a secret may be in any of it.
    pub fn new(at: Timestamp, (who, way): (&str, Way), act: Act, subject: impl Into<String>) -> Self {
        Self { at, who: who.to_owned(), way, act, came: Came::Done, subject: subject.into(), before: None, after: None }
    }

    pub fn came(mut self, came: Came) -> Self {
        self.came = came;
        self
    }

    /// How it was; null for nothing.
    pub fn before(mut self, before: impl Into<Value>) -> Self {
        self.before = Some(before.into()).filter(|value| !value.is_null());
        self
    }

    /// How it is since; null for nothing.
    pub fn after(mut self, after: impl Into<Value>) -> Self {
        self.after = Some(after.into()).filter(|value| !value.is_null());
        self
    }
}

/// The hash of an entry, which stands for it and for all before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// What the first entry stands on.
    pub const NONE: Self = Self([0; 32]);

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut link = [0; 32];
        hex::decode_to_slice(text.trim(), &mut link).ok().map(|()| Self(link))
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is hashed of an entry: every column but the hash, as the bytes that are stored.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    pub seq: i64,
    pub at: i64,
    /// Who, way, act, what it came to, subject, before and after.
    pub texts: [Option<&'a [u8]>; 7],
}

impl Content<'_> {
    /// The hash of this entry behind the one that `previous` stands for: SHA-256 over the version's tag, `previous`, number and time
    /// as 8 bytes each, highest first, and of each text a byte that says whether it is there, its length likewise, and its bytes. No
    /// two contents give the same bytes.
    pub fn link(&self, previous: Link) -> Link {
        let mut hash = Sha256::new();
        hash.update(VERSION_TAG);
        hash.update(previous.0);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        for text in self.texts {
            hash.update([u8::from(text.is_some())]);
            if let Some(text) = text {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
        Link(hash.finalize().into())
    }
}

/// The last entry that was written, as the writer remembers it beside the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Head {
    pub seq: i64,
    pub hash: Link,
}

/// Why the entries are not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// The first entry that does not fit; what stands before it does.
    pub entry: i64,
    pub why: String,
}

/// What a look at all entries found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// Entries that fit, from the first on.
    pub entries: i64,
    /// The hash of the last of them. Kept elsewhere, it shows later that nothing up to here was changed.
    pub head: Link,
    /// The first that does not fit.
    pub misfit: Option<Misfit>,
    /// Whether the hash that was asked about is that of an entry; none if none was.
    pub kept_head_is_in_it: Option<bool>,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn holds(&self) -> bool {
        self.misfit.is_none() && self.kept_head_is_in_it != Some(false)
    }
}

/// Entries as they are read, from the first on.
#[derive(Clone, Debug)]
pub struct Chain {
    seen: Head,
    kept: Option<Link>,
    found: bool,
}

impl Chain {
    /// One that looks for `kept` on its way.
    pub fn new(kept: Option<Link>) -> Self {
        // A chain of no entries has a head, too, which somebody may have kept.
        Self { seen: Head { seq: 0, hash: Link::NONE }, kept, found: kept == Some(Link::NONE) }
    }

    /// Where it stands.
    pub fn seen(&self) -> Head {
        self.seen
    }

    /// The next entry, with the hash that is stored with it.
    ///
    /// # Errors
    /// Where it is not what was written behind the entries before it.
    pub fn link(&mut self, content: &Content<'_>, version: i64, stored: &[u8]) -> Result<(), Misfit> {
        let expected = self.seen.seq + 1;
        let misfit = |why: String| Err(Misfit { entry: expected, why });
        if content.seq != expected {
            return misfit(format!("it is missing: the next one there is has the number {}", content.seq));
        }
        if version != VERSION {
            return misfit(format!("it is of version {version}, which this program does not know"));
        }
        let hash = content.link(self.seen.hash);
        if stored != hash.0 {
            return misfit("its hash is not that of what it says behind the entry before it: one of the two was changed".to_owned());
        }
        self.seen = Head { seq: content.seq, hash };
        self.found |= self.kept == Some(hash);
        Ok(())
    }

    /// What to make of it: `misfit` where it broke off, `written` is what the writer wrote last, and `last` the last number there is.
    pub fn end(self, misfit: Option<Misfit>, written: Head, last: i64) -> Verdict {
        let Head { seq, hash } = self.seen;
        let at_its_end = || {
            let (entry, why) = match seq.cmp(&written.seq) {
                std::cmp::Ordering::Less => (seq + 1, format!("it is missing: {} entries were written", written.seq)),
                std::cmp::Ordering::Equal if hash != written.hash => (seq, "it is not the last one that was written".to_owned()),
                _ if last > written.seq => (written.seq + 1, "no host wrote it: it stands behind the last one that was written".to_owned()),
                _ => return None,
            };
            Some(Misfit { entry, why })
        };
        let misfit = misfit.or_else(at_its_end);
        Verdict { entries: seq, head: hash, misfit, kept_head_is_in_it: self.kept.map(|_| self.found) }
    }
}

/// A value as it is entered: text that is not over [`TEXT_BYTES_MAX`].
pub fn entered(value: &Value) -> String {
    let text = value.to_string();
    if text.len() <= TEXT_BYTES_MAX { text } else { Value::from(cut(&text, TEXT_BYTES_MAX / 2)).to_string() }
}

/// `text`, of a long one its beginning.
pub fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}{CUT}", &text[..text.floor_char_boundary(bytes_max.saturating_sub(CUT.len()))])
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    /// One for tests that are about something else.
    pub(crate) fn note() -> Note {
        Note::new(Timestamp(0), ("a-test", Way::Api), Act::Pause, "integration orders")
    }

    fn content<'a>(seq: i64, who: &'a str, before: Option<&'a str>) -> Content<'a> {
        let text = |text: &'a str| Some(text.as_bytes());
        Content { seq, at: 7, texts: [text(who), text("api"), text("pause"), text("done"), text("x"), before.map(str::as_bytes), None] }
    }

    #[test]
    fn what_is_hashed_is_the_same_for_no_two_entries() {
        let one = content(1, "ab", Some("c"));
        for other in [
            content(2, "ab", Some("c")),
            content(1, "a", Some("bc")),
            content(1, "abc", None),
            content(1, "ab", None),
            content(1, "ab", Some("")),
            Content { at: 8, ..one },
        ] {
            assert_ne!(other.link(Link::NONE), one.link(Link::NONE), "{other:?}");
        }
        assert_ne!(one.link(one.link(Link::NONE)), one.link(Link::NONE));
    }

    /// Who checks a trail with another program finds the same hashes: this is what they follow from.
    #[test]
    fn the_bytes_that_are_hashed_stay_as_they_are() {
        let told = content(1, "ci", Some("null")).link(Link::NONE).to_string();
        let mut bytes = b"lockgate audit 1\n".to_vec();
        bytes.extend([0; 32]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        for text in ["ci", "api", "pause", "done", "x", "null"] {
            bytes.push(1);
            bytes.extend([0, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()]);
            bytes.extend(text.as_bytes());
        }
        bytes.push(0);
        assert_eq!(told, hex::encode(Sha256::digest(&bytes)));
    }

    #[test]
    fn a_long_value_is_cut_and_still_json() {
        let entered = entered(&json!({ "reason": "\"é".repeat(TEXT_BYTES_MAX) }));
        assert!(entered.len() <= TEXT_BYTES_MAX && entered.contains(CUT), "{}", entered.len());
        assert!(serde_json::from_str::<Value>(&entered).is_ok());
    }

    #[test]
    fn a_kept_head_is_read_as_it_is_printed_and_no_other_text_is_one() {
        assert_eq!(Link::parse(&Link([7; 32]).to_string()), Some(Link([7; 32])));
        for wrong in ["", "07", &"0".repeat(63), &"0".repeat(65), &"x".repeat(64)] {
            assert_eq!(Link::parse(wrong), None, "{wrong}");
        }
    }
}
