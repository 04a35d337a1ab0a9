//! JSON laid out for reading, by white space alone: numbers, escapes and doubled keys stay as they came.
//!
//! For the terminal and for the console alike. Depends on nothing.

/// Deeper than this, lines are not moved further right: a hostile body must not become a thousand times as long.
const DEPTH_SHOWN_MAX: usize = 32;

/// `text` laid out, if it is a JSON object or array.
pub fn laid_out(text: &str) -> Option<String> {
    let is_json = text.trim_start().starts_with(['{', '[']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    is_json.then(|| lay_out(text))
}

/// The beginning of what is said to be JSON, laid out; nobody can tell whether all of it is.
pub fn laid_out_beginning(text: &str, content_type: &str) -> Option<String> {
    (is_said_to_be_json(content_type) && text.trim_start().starts_with(['{', '['])).then(|| lay_out(text))
}

/// Whether a content type is a JSON MIME type (MIME Sniffing Standard, section 4.6).
pub fn is_said_to_be_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
}

fn lay_out(text: &str) -> String {
    let mut laid = Laid { text: String::with_capacity(text.len() * 2), depth: 0 };
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                laid.text.push(c);
                string(&mut chars, &mut laid.text);
            }
            '{' | '[' => {
                laid.text.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => laid.text.push(end),
                    None => laid.line(laid.depth.saturating_add(1)),
                }
            }
            '}' | ']' => {
                laid.line(laid.depth.saturating_sub(1));
                laid.text.push(c);
            }
            ',' => {
                laid.text.push(c);
                laid.line(laid.depth);
            }
            ':' => laid.text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => laid.text.push(c),
        }
    }
    laid.text
}

/// The rest of a string, its end included.
fn string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

struct Laid {
    text: String,
    depth: usize,
}

impl Laid {
    fn line(&mut self, depth: usize) {
        self.depth = depth;
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n("  ", depth.min(DEPTH_SHOWN_MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_alone_what_is_not_a_json_object_or_array() {
        for text in ["not JSON", "3", "\"{\"", "{\"a\":1", "[1,]", "", &"[".repeat(1000)] {
            assert_eq!(laid_out(text), None, "{text}");
        }
        assert_eq!(laid_out_beginning("[1", "text/plain"), None);
    }

    #[test]
    fn changes_nothing_but_white_space() {
        let text = r#"{"b":10.00,"a":820982911946154508,"a":1e400,"s":"é , { \" \\","e":[],"o":{ },"l":[1,{"x":null}]}"#;
        let expected = r#"{
  "b": 10.00,
  "a": 820982911946154508,
  "a": 1e400,
  "s": "é , { \" \\",
  "e": [],
  "o": {},
  "l": [
    1,
    {
      "x": null
    }
  ]
}"#;
        assert_eq!(laid_out(text).as_deref(), Some(expected));
        assert_eq!(laid_out(expected).as_deref(), Some(expected));
    }

    #[test]
    fn lays_out_a_beginning_and_no_bomb() {
        let shown = laid_out_beginning(r#"{"a":["b"#, "application/problem+json; charset=utf-8");
        assert_eq!(shown.as_deref(), Some("{\n  \"a\": [\n    \"b"));
        let deep = "[".repeat(65_536);
        let bomb = laid_out_beginning(&deep, "application/json").unwrap();
        assert!(bomb.len() < deep.len() * 70, "{}", bomb.len());
    }
}
