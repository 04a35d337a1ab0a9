//! Samples out of the ledger: the latest messages that a host on this machine recorded, each with what its systems answered then.

use super::ground::Ground;
use super::subject::Staged;
use crate::capability::heard::{Answered, Asked};
use crate::clock::Timestamp;
use crate::ledger::{Reader, Record, folder};
use crate::problem::{Code, Problem};
use crate::rehearsal::{Wanted, stories};
use crate::scenario::chamber::Incoming;
use crate::scenario::content::Content;
use crate::scenario::file::{Answer, Pattern, To};

/// Messages that are looked at, the latest.
const LATEST: usize = 50;

/// A message: its name, itself, and the good answers it got.
pub type Recorded = (String, Incoming, Vec<Answer>);

/// The latest messages of the integration.
///
/// # Errors
/// Where none is recorded, or the ledger cannot be read.
pub fn recorded(ground: &Ground<'_>, target: &Staged) -> Result<Vec<Recorded>, Problem> {
    let (name, data) = (&target.about, &ground.host.data);
    let reader = Reader::open(&folder(data))?;
    let wanted = Wanted { integration: name.clone(), since: Timestamp(0), most: LATEST, dead_letters: None };
    let told = stories(&reader, &wanted);
    let mut found = Vec::new();
    for story in &told.all {
        let Some(record) = story.root.as_ref().and_then(|located| reader.read(located).ok()) else { continue };
        let mut answers = good(&record);
        for part in parts(&record).filter_map(|message| told.part(message)) {
            answers.extend(reader.read(part).iter().flat_map(good));
        }
        found.push((format!("recorded {}", story.message), incoming(&record), answers));
    }
    if found.is_empty() {
        let message = format!("nothing of {name} is recorded in {}", data.display());
        let fix = "run this on the machine of the host, and name an integration: lockgate test --failures NAME --recorded";
        return Err(Problem::new(Code::NothingRecorded, message).fix(fix));
    }
    Ok(found)
}

fn incoming(record: &Record) -> Incoming {
    let message = &record.message;
    let content = Content { body: message.body.clone(), content_type: message.content_type.clone() };
    Incoming { content, headers: message.headers.0.clone(), id: None, key: message.key.as_ref().map(|key| key.0.clone()) }
}

/// What it became, where it became several.
fn parts(record: &Record) -> impl Iterator<Item = crate::message::MessageId> + '_ {
    let count = if let crate::ledger::Ended::FannedOut { children } = record.ended { children } else { 0 };
    (0..count).map(|ordinal| record.part(ordinal))
}

/// Every good answer of its calls.
fn good(record: &Record) -> Vec<Answer> {
    let asked = record.calls.iter().flat_map(|call| &call.heard.requests);
    asked.filter_map(answer).collect()
}

fn answer(asked: &Asked) -> Option<Answer> {
    let Some(Answered::Response { status, headers, body, stale: None, .. }) = &asked.answer else { return None };
    if !(200..300).contains(status) {
        return None;
    }
    let content_type = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type")).map(|(_, value)| value.clone());
    let content = content_type.map(|content_type| Content { body: body.clone(), content_type });
    let headers = headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")).cloned().collect();
    let to = To::Requests(Pattern { method: asked.method.clone(), path: asked.path.clone() });
    Some(Answer { alias: Some(asked.alias.clone()), status: *status, headers, content, ..Answer::to(to) })
}
