//! In which way a value of an output follows a field: [`How`]. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::failures::follow::as_text;

/// The closest first: of several samples the loosest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The same whatever it is, as long as it is there.
    OnlyMissing,
    Copied,
    CopiedAsText,
    CopiedAsNumber,
    Trimmed,
    UpperCase,
    LowerCase,
    /// The output has the whole field in it, and more.
    Within,
    /// The output is a part of the field.
    PartOf,
    /// One other value, whatever else the field is.
    Switches,
    /// Another value, nobody knows by which rule.
    Follows,
}

impl How {
    /// What it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnlyMissing => "only that it is there",
            Self::Copied => "copied",
            Self::CopiedAsText => "copied, as text",
            Self::CopiedAsNumber => "copied, as a number",
            Self::Trimmed => "copied, trimmed",
            Self::UpperCase => "copied, in upper case",
            Self::LowerCase => "copied, in lower case",
            Self::Within => "whole, with something around it",
            Self::PartOf => "a part of it",
            Self::Switches => "the same other value, whatever else it is",
            Self::Follows => "another value with it",
        }
    }
}

/// What a text is made into.
type Change<'a> = &'a dyn Fn(&str) -> String;

/// What the field was, and what the output was then.
pub type Pair<'a> = (&'a Value, Option<&'a Value>);

/// How an output follows a field, where `intact` is the pair of the sample as it is, and `others` are those with another value in the field;
/// none: it does not follow it.
pub fn how(intact: Pair<'_>, others: &[Pair<'_>]) -> Option<How> {
    if others.iter().all(|(_, output)| *output == intact.1) {
        return None;
    }
    let all: Vec<Pair<'_>> = std::iter::once(&intact).chain(others).copied().collect();
    let texts: Option<Vec<(String, String)>> = all.iter().map(|(field, output)| Some((as_text(field), as_text((*output)?)))).collect();
    let Some(texts) = texts else { return Some(How::Follows) };
    let is = |made: Change<'_>| texts.iter().all(|(field, output)| made(field) == *output);
    if is(&str::to_owned) {
        let same_kind = all.iter().all(|(field, output)| Some(*field) == *output);
        return Some(match intact.1 {
            _ if same_kind => How::Copied,
            Some(Value::Number(_)) => How::CopiedAsNumber,
            _ => How::CopiedAsText,
        });
    }
    let cases: [(How, Change<'_>); 5] = [
        (How::Trimmed, &|text| text.trim().to_owned()),
        (How::UpperCase, &|text| text.to_uppercase()),
        (How::UpperCase, &|text| text.trim().to_uppercase()),
        (How::LowerCase, &|text| text.to_lowercase()),
        (How::LowerCase, &|text| text.trim().to_lowercase()),
    ];
    if let Some((how, _)) = cases.iter().find(|(_, made)| is(*made)) {
        return Some(*how);
    }
    if texts.iter().all(|(field, output)| !field.trim().is_empty() && output.contains(field.trim())) {
        return Some(How::Within);
    }
    if texts.iter().all(|(field, output)| !output.is_empty() && field.contains(output.as_str())) {
        return Some(How::PartOf);
    }
    let first = others.first().and_then(|(_, output)| *output);
    let is_one = others.len() > 1 && others.iter().all(|(_, output)| *output == first);
    Some(if is_one { How::Switches } else { How::Follows })
}
