//! The `Idempotency-Key` of an outbound request. Pure.

use sha2::{Digest, Sha256};

/// What tells a request apart from the others of its call.
#[derive(Clone, Copy, Debug)]
pub enum RequestName<'a> {
    /// The plugin's own name for it.
    Label(&'a str),
    /// How many requests of the same method and path the call sent to the slot before.
    Ordinal { method: &'a str, path: &'a str, ordinal: u32 },
}

/// Hex SHA-256 over the call's base (integration, message, replay number), the slot and the request's name: the same on
/// every retry and on a new release.
pub fn idempotency_key(base: &str, slot: &str, name: RequestName<'_>) -> String {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(base.as_bytes());
    part(slot.as_bytes());
    match name {
        RequestName::Label(label) => {
            part(b"label");
            part(label.as_bytes());
        }
        RequestName::Ordinal { method, path, ordinal } => {
            part(b"ordinal");
            part(method.as_bytes());
            part(path.as_bytes());
            part(&ordinal.to_be_bytes());
        }
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_never_meets_a_method_and_path() {
        let label = idempotency_key("base", "target", RequestName::Label("POST/a0"));
        let ordinal = idempotency_key("base", "target", RequestName::Ordinal { method: "POST", path: "/a", ordinal: 0 });
        assert_ne!(label, ordinal);
    }

    #[test]
    fn every_part_counts_and_nothing_else_does() {
        let key = |base, slot, path, ordinal| idempotency_key(base, slot, RequestName::Ordinal { method: "POST", path, ordinal });
        let first = key("base", "target", "/a", 0);
        assert_eq!(first, key("base", "target", "/a", 0));
        assert_eq!(first.len(), 64);
        for other in
            [key("other", "target", "/a", 0), key("base", "tax", "/a", 0), key("base", "target", "/b", 0), key("base", "target", "/a", 1)]
        {
            assert_ne!(first, other);
        }
    }
}
