//! Reads TOML without losing places: collects every mistake of a file, each with line and column; of mistakes in the syntax the first.
//!
//! A [`Page`] is one file; a [`Node`] one value of it; a [`Table`] one table whose keys are all known. What cannot be
//! read is noted on the page and comes back as `None`, so that reading goes on. Depends on `problem` only; `plugin`
//! reads its manifests with it too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Code, Location, Problem, Problems};

/// More mistakes than this in one file are not listed.
const PROBLEMS_MAX: usize = 100;

/// Of a longer text the mistake is told that the parser comes upon first, which may not be the first one.
const LISTED_BYTES_MAX: usize = 64 * 1024;

/// A key longer than this is not shown whole; no key anybody knows is.
const KEY_CHARS_SHOWN: usize = 64;

/// The keys a table may have.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub known: &'static [&'static str],
    /// Part of the design, refused until they do something.
    pub not_built: &'static [&'static str],
}

impl Keys {
    /// Keys of a table of which everything is built.
    pub const fn all(known: &'static [&'static str]) -> Self {
        Self { known, not_built: &[] }
    }
}

/// One file: its name for people, its text, and what is wrong with it.
#[derive(Debug)]
pub struct Page<'t> {
    file: PathBuf,
    text: &'t str,
    only_code: Option<Code>,
    /// Each with the byte of the text it is about; the lines are counted once it is known which are told.
    problems: RefCell<Vec<(usize, Problem)>>,
}

impl<'t> Page<'t> {
    /// The page of `text`; `file` is what problems name.
    pub fn new(file: impl Into<PathBuf>, text: &'t str) -> Self {
        Self { file: file.into(), text, only_code: None, problems: RefCell::default() }
    }

    /// Gives every problem of this page `code`, for files that have one code for all that can be wrong with them.
    pub fn all_as(mut self, code: Code) -> Self {
        self.only_code = Some(code);
        self
    }

    /// Reads the page with `read`, which gets the top-level table.
    ///
    /// # Errors
    /// Everything `read` noted, in the order of the file; the first mistake in the syntax alone if there is one.
    pub fn read<T>(self, keys: Keys, read: impl FnOnce(&Table<'_>) -> Option<T>) -> Result<(T, Places), Problems> {
        let root = match DeTable::parse(self.text) {
            Ok(root) => root,
            Err(error) => {
                let error = first_mistake(self.text).unwrap_or(error);
                let start = error.span().unwrap_or_default().start;
                self.note(Code::FileSyntax, start, format!("not valid TOML: {}", error.message()), "see https://toml.io");
                return Err(self.into_problems());
            }
        };
        let table = Table { page: &self, name: String::new(), start: 0, entries: root.get_ref() };
        table.refuse_unknown(keys);
        let value = read(&table);
        match value {
            Some(value) if self.problems.borrow().is_empty() => Ok((value, Places::of(&self, root.get_ref()))),
            _ => Err(self.into_problems()),
        }
    }

    fn note(&self, code: Code, offset: usize, message: impl Into<String>, fix: impl Into<String>) {
        let code = self.only_code.unwrap_or(code);
        self.problems.borrow_mut().push((offset, Problem::new(code, message).fix(fix)));
    }

    fn into_problems(self) -> Problems {
        let mut problems = self.problems.into_inner();
        if problems.is_empty() {
            return Problem::new(Code::Internal, format!("{} could not be read and nothing says why", self.file.display())).into();
        }
        problems.sort_by_key(|(offset, _)| *offset);
        problems.truncate(PROBLEMS_MAX);
        Problems(problems.into_iter().map(|(offset, problem)| problem.at(location(&self.file, self.text, offset))).collect())
    }
}

/// The first mistake in a text: the others mostly follow from it, since behind a bracket that is missing nothing is what it seems. None for
/// a long text, which may have as many as it has bytes, each of which takes a kilobyte to be told.
fn first_mistake(text: &str) -> Option<toml::de::Error> {
    if text.len() > LISTED_BYTES_MAX {
        return None;
    }
    let (_, errors) = DeTable::parse_recoverable(text);
    errors.into_iter().min_by_key(|error| error.span().unwrap_or_default().start)
}

/// Line and column of a byte of a text. Columns count characters. It takes time in proportion to the text.
fn location(file: &Path, text: &str, offset: usize) -> Location {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = before.matches('\n').count() + 1;
    Location { file: file.to_owned(), line, column: before[line_start..].chars().count() + 1 }
}

/// Where the values of a file stand, so that checks made later can name the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    file: PathBuf,
    text: Arc<str>,
    /// The byte where a value starts, by path: `source/0/webhook/verify`. A file has many values and few are ever asked
    /// for, so their lines are not counted yet.
    starts: BTreeMap<String, usize>,
}

impl Places {
    fn of(page: &Page<'_>, root: &DeTable<'_>) -> Self {
        let mut starts = BTreeMap::new();
        for (key, value) in root {
            collect(key.get_ref().to_string(), value, &mut starts);
        }
        Self { file: page.file.clone(), text: page.text.into(), starts }
    }

    /// The place of `path`, or of what is nearest above it; the start of the file if there is nothing.
    pub fn at(&self, path: &str) -> Location {
        let mut path = path;
        loop {
            if let Some(start) = self.starts.get(path) {
                return location(&self.file, &self.text, *start);
            }
            match path.rfind('/') {
                Some(cut) => path = &path[..cut],
                None => return Location { file: self.file.clone(), line: 1, column: 1 },
            }
        }
    }

    /// The whole file.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file all this is about.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn collect(path: String, value: &Spanned<DeValue<'_>>, starts: &mut BTreeMap<String, usize>) {
    match value.get_ref() {
        DeValue::Table(table) => {
            for (key, child) in table {
                collect(format!("{path}/{}", key.get_ref()), child, starts);
            }
        }
        DeValue::Array(items) => {
            for (index, child) in items.iter().enumerate() {
                collect(format!("{path}/{index}"), child, starts);
            }
        }
        _ => {}
    }
    starts.insert(path, value.span().start);
}

/// A table of a page.
#[derive(Debug)]
pub struct Table<'a> {
    page: &'a Page<'a>,
    name: String,
    start: usize,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// The value of `key`, if it is there.
    pub fn optional(&self, key: &str) -> Option<Node<'a>> {
        let (_, value) = self.entries.get_key_value(key)?;
        Some(Node { page: self.page, name: self.path(key), value })
    }

    /// The value of `key`; that it is missing is noted. `example` is what a right line looks like.
    pub fn required(&self, key: &str, example: &str) -> Option<Node<'a>> {
        let found = self.optional(key);
        if found.is_none() {
            self.missing(key, example);
        }
        found
    }

    /// Notes that `key` is missing.
    pub fn missing(&self, key: &str, example: &str) {
        self.page.note(Code::MissingKey, self.start, format!("`{}` is missing", self.path(key)), format!("add `{example}`"));
    }

    /// Notes something about the table as a whole.
    pub fn wrong(&self, code: Code, message: impl Into<String>, fix: impl Into<String>) {
        self.page.note(code, self.start, message, fix);
    }

    /// Every key with its value, for tables whose keys the user chooses.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + '_ {
        self.entries.iter().map(|(key, value)| {
            let node = Node { page: self.page, name: self.path(key.get_ref()), value };
            (key.get_ref().as_ref(), node)
        })
    }

    /// Notes something about a key itself.
    pub fn wrong_key(&self, key: &str, code: Code, message: impl Into<String>, fix: impl Into<String>) {
        let offset = self.entries.get_key_value(key).map_or(self.start, |(key, _)| key.span().start);
        self.page.note(code, offset, message, fix);
    }

    fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn refuse_unknown(&self, keys: Keys) {
        for key in self.entries.keys() {
            let key: &str = key.get_ref();
            if key.chars().nth(KEY_CHARS_SHOWN).is_some() {
                let message = format!("unknown key `{}…`", self.path(&key.chars().take(KEY_CHARS_SHOWN).collect::<String>()));
                self.wrong_key(key, Code::UnknownKey, message, format!("known here: {}", keys.known.join(", ")));
            } else if keys.not_built.contains(&key) {
                let message = format!("`{}` is not built in this version", self.path(key));
                self.wrong_key(key, Code::UnknownKey, message, format!("remove `{key}`; known here: {}", keys.known.join(", ")));
            } else if !keys.known.contains(&key) {
                let listed = format!("known here: {}", keys.known.join(", "));
                let fix = match nearest(key, keys.known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`? {listed}"),
                    None => listed,
                };
                self.wrong_key(key, Code::UnknownKey, format!("unknown key `{}`", self.path(key)), fix);
            }
        }
    }
}

/// What of `known` is closest to `word`, if anything is close.
pub fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let distance_max = (word.chars().count() / 3).max(1);
    known
        .map(|known| (strsim::damerau_levenshtein(word, known), known))
        .filter(|(far, _)| *far <= distance_max)
        .min()
        .map(|(_, known)| known)
}

/// A value of a page.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    page: &'a Page<'a>,
    name: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Node<'a> {
    /// The dotted name: `delivery.backoff.base`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The bare value.
    pub fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    /// Notes `why` this value cannot be used; `example` is a right value as TOML.
    pub fn invalid(&self, why: &str, example: &str) {
        let key = self.name.rsplit('.').next().unwrap_or(&self.name);
        // An entry of a list has no key of its own.
        let line = if key.contains(' ') { example.to_owned() } else { format!("{key} = {example}") };
        self.note(Code::WrongValue, format!("`{}` {why}", self.name), format!("for example `{line}`"));
    }

    /// Notes any problem at the place of this value.
    pub fn note(&self, code: Code, message: impl Into<String>, fix: impl Into<String>) {
        self.page.note(code, self.value.span().start, message, fix);
    }

    /// Notes that this is of the wrong type. Never shows the value, which may be a secret in the wrong place.
    pub fn not(&self, expected: &str, example: &str) {
        self.invalid(&format!("must be {expected}; it is {}", type_name(self.value())), example);
    }

    /// A text of 1 to `chars_max` characters.
    pub fn text(&self, chars_max: usize, example: &str) -> Option<&'a str> {
        let Some(text) = self.value().as_str() else {
            self.not("a text", example);
            return None;
        };
        match text.chars().count() {
            0 => self.invalid("is empty", example),
            count if count > chars_max => self.invalid(&format!("has {count} characters; {chars_max} are the most"), example),
            _ => return Some(text),
        }
        None
    }

    /// A text that `parse` understands; its error says why not, as the rest of a sentence.
    pub fn parsed<T>(&self, example: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(TEXT_CHARS_MAX, example)?;
        parse(text).map_err(|why| self.invalid(&format!("= \"{}\": {why}", text.escape_debug()), example)).ok()
    }

    /// The same for texts that may hold a secret by mistake: the text is not shown.
    pub fn parsed_unseen<T>(&self, example: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(TEXT_CHARS_MAX, example)?;
        parse(text).map_err(|why| self.invalid(&format!("cannot be used: {why}"), example)).ok()
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let example = format!("\"{}\"", words.first().map_or("", |(word, _)| word));
        self.parsed(&example, |text| {
            let listed = || words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| format!("expected one of {}", listed()))
        })
    }

    /// True or false.
    pub fn boolean(&self, example: &str) -> Option<bool> {
        let found = self.value().as_bool();
        if found.is_none() {
            self.not("true or false", example);
        }
        found
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: Range<u64>, example: &str) -> Option<u64> {
        let Some(number) = self.value().as_integer() else {
            self.not("a whole number", example);
            return None;
        };
        let found = u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| range.contains(number));
        if found.is_none() {
            self.invalid(&format!("= {number}: must be from {} to {}", range.start, range.end.saturating_sub(1)), example);
        }
        found
    }

    /// A table with just these keys.
    pub fn table(&self, keys: Keys, example: &str) -> Option<Table<'a>> {
        let table = self.map(example)?;
        table.refuse_unknown(keys);
        Some(table)
    }

    /// A table whose keys the user chooses.
    pub fn map(&self, example: &str) -> Option<Table<'a>> {
        let Some(entries) = self.value().as_table() else {
            self.not("a table", example);
            return None;
        };
        Some(Table { page: self.page, name: self.name.clone(), start: self.value.span().start, entries })
    }

    /// A list of at most `items_max`; each item is named `name 1`, `name 2`.
    pub fn list(&self, items_max: usize, example: &str) -> Option<Vec<Node<'a>>> {
        let Some(items) = self.value().as_array() else {
            self.not("a list", example);
            return None;
        };
        if items.len() > items_max {
            self.invalid(&format!("has {} entries; {items_max} are the most", items.len()), example);
            return None;
        }
        let named = |(index, value)| Node { page: self.page, name: format!("{} {}", self.name, index + 1), value };
        Some(items.iter().enumerate().map(named).collect())
    }
}

/// Texts that are parsed further are at most this long.
const TEXT_CHARS_MAX: usize = 1024;

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a decimal number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
