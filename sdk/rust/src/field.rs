//! Reading a JSON document field by field, with failures that name the field by its JSON pointer (RFC 6901).

use serde_json::Value;

use crate::Failure;

/// A place in a JSON document, whether or not something is there.
///
/// Missing and `null` are the same to every reader: none. What is there but of another type is a permanent failure
/// `field-type-wrong`, what is required and not there `required-field-missing`.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    value: Option<&'a Value>,
    pointer: String,
}

impl<'a> Field<'a> {
    /// The document itself.
    pub fn root(document: &'a Value) -> Field<'a> {
        Field { value: Some(document), pointer: String::new() }
    }

    /// The member `name`; nothing if this is no object. Ask [`Field::object`] first where that would be a mistake.
    pub fn at(&self, name: &str) -> Field<'a> {
        let value = self.value.and_then(|value| value.as_object()).and_then(|object| object.get(name));
        Field { value, pointer: format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1")) }
    }

    /// The JSON pointer of this field, `/line_items/0/price`; empty for the document.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The value as it stands; none if missing or `null`.
    pub fn value(&self) -> Option<&'a Value> {
        self.value.filter(|value| !value.is_null())
    }

    /// An object, to read members of.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`.
    pub fn object(&self) -> Result<Option<Field<'a>>, Failure> {
        match self.value() {
            None => Ok(None),
            Some(Value::Object(_)) => Ok(Some(self.clone())),
            Some(_) => Err(self.wrong("an object")),
        }
    }

    /// The items of a list; none if there is no list.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`: no list, or an item is no object.
    pub fn objects(&self) -> Result<Option<Vec<Field<'a>>>, Failure> {
        let items = match self.value() {
            None => return Ok(None),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong("a list")),
        };
        let fields = items.iter().enumerate().map(|(index, item)| {
            let field = Field { value: Some(item), pointer: format!("{}/{index}", self.pointer) };
            if item.is_object() { Ok(field) } else { Err(field.wrong("an object")) }
        });
        fields.collect::<Result<_, _>>().map(Some)
    }

    /// Text, exactly as it stands; an empty text is a text.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`.
    pub fn text(&self) -> Result<Option<&'a str>, Failure> {
        match self.value() {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong("text")),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`.
    pub fn flag(&self) -> Result<Option<bool>, Failure> {
        match self.value() {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.wrong("true or false")),
        }
    }

    /// An id as text of exactly its digits, whether it was written as a number or as text, however long it is.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`: anything but digits.
    pub fn digits(&self) -> Result<Option<String>, Failure> {
        self.number_text("an id of digits", |text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
    }

    /// A decimal as text of exactly its digits (`10.00` stays `10.00`), whether it was written as a number or as text.
    ///
    /// # Errors
    ///
    /// `field-type-wrong`: not a number in JSON's own notation (RFC 8259 §6).
    pub fn decimal(&self) -> Result<Option<String>, Failure> {
        self.number_text("a decimal", |text| {
            // `Number` reads exactly JSON's notation, but skips white space around it.
            !text.contains(char::is_whitespace) && text.parse::<serde_json::Number>().is_ok()
        })
    }

    /// What `read` found, which has to be there: `field.required(field.text()?)?`.
    ///
    /// # Errors
    ///
    /// `required-field-missing`.
    pub fn required<T>(&self, read: Option<T>) -> Result<T, Failure> {
        read.ok_or_else(|| {
            let how = if self.value.is_some() { "null" } else { "missing" };
            Failure::permanent("required-field-missing", format!("{} is {how}", self.name()))
        })
    }

    /// The permanent failure that this field is not what it should be: `field-type-wrong`.
    pub fn wrong(&self, expected: &str) -> Failure {
        let found = match self.value {
            None => "nothing",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "true or false",
            Some(Value::Number(_)) => "a number",
            Some(Value::String(_)) => "text",
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
        };
        let other = if found == expected { "other " } else { "" };
        Failure::permanent("field-type-wrong", format!("{} should be {expected}, and is {other}{found}", self.name()))
    }

    fn number_text(&self, expected: &str, fits: impl Fn(&str) -> bool) -> Result<Option<String>, Failure> {
        let text = match self.value() {
            None => return Ok(None),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err(self.wrong(expected)),
        };
        if fits(&text) { Ok(Some(text)) } else { Err(self.wrong(expected)) }
    }

    fn name(&self) -> &str {
        if self.pointer.is_empty() { "the document" } else { &self.pointer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        serde_json::from_str(
            r#"{"null": null, "text": "x", "empty": "", "flag": true, "big": 820982911946154508123, "money": 10.00, "money_text": "10.00",
                "huge": 1e400, "list": [{"a": 1}, 2], "a/b~c": {"d": 1}, "spaced": " 1", "signed": "+1"}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_is_required_and_missing_or_null_is_named_by_its_pointer() {
        let document = document();
        let missing = Field::root(&document).at("customer").at("id");
        let failure = missing.required(missing.text().unwrap()).unwrap_err();
        assert_eq!((failure.code(), failure.detail()), ("required-field-missing", "/customer/id is missing"));
        let null = Field::root(&document).at("null");
        assert_eq!(null.required(null.text().unwrap()).unwrap_err().detail(), "/null is null");
    }

    #[test]
    fn another_type_is_a_failure_and_never_a_null() {
        let document = document();
        let at = |name: &str| Field::root(&document).at(name);
        assert_eq!(at("flag").text().unwrap_err().detail(), "/flag should be text, and is true or false");
        assert_eq!(at("text").flag().unwrap_err().code(), "field-type-wrong");
        assert_eq!(at("text").object().unwrap_err().code(), "field-type-wrong");
        assert_eq!(at("text").objects().unwrap_err().code(), "field-type-wrong");
        assert_eq!(at("list").objects().unwrap_err().detail(), "/list/1 should be an object, and is a number");
        for not_an_id in ["text", "empty", "money", "huge", "flag", "spaced", "signed"] {
            assert_eq!(at(not_an_id).digits().unwrap_err().code(), "field-type-wrong", "{not_an_id}");
        }
        for not_a_decimal in ["text", "empty", "flag", "spaced", "signed"] {
            assert_eq!(at(not_a_decimal).decimal().unwrap_err().code(), "field-type-wrong", "{not_a_decimal}");
        }
    }

    #[test]
    fn ids_and_decimals_keep_every_digit() {
        let document = document();
        let at = |name: &str| Field::root(&document).at(name);
        assert_eq!(at("big").digits().unwrap().unwrap(), "820982911946154508123");
        assert_eq!(at("money").decimal().unwrap().unwrap(), "10.00");
        assert_eq!(at("money_text").decimal().unwrap().unwrap(), "10.00");
        assert_eq!(at("huge").decimal().unwrap().unwrap(), "1e+400");
        assert_eq!(at("empty").text().unwrap(), Some(""));
    }

    #[test]
    fn pointers_are_escaped() {
        let document = document();
        assert_eq!(Field::root(&document).at("a/b~c").at("d").pointer(), "/a~1b~0c/d");
    }
}
