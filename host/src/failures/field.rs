//! The ways in which one field of a JSON message is another than it was: [`Bent`]. Pure.

use serde_json::Value;

/// Of a list the fields of its first items are looked at: the others are like them.
pub const ITEMS_MAX: usize = 3;
/// Fields of one message that are looked at.
const FIELDS_MAX: usize = 2_000;
/// How much a very long text is longer.
pub const LONG_CHARS: usize = 64 * 1024;

/// What is done to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bent {
    Null,
    Missing,
    Empty,
    OtherType,
    Long,
    Quotes,
    Xml,
    Emoji,
    RightToLeft,
}

impl Bent {
    pub const ALL: [Self; 9] =
        [Self::Null, Self::Missing, Self::Empty, Self::OtherType, Self::Long, Self::Quotes, Self::Xml, Self::Emoji, Self::RightToLeft];

    /// What it is called in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::OtherType => "of another type",
            Self::Long => "very long",
            Self::Quotes => "with quotes",
            Self::Xml => "with XML's characters",
            Self::Emoji => "with emoji",
            Self::RightToLeft => "right to left",
        }
    }

    /// Whether what was in the field is not in the message any more.
    pub fn takes_away(self) -> bool {
        matches!(self, Self::Null | Self::Missing | Self::Empty)
    }

    /// Whether the field still says what it said, with other characters behind it.
    pub fn is_special(self) -> bool {
        matches!(self, Self::Quotes | Self::Xml | Self::Emoji | Self::RightToLeft)
    }

    /// What the field is then; the outer none: this cannot be done to it; the inner: it is not there.
    pub fn of(self, value: &Value) -> Option<Option<Value>> {
        let text = value.as_str();
        // With an end, so that one that is cut can be told from one that has lost characters.
        let special = |more: &str| text.map(|text| Some(Value::from(format!("{text}{more} end"))));
        match self {
            Self::Null => (!value.is_null()).then_some(Some(Value::Null)),
            Self::Missing => Some(None),
            Self::Empty => match value {
                Value::String(text) if !text.is_empty() => Some(Some(Value::from(""))),
                Value::Array(items) if !items.is_empty() => Some(Some(Value::Array(Vec::new()))),
                Value::Object(members) if !members.is_empty() => Some(Some(Value::Object(serde_json::Map::new()))),
                _ => None,
            },
            Self::OtherType => Some(Some(match value {
                Value::String(_) => Value::from(4711),
                Value::Null | Value::Number(_) | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Value::from("another type"),
            })),
            Self::Long => text.map(|text| Some(Value::from(format!("{text}{}", "x".repeat(LONG_CHARS))))),
            Self::Quotes => special(r#" "double" 'single' `back` \"#),
            Self::Xml => special(" <a href=\"x\">&amp; ]]></a> & <!--"),
            Self::Emoji => special(" 👩🏽‍🚀🇳🇱😀"),
            Self::RightToLeft => special(" שלום עולם مرحبا"),
        }
    }
}

/// A field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its JSON pointer.
    pub pointer: String,
    pub value: Value,
}

impl Field {
    /// Whether nothing is below it.
    pub fn is_leaf(&self) -> bool {
        match &self.value {
            Value::Object(members) => members.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => true,
        }
    }
}

/// Every field of `document` but itself.
pub fn fields(document: &Value) -> Vec<Field> {
    let mut found = Vec::new();
    collect(&mut found, "", document);
    found
}

fn collect(found: &mut Vec<Field>, path: &str, value: &Value) {
    let mut note = |name: &str, value: &Value| {
        if found.len() < FIELDS_MAX {
            let pointer = format!("{path}/{}", escaped(name));
            found.push(Field { pointer: pointer.clone(), value: value.clone() });
            collect(found, &pointer, value);
        }
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| note(name, value)),
        Value::Array(items) => items.iter().take(ITEMS_MAX).enumerate().for_each(|(index, value)| note(&index.to_string(), value)),
        _ => {}
    }
}

/// A name as it stands in a pointer (RFC 6901, section 3).
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A pointer with `*` for every place in a list: what is alike in all its items.
pub fn shape(pointer: &str) -> String {
    let is_place = |segment: &str| !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    pointer.split('/').map(|segment| if is_place(segment) { "*" } else { segment }).collect::<Vec<_>>().join("/")
}

/// `document` with `value` at `pointer`, or without what is there.
pub fn with(document: &Value, pointer: &str, value: Option<Value>) -> Value {
    let mut changed = document.clone();
    match value {
        Some(value) => {
            if let Some(place) = changed.pointer_mut(pointer) {
                *place = value;
            }
        }
        None => remove(&mut changed, pointer),
    }
    changed
}

fn remove(document: &mut Value, pointer: &str) {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => drop(members.shift_remove(&name.replace("~1", "/").replace("~0", "~"))),
        Some(Value::Array(items)) => {
            if let Some(index) = name.parse().ok().filter(|index: &usize| *index < items.len()) {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Other values of the same kind: what is made of a field is another with one of them, if the plugin takes it.
pub fn varied(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![Value::Bool(!flag)],
        Value::Number(number) => {
            let texts = varied_text(&number.to_string());
            texts.into_iter().filter_map(|text| text.parse::<serde_json::Number>().ok()).map(Value::Number).collect()
        }
        Value::String(text) => varied_text(text).into_iter().map(Value::from).collect(),
        _ => Vec::new(),
    }
}

/// With another last, middle and first letter or digit, each by itself.
fn varied_text(text: &str) -> Vec<String> {
    let places: Vec<usize> = text.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()).map(|(at, _)| at).collect();
    let mut chosen: Vec<usize> = [places.last(), places.get(places.len() / 2), places.first()].into_iter().flatten().copied().collect();
    chosen.dedup();
    let other = |at: usize| {
        let mut bytes = text.as_bytes().to_vec();
        let byte = bytes.get_mut(at)?;
        *byte = match *byte {
            b'9' => b'8',
            b'z' => b'y',
            b'Z' => b'Y',
            byte => byte + 1,
        };
        String::from_utf8(bytes).ok()
    };
    let varied: Vec<String> = chosen.into_iter().filter_map(other).collect();
    if varied.is_empty() { vec![format!("{text}x")] } else { varied }
}
