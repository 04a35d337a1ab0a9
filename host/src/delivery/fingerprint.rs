//! What makes two dead letters one cause: the fingerprint they are grouped by.

use sha2::{Digest, Sha256};

use crate::message::FailureClass;

/// 16 hex digits over integration, class, code and the detail with everything that differs from message to message
/// (numbers, ids, quoted text) taken out.
pub fn fingerprint(integration: &str, class: FailureClass, code: &str, detail: &str) -> String {
    let mut hash = Sha256::new();
    for part in [integration, class.as_str(), code, &shape(detail)] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(&hash.finalize()[..8])
}

/// `detail` with quoted text as `"…"` and every word that has a digit in it as `#`.
fn shape(detail: &str) -> String {
    let mut shape = String::new();
    for (index, part) in detail.split(['"', '`', '\'']).enumerate() {
        if index % 2 == 1 {
            shape.push_str("\"…\"");
            continue;
        }
        for word in part.split_inclusive(|c: char| !c.is_alphanumeric() && c != '-' && c != '_') {
            if word.contains(|c: char| c.is_ascii_digit()) { shape.push('#') } else { shape.push_str(word) }
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_what_differs_only_in_ids_and_values() {
        let of = |detail| fingerprint("crm", FailureClass::Permanent, "bad-value", detail);
        assert_eq!(of("record 0015e000 field \"Stage\" rejects \"Foo\""), of("record 0015e999 field \"Name\" rejects \"Bar\""));
        assert_ne!(of("the field is missing"), of("the field is too long"));
        assert_ne!(fingerprint("a", FailureClass::Permanent, "x", ""), fingerprint("b", FailureClass::Permanent, "x", ""));
    }
}
