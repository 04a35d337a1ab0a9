//! What the binary carries. `build.rs` lists it.

include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// The project's own Cargo files: versions that the SDK is made with.
pub const CARGO_TOML: &str = include_str!("../../../Cargo.toml");
pub const CARGO_LOCK: &str = include_str!("../../../Cargo.lock");
pub const RUSTFMT_TOML: &str = include_str!("../../../rustfmt.toml");

/// The text of the template `path`. That every one that is named is there is for a test to see.
pub fn template(path: &str) -> &'static str {
    let found = TEMPLATES.iter().find(|(name, _)| *name == path);
    found.and_then(|(_, bytes)| std::str::from_utf8(bytes).ok()).unwrap_or_default()
}

/// The text of a template with its `{{words}}` filled in.
pub fn filled(path: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(template(path).to_owned(), |text, (word, value)| text.replace(&format!("{{{{{word}}}}}"), value))
}
