//! What names look like: integrations, aliases, slots, values, plugins and channels.
//!
//! Depends on nothing. Names appear in paths, keys of the message store, metrics and URLs, so that they are plain.

/// Names of integrations, aliases, slots, values, environments and plugins are at most this long.
pub const NAME_CHARS_MAX: usize = 64;
/// Names of channels are at most this long.
pub const CHANNEL_CHARS_MAX: usize = 128;

/// Whether `text` is a name: lower-case letters, digits and `-`, starting with a letter and not ending in `-`.
pub fn is_name(text: &str) -> bool {
    text.len() <= NAME_CHARS_MAX
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// Whether `text` is the name of a channel: names joined by dots.
pub fn is_channel(text: &str) -> bool {
    text.len() <= CHANNEL_CHARS_MAX && text.split('.').all(is_name)
}

/// `text` if it is a name.
pub fn name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(NAME_RULE.to_owned()) }
}

/// `text` if it is the name of a channel.
pub fn channel(text: &str) -> Result<String, String> {
    if is_channel(text) {
        Ok(text.to_owned())
    } else {
        Err("a channel is named like `orders.canonical`: lower-case letters, digits, `-` and `.`, at most 128".into())
    }
}

/// The rule, for people.
pub const NAME_RULE: &str = "a name has lower-case letters, digits and `-`, starts with a letter, and is at most 64 long";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_would_not_survive_a_path_or_a_metric() {
        for bad in ["", "-a", "a-", "1a", "A", "a_b", "a b", "a/b", "..", "é", "a.b", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad:?}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "Orders", &"a.".repeat(70)] {
            assert!(!is_channel(bad), "{bad:?}");
        }
    }

    #[test]
    fn takes_plain_names() {
        assert!(["a", "order-to-crm", "s3", &"a".repeat(64)].iter().all(|name| is_name(name)));
        assert!(["orders", "orders.canonical", "a.b-2.c"].iter().all(|name| is_channel(name)));
    }
}
