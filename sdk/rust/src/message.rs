//! What travels: messages in, drafts out.

use serde::{Deserialize, Serialize};

use crate::Failure;

/// One header: a lower-case name and its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

impl Header {
    /// A header; the name is made lower-case.
    pub fn new(name: impl AsRef<str>, value: impl Into<String>) -> Header {
        Header { name: name.as_ref().to_ascii_lowercase(), value: value.into() }
    }
}

/// The first value of the header `name`, whatever its case.
pub fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
}

/// A message as the host accepted it, or as the step before gave it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The host's id: a UUID as text, the same on every retry.
    pub id: String,
    /// What keeps messages in order.
    pub key: Option<String>,
    /// Media type of `body`.
    pub content_type: String,
    /// Headers the message was accepted with, without signatures and credentials.
    pub headers: Vec<Header>,
    /// The bytes exactly as they were accepted.
    pub body: Vec<u8>,
    /// When the host accepted it, in milliseconds since 1970-01-01T00:00:00Z.
    pub received_at_ms: u64,
}

impl Message {
    /// The body, read as JSON. A `serde_json::Value` keeps every digit of every number (`10.00`, `820982911946154508`, `-0.0`)
    /// and every object in its order; only an exponent is written anew, `1E400` as `1e+400`.
    ///
    /// `T` may borrow from the body: a `Cow<str>` or a `&RawValue` is not copied.
    ///
    /// Do not read numbers through `#[serde(flatten)]` or untagged enums: serde hands those over as something else than a number.
    ///
    /// # Errors
    ///
    /// Permanent, `body-invalid`: the body is not JSON, or does not fit `T`.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = if error.is_data() { "does not have the expected shape" } else { "is not JSON" };
            Failure::permanent("body-invalid", format!("the body {what}: {error}"))
        })
    }

    /// The body as text.
    ///
    /// # Errors
    ///
    /// Permanent, `body-invalid`: the body is not UTF-8.
    pub fn text(&self) -> Result<&str, Failure> {
        std::str::from_utf8(&self.body).map_err(|error| Failure::permanent("body-invalid", format!("the body is not UTF-8: {error}")))
    }

    /// The first value of the header `name`, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// What the host knows about this call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// 0 for the first attempt, then counting attempts that failed.
    pub attempt: u32,
    /// 0, or how often an operator has replayed the message.
    pub replay: u32,
    /// Hex text, the same on every retry of this message by this integration, different for everything else.
    pub idempotency_base: String,
}

/// A name and a value by which people find a message later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Lower-case, at most 64 bytes.
    pub name: String,
    /// At most 256 bytes; the host cuts longer ones.
    pub value: String,
}

/// What a plugin gives back for the host to make a message of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    pub content_type: String,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    pub tracked: Vec<Tracked>,
}

impl Draft {
    /// A draft of these bytes.
    pub fn new(content_type: impl Into<String>, body: impl Into<Vec<u8>>) -> Draft {
        Draft { content_type: content_type.into(), headers: Vec::new(), body: body.into(), tracked: Vec::new() }
    }

    /// A draft of `value` as JSON, `application/json`.
    ///
    /// # Errors
    ///
    /// Permanent, `not-serializable`: `value` cannot be written as JSON (a map whose keys are not text).
    pub fn json(value: &(impl Serialize + ?Sized)) -> Result<Draft, Failure> {
        Ok(Draft::new("application/json", to_json(value)?))
    }

    /// Adds a value by which people find the message: `.tracked("order", "#1001")`.
    #[must_use]
    pub fn tracked(mut self, name: impl Into<String>, value: impl Into<String>) -> Draft {
        self.tracked.push(Tracked { name: name.into(), value: value.into() });
        self
    }

    /// Adds a header for whoever reads the message next.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<str>, value: impl Into<String>) -> Draft {
        self.headers.push(Header::new(name, value));
        self
    }
}

pub(crate) fn to_json(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::permanent("not-serializable", format!("cannot be written as JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn message(body: &str) -> Message {
        Message {
            id: "id".into(),
            key: None,
            content_type: "application/json".into(),
            headers: vec![Header::new("X-Shopify-Topic", "orders/create")],
            body: body.into(),
            received_at_ms: 0,
        }
    }

    #[test]
    fn a_body_that_is_not_json_fails_permanently_and_says_where() {
        let failure = message("{\"id\": ").json::<Value>().unwrap_err();
        assert_eq!((failure.code(), failure.is_transient()), ("body-invalid", false));
        assert!(failure.detail().contains("is not JSON") && failure.detail().contains("line 1"), "{failure}");
    }

    #[test]
    fn a_body_of_another_shape_fails_permanently() {
        let failure = message("[]").json::<std::collections::BTreeMap<String, Value>>().unwrap_err();
        assert!(failure.detail().contains("expected shape"), "{failure}");
    }

    #[test]
    fn a_body_that_is_not_utf_8_has_no_text() {
        let message = Message { body: vec![0xff], ..message("") };
        assert_eq!(message.text().unwrap_err().code(), "body-invalid");
    }

    #[test]
    fn digits_and_the_order_of_keys_pass_unchanged() {
        let body = r#"{"z":820982911946154508,"a":10.00,"m":1e400,"n":1E+5,"b":-0.0,"😀":"<&>"}"#;
        let draft = Draft::json(&message(body).json::<Value>().unwrap()).unwrap();
        let body = body.replace("1e400", "1e+400").replace("1E+5", "1e+5");
        assert_eq!(String::from_utf8(draft.body).unwrap(), body);
    }

    #[test]
    fn headers_are_found_whatever_their_case() {
        assert_eq!(message("").header("x-SHOPIFY-topic"), Some("orders/create"));
        assert_eq!(message("").header("absent"), None);
    }
}
