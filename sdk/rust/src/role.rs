//! The roles a plugin can have, and what each gives back.

use crate::{Context, Draft, Failure, Message};

/// A mapping: a message in, messages out.
pub trait Transformer {
    /// Turns `message` into others. Called again with the same arguments on a retry, in a fresh instance.
    ///
    /// # Errors
    ///
    /// A [`Failure`] the host retries or dead-letters.
    fn transform(message: Message, context: Context) -> Result<Output, Failure>;
}

/// Delivers messages to a system.
pub trait Sink {
    /// Delivers `message`. May be called again for the same message (at least once): send the same content, so that the
    /// host's `Idempotency-Key` holds, or check before writing.
    ///
    /// # Errors
    ///
    /// A [`Failure`] the host retries or dead-letters.
    fn deliver(message: Message, context: Context) -> Result<Delivered, Failure>;
}

/// Delivers several messages to a system at once.
pub trait BatchSink {
    /// Delivers `messages`, oldest first, no two of one key, and gives one result for each, in their order. A message that fails is
    /// retried or dead-lettered alone.
    ///
    /// A message may come again (at least once), and then in other company: the host's `Idempotency-Key` and
    /// `context.idempotency_base` follow from all messages of the call. Have the target know the single message again: write in a way
    /// that may be repeated, such as an upsert by an external id made of the message's id or of its data.
    ///
    /// A call that panics, goes over a limit or gives back another number of results is repeated in halves, until the message that is
    /// to blame is alone.
    fn deliver_batch(messages: Vec<Message>, context: Context) -> Vec<Result<Delivered, Failure>>;
}

/// Fetches messages from a system that does not send them by itself.
pub trait Source {
    /// Fetches what came after `cursor`; none on the first poll.
    ///
    /// # Errors
    ///
    /// A [`Failure`]; the cursor stays where it was.
    fn poll(cursor: Option<String>) -> Result<Page, Failure>;
}

/// What is done once for a configuration, and not for every message: a table read into a map, a template parsed.
///
/// The host calls it when a release is deployed and when its configuration changes; every call then begins with the memory as it was
/// behind it. Keep what follows from the configuration in a `static`:
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::OnceLock;
///
/// use lockgate_sdk::{Context, Draft, Failure, Message, Output, Setup, Transformer};
///
/// struct Plugin;
///
/// static COUNTRIES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
///
/// impl Setup for Plugin {
///     fn setup() -> Result<(), Failure> {
///         COUNTRIES.set(lockgate_sdk::config()?).map_err(|_| Failure::permanent("set-up-twice", "it is called once"))
///     }
/// }
///
/// impl Transformer for Plugin {
///     fn transform(message: Message, _context: Context) -> Result<Output, Failure> {
///         let code = message.text()?;
///         let country = COUNTRIES.get().and_then(|countries| countries.get(code));
///         Ok(Draft::json(&country)?.into())
///     }
/// }
///
/// lockgate_sdk::export_setup!(Plugin);
/// lockgate_sdk::export_transformer!(Plugin);
/// ```
///
/// Nothing of the host is there but [`config()`](crate::config()) and [`log`](crate::log); clocks stand still, and random bytes are the same every
/// time.
pub trait Setup {
    /// Reads the configuration.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration: the release is refused with the detail. It makes no difference whether the failure is permanent.
    fn setup() -> Result<(), Failure>;
}

/// Nothing is to be done for a message, and that is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Stable, lower-case with hyphens: `test-order`.
    pub code: String,
    /// Why, for people.
    pub detail: String,
}

/// What became of a message in a [`Transformer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The messages made from it; several are delivered, retried and dead-lettered each on its own.
    Drafts(Vec<Draft>),
    /// Nothing is to be sent, for this reason.
    Skip(Skip),
}

impl Output {
    /// Nothing is to be sent. `code` is lower-case with hyphens.
    pub fn skip(code: impl Into<String>, detail: impl Into<String>) -> Output {
        Output::Skip(Skip { code: code.into(), detail: detail.into() })
    }
}

impl From<Draft> for Output {
    fn from(draft: Draft) -> Output {
        Output::Drafts(vec![draft])
    }
}

impl From<Vec<Draft>> for Output {
    fn from(drafts: Vec<Draft>) -> Output {
        Output::Drafts(drafts)
    }
}

/// What the target made of a message. All of it may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The target's id of the record.
    pub remote_id: Option<String>,
    /// The target's version of the record (an ETag, a change number).
    pub remote_version: Option<String>,
    /// Anything else worth keeping in the ledger, for people. The host keeps 4 KiB.
    pub detail: Option<String>,
}

/// How a [`Sink`] or [`BatchSink`] ended well for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// The target has it.
    Receipt(Receipt),
    /// There was nothing to deliver, for this reason.
    Skip(Skip),
}

impl Delivered {
    /// There was nothing to deliver. `code` is lower-case with hyphens.
    pub fn skip(code: impl Into<String>, detail: impl Into<String>) -> Delivered {
        Delivered::Skip(Skip { code: code.into(), detail: detail.into() })
    }
}

impl From<Receipt> for Delivered {
    fn from(receipt: Receipt) -> Delivered {
        Delivered::Receipt(receipt)
    }
}

/// A message found by a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The source's id of the record at this version; two items of one id are one message.
    pub id: String,
    /// What must stay in order.
    pub key: Option<String>,
    pub draft: Draft,
}

/// What one poll found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In the order in which they are to be delivered; at most 10,000.
    pub items: Vec<Item>,
    /// Where the next poll starts. Committed together with the items, or not at all.
    pub cursor: String,
    /// There is more to fetch now; the host polls again at once.
    pub more: bool,
}
