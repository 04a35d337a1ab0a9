//! [`Content`]: a body and its type, as a scenario names it or as it came.

use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

/// A body and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub body: Bytes,
    pub content_type: String,
}

const JSON: &str = "application/json";

impl Content {
    pub fn json(value: &Value) -> Self {
        Self { body: value.to_string().into(), content_type: JSON.into() }
    }

    /// JSON text, as it is written.
    pub fn json_text(text: &str) -> Self {
        Self { body: Bytes::copy_from_slice(text.as_bytes()), content_type: JSON.into() }
    }

    pub fn text(text: &str) -> Self {
        Self { body: Bytes::copy_from_slice(text.as_bytes()), content_type: "text/plain".into() }
    }

    /// What a file holds; its name says what that is.
    pub fn of_file(path: &Path, body: Vec<u8>) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let content_type = match extension {
            "json" => JSON,
            "xml" => "application/xml",
            "csv" => "text/csv",
            "html" => "text/html",
            "txt" => "text/plain",
            _ => "application/octet-stream",
        };
        Self { body: body.into(), content_type: content_type.into() }
    }

    /// What it is as JSON, if it is.
    pub fn as_json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether it is said to be JSON.
    pub fn is_json(&self) -> bool {
        self.content_type == JSON
    }
}
