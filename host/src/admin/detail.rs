//! What may be asked of one message or dead letter: how much of the body, and which attempts.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};

use super::parameters::{Parameters, named, wrong};
use crate::ingress::answer::Refusal;
use crate::message::MessageId;
use crate::message_store::AttemptId;
use crate::message_store::sqlite::ledger::TimelineQuery;

/// What is asked of a message that is still to be found.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    all_of_the_body: bool,
    attempts_before: Option<AttemptId>,
}

impl Asked {
    /// The same of this message.
    pub fn of(self, id: MessageId) -> TimelineQuery {
        let beginning = TimelineQuery::of(id);
        let body_bytes_max = if self.all_of_the_body { usize::MAX } else { beginning.body_bytes_max };
        TimelineQuery { body_bytes_max, attempts_before: self.attempts_before, ..beginning }
    }
}

/// Which one is asked for, by the id in the path, and what of it.
///
/// # Errors
/// 400 for a path that is not UTF-8 and for any other parameter.
pub fn asked(id: Result<Path<String>, PathRejection>, request: &Request) -> Result<(String, Asked), Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let all_of_the_body = match query.one("body")?.as_deref() {
        None => false,
        Some("full") => true,
        Some(other) => return Err(wrong(format!("`body={other}`: expected `full`"))),
    };
    let attempts_before = query.read("attempts-before", "the `earlier-attempts` of the answer before")?.map(AttemptId);
    query.finish()?;
    Ok((named(id)?, Asked { all_of_the_body, attempts_before }))
}
