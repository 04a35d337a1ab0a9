//! The query of a request, read strictly: what is not known is an error, not ignored.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use http::StatusCode;

use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::message_store::sqlite::ledger::ROWS_MAX;
use crate::problem::Code;

/// Rows in a listing unless asked otherwise.
const LIMIT_DEFAULT: usize = 50;

/// The names and values of a query that nobody has taken yet.
#[derive(Clone, Debug)]
pub struct Parameters {
    left: Vec<(String, String)>,
    /// What was asked for so far, there or not.
    known: Vec<String>,
}

impl FromIterator<(String, String)> for Parameters {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(given: T) -> Self {
        Self { left: given.into_iter().collect(), known: Vec::new() }
    }
}

impl Parameters {
    /// Reads `query`, the part behind `?`.
    pub fn parse(query: Option<&str>) -> Self {
        url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect()
    }

    /// Those with a value: the fields of a form that were left empty ask for nothing.
    pub fn filled(mut self) -> Self {
        self.left.retain(|(_, value)| !value.trim().is_empty());
        self
    }

    /// Every value of `name`, in order.
    pub fn many(&mut self, name: &str) -> Vec<String> {
        self.known.push(name.to_owned());
        let (taken, left) = std::mem::take(&mut self.left).into_iter().partition(|(other, _)| other == name);
        self.left = left;
        Vec::from_iter(taken).into_iter().map(|(_, value): (String, String)| value).collect()
    }

    /// The one value of `name`, if it is there.
    ///
    /// # Errors
    /// 400 where it is there twice.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let mut values = self.many(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(wrong(format!("`{name}` is given more than once"))),
        }
    }

    /// The one value of `name`, read as a `T`.
    ///
    /// # Errors
    /// 400 where it is none.
    pub fn read<T: FromStr>(&mut self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        let value = self.one(name)?;
        value.map(|value| value.parse().map_err(|_| wrong(format!("`{name}={value}`: expected {expected}")))).transpose()
    }

    /// The one value of `name`, a time: RFC 3339, or milliseconds since 1970.
    ///
    /// # Errors
    /// 400 where it is none.
    pub fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(value) = self.one(name)? else { return Ok(None) };
        let millis = value.parse().ok().or_else(|| jiff::Timestamp::from_str(&value).ok().map(|at| at.as_millisecond()));
        millis
            .map(|millis| Some(Timestamp(millis)))
            .ok_or_else(|| wrong(format!("`{name}={value}`: expected a time such as 2026-01-31T09:30:00Z")))
    }

    /// The one value of `name`, one of the words in `all`.
    ///
    /// # Errors
    /// 400 where it is none; the words are named.
    pub fn word<T: Display>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, all: &[T]) -> Result<Option<T>, Refusal> {
        self.one(name)?.map(|value| one_of(name, &value, parse, all)).transpose()
    }

    /// Every value of `name`, each one of the words in `all`.
    ///
    /// # Errors
    /// 400 where one is none; the words are named.
    pub fn words<T: Display>(&mut self, name: &str, parse: impl Fn(&str) -> Option<T>, all: &[T]) -> Result<Vec<T>, Refusal> {
        self.many(name).iter().map(|value| one_of(name, value, &parse, all)).collect()
    }

    /// To be called last.
    ///
    /// # Errors
    /// 400 where something is left that nobody took; what is known is named.
    pub fn finish(self) -> Result<(), Refusal> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        Err(wrong(format!("`{name}` is not known here; known: {known}")))
    }
}

fn one_of<T: Display>(name: &str, value: &str, parse: impl Fn(&str) -> Option<T>, all: &[T]) -> Result<T, Refusal> {
    let words = || all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    parse(value).ok_or_else(|| wrong(format!("`{name}={value}`: expected one of {}", words())))
}

/// The part of a path that names one thing.
///
/// # Errors
/// 400 where it is not UTF-8.
pub fn named(part: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    part.map(|Path(name)| name).map_err(|_| wrong("the path is not UTF-8"))
}

/// `limit` of a listing.
///
/// # Errors
/// 400 where it is no number from 1 to 1000.
pub fn limit(query: &mut Parameters) -> Result<usize, Refusal> {
    let expected = "a number from 1 to 1000";
    match query.read("limit", expected)? {
        None => Ok(LIMIT_DEFAULT),
        Some(limit) if (1..=ROWS_MAX).contains(&limit) => Ok(limit),
        Some(limit) => Err(wrong(format!("`limit={limit}`: expected {expected}"))),
    }
}

/// 400: the request was put wrongly.
pub fn wrong(detail: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, Code::BadRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_does_not_know_and_what_comes_twice() {
        assert_eq!(Parameters::parse(Some("q=x")).finish().unwrap_err().detail, "`q` is not known here; known: none");
        let mut query = Parameters::parse(Some("key=a&q=x"));
        assert!(query.one("key").unwrap().is_some() && query.one("track").unwrap().is_none());
        assert_eq!(query.finish().unwrap_err().detail, "`q` is not known here; known: key, track");
        assert!(Parameters::parse(Some("key=a&key=b")).one("key").is_err());
        assert!(Parameters::parse(Some("limit=ten")).read::<u32>("limit", "a number").is_err());
        assert!(Parameters::parse(Some("since=yesterday")).time("since").is_err());
    }

    #[test]
    fn reads_values_as_they_were_encoded() {
        let mut query = Parameters::parse(Some("track=order%3D%231001&track=a=b&since=2026-01-01T00:00:00Z&before=5"));
        assert_eq!(query.many("track"), ["order=#1001", "a=b"]);
        assert_eq!(query.time("since").unwrap(), Some(Timestamp(1_767_225_600_000)));
        assert_eq!(query.time("before").unwrap(), Some(Timestamp(5)));
        assert_eq!(query.read::<u32>("limit", "a number").unwrap(), None);
        assert!(query.finish().is_ok());
    }
}
