//! [`Answers`]: the last good answers to an alias's GET requests, in memory and within bounds, for the time in which its target fails.
//!
//! What may be kept, and for whom, is RFC 9111's business (sections 3 and 4), with the host as a private cache: an answer is found by the
//! integration that got it and by no other, and all of an alias are forgotten with its credential. Depends on `registry` for plain data and on
//! `clock`; when one is given in place of an error is decided in `stale`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::endpoint::Prepared;
use super::registry::EgressResponse;
use crate::clock::Timestamp;

/// Answers kept of one alias.
pub const ANSWERS_MAX: usize = 1024;
/// The longest answer that is kept, headers included.
pub const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// All kept answers of one alias together. Of more, those that were not used for the longest time go.
pub const ANSWERS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What an answer takes beside its texts.
const OVERHEAD_BYTES: usize = 256;

/// A plugin that sends one of these keeps answers itself, or wants a part of one.
const CONDITIONS: [HeaderName; 6] =
    [header::IF_MATCH, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE, header::IF_RANGE, header::RANGE];

/// A GET request whose answer may be kept.
#[derive(Clone, Debug)]
pub struct Question {
    asked: Arc<Asked>,
    /// All of its headers, for the answer's `Vary`.
    headers: HeaderMap,
}

/// What answers are found by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Asked {
    integration: Arc<str>,
    url: String,
    accept: Vec<HeaderValue>,
    accept_language: Vec<HeaderValue>,
}

/// An answer that was kept.
#[derive(Debug)]
pub struct Found {
    pub answer: EgressResponse,
    pub age: Duration,
}

/// The kept answers of one alias.
#[derive(Debug, Default)]
pub struct Answers(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    kept: HashMap<Arc<Asked>, Kept>,
    /// The one that was not used for the longest time first.
    by_use: BTreeMap<u64, Arc<Asked>>,
    uses: u64,
    bytes: usize,
    /// Counts how often all were forgotten.
    era: u64,
}

#[derive(Debug)]
struct Kept {
    answer: EgressResponse,
    /// When it was made, as far as is known.
    made_at: Timestamp,
    /// The headers its `Vary` names, as they were sent.
    vary: Vec<(HeaderName, Vec<HeaderValue>)>,
    bytes: usize,
    used: u64,
}

impl Question {
    /// None for a request whose answer is never kept.
    pub fn of(request: &Prepared) -> Option<Self> {
        let headers = &request.headers;
        let is_plain =
            request.method == Method::GET && request.body.is_empty() && !CONDITIONS.iter().any(|name| headers.contains_key(name));
        if !is_plain || says(headers, &["no-store", "no-cache"]) {
            return None;
        }
        let asked = Asked {
            integration: Arc::clone(&request.sender.integration),
            url: request.url.as_str().to_owned(),
            accept: values(headers, &header::ACCEPT),
            accept_language: values(headers, &header::ACCEPT_LANGUAGE),
        };
        Some(Self { asked: Arc::new(asked), headers: headers.clone() })
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be given back to [`Answers::keep`]: what was asked before all were forgotten is not kept after.
    pub fn era(&self) -> u64 {
        self.lock().era
    }

    /// Keeps `answer`, which was asked for at `asked_at`, if it may be kept. One that may not ends what was kept before it: that is outdated.
    pub fn keep(&self, question: &Question, answer: &EgressResponse, asked_at: Timestamp, era: u64) {
        let mut inside = self.lock();
        if inside.era != era {
            return;
        }
        inside.remove(&question.asked);
        if let Some(kept) = Kept::of(question, answer, asked_at) {
            inside.insert(Arc::clone(&question.asked), kept);
        }
    }

    /// What was answered to `question`, if that is not older than `at_most`.
    pub fn find(&self, question: &Question, now: Timestamp, at_most: Duration) -> Option<Found> {
        let mut inside = self.lock();
        let kept = inside.kept.get(&question.asked)?;
        let age = now.since(kept.made_at);
        if age > at_most {
            inside.remove(&question.asked);
            return None;
        }
        if kept.vary.iter().any(|(name, sent)| values(&question.headers, name) != *sent) {
            return None;
        }
        let answer = kept.answer.clone();
        inside.touch(&question.asked);
        Some(Found { answer, age })
    }

    /// What is at `url` was changed (RFC 9111 section 4.4).
    pub fn forget(&self, url: &str) {
        let mut inside = self.lock();
        let outdated: Vec<_> = inside.kept.keys().filter(|asked| asked.url == url).cloned().collect();
        outdated.iter().for_each(|asked| inside.remove(asked));
    }

    /// They were given to another credential.
    pub fn forget_all(&self) {
        let mut inside = self.lock();
        *inside = Inside { era: inside.era + 1, ..Inside::default() };
    }
}

impl Inside {
    fn insert(&mut self, asked: Arc<Asked>, kept: Kept) {
        self.bytes += kept.bytes;
        self.kept.insert(Arc::clone(&asked), kept);
        self.touch(&asked);
        while (self.kept.len() > ANSWERS_MAX || self.bytes > ANSWERS_BYTES_MAX)
            && let Some(oldest) = self.by_use.first_entry().map(|oldest| Arc::clone(oldest.get()))
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, asked: &Asked) {
        if let Some(kept) = self.kept.remove(asked) {
            self.by_use.remove(&kept.used);
            self.bytes -= kept.bytes;
        }
    }

    fn touch(&mut self, asked: &Arc<Asked>) {
        self.uses += 1;
        if let Some(kept) = self.kept.get_mut(asked) {
            self.by_use.remove(&kept.used);
            kept.used = self.uses;
            self.by_use.insert(self.uses, Arc::clone(asked));
        }
    }
}

impl Kept {
    /// None for an answer that may not be kept, or is too long. `private` it may be: nobody else gets it.
    fn of(question: &Question, answer: &EgressResponse, asked_at: Timestamp) -> Option<Self> {
        let headers = typed(&answer.headers);
        // What must not be used without asking first is of no use here (RFC 9111 section 4.2.4).
        if answer.status != 200 || says(&headers, &["no-store", "no-cache", "must-revalidate"]) {
            return None;
        }
        let vary = vary(&headers)?.into_iter().map(|name| (name.clone(), values(&question.headers, &name))).collect();
        let asked = &question.asked;
        let texts = answer.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let sent = question.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
        let bytes = answer.body.len() + texts + sent + asked.url.len() + OVERHEAD_BYTES;
        if bytes > ANSWER_BYTES_MAX {
            return None;
        }
        // It may come out of another cache (RFC 9111 section 5.1). What is no number of seconds is ignored.
        let age = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok());
        let made_at = Timestamp(asked_at.0.saturating_sub(i64::from(age.unwrap_or(0_u32)).saturating_mul(1_000)));
        let mut answer = answer.clone();
        answer.headers.retain(|(name, _)| name != header::AGE.as_str());
        Some(Self { answer, made_at, vary, bytes, used: 0 })
    }
}

fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<HeaderValue> {
    headers.get_all(name).iter().cloned().collect()
}

fn typed(headers: &[(String, String)]) -> HeaderMap {
    let typed = |(name, value): &(String, String)| Some((name.parse().ok()?, value.parse().ok()?));
    headers.iter().filter_map(typed).collect::<Vec<(HeaderName, HeaderValue)>>().into_iter().fold(
        HeaderMap::new(),
        |mut all, (name, value)| {
            all.append(name, value);
            all
        },
    )
}

/// The members of a header that is a list.
fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("*").split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// Whether `Cache-Control` holds one of `directives`.
fn says(headers: &HeaderMap, directives: &[&str]) -> bool {
    members(headers, &header::CACHE_CONTROL).any(|member| {
        let name = member.split_once('=').map_or(member, |(name, _)| name).trim();
        directives.iter().any(|directive| name.eq_ignore_ascii_case(directive))
    })
}

/// The request headers the answer depends on; none where it depends on more than the request (`*`).
fn vary(headers: &HeaderMap) -> Option<Vec<HeaderName>> {
    members(headers, &header::VARY).map(|member| (member != "*").then(|| member.parse().ok()).flatten()).collect()
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
