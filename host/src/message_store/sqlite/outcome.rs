//! How deliveries end, on record: outcomes, their tally by minute, and dead letters.

use super::failure::Done;
use super::open_letters;
use super::rows::{self, DeliveryRow};
use super::writing::Writing;
use crate::clock::Timestamp;
use crate::message::{FailureClass, Outcome};
use crate::message_store::Stage;

/// Which delivery, without its row: that is gone, or never was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub integration: &'a str,
    pub message: i64,
    pub stage: Stage,
    pub lane: Option<&'a str>,
    pub origin: i64,
    pub ordinal: i64,
    pub replay: i64,
}

impl<'a> From<&'a DeliveryRow> for Place<'a> {
    fn from(row: &'a DeliveryRow) -> Self {
        Self {
            integration: &row.integration,
            message: row.message,
            stage: row.stage,
            lane: row.lane.as_deref(),
            origin: row.origin,
            ordinal: row.ordinal,
            replay: row.replay,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'a> {
    pub outcome: Outcome,
    pub code: Option<&'a str>,
    pub detail: Option<&'a str>,
    pub receipt: Option<&'a str>,
    pub at: Timestamp,
}

/// What it died of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Died<'a> {
    pub class: FailureClass,
    pub code: &'a str,
    pub detail: &'a str,
    pub fingerprint: &'a str,
    pub attempts: i64,
    pub waits: i64,
    pub at: Timestamp,
}

/// Appends an outcome, counts it, and has the message stand so with the integration.
pub(super) fn record(writing: &Writing<'_>, place: &Place<'_>, end: &End<'_>) -> Done<()> {
    writing
        .connection
        .prepare_cached(
            "INSERT INTO outcome (message, integration, stage, lane, origin, replay, outcome, code, detail, receipt, settled_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute((
            place.message,
            place.integration,
            place.stage.as_str(),
            place.lane,
            place.origin,
            place.replay,
            end.outcome.as_str(),
            end.code,
            end.detail,
            end.receipt,
            end.at.0,
        ))?;
    writing
        .connection
        .prepare_cached(
            "INSERT INTO tally (integration, outcome, minute, count) VALUES (?1, ?2, ?3, 1)
             ON CONFLICT (minute, integration, outcome) DO UPDATE SET count = count + 1",
        )?
        .execute((place.integration, end.outcome.as_str(), minute(end.at)))?;
    rows::stands(writing, place.message, place.integration, end.outcome.as_str(), None)
}

/// The minute of the tally a time is in.
pub(super) fn minute(at: Timestamp) -> i64 {
    at.0.div_euclid(60_000)
}

/// Parks a delivery among the dead letters.
pub(super) fn bury(writing: &Writing<'_>, place: &Place<'_>, died: &Died<'_>) -> Done<()> {
    let (code, detail) = (Some(died.code), Some(died.detail));
    record(writing, place, &End { outcome: Outcome::DeadLettered, code, detail, receipt: None, at: died.at })?;
    writing
        .connection
        .prepare_cached(
            "INSERT INTO dead_letter (message, integration, stage, lane, origin, ordinal, replay, attempts, waits,
                                      class, code, detail, fingerprint, died_at, status)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'open')",
        )?
        .execute((
            place.message,
            place.integration,
            place.stage.as_str(),
            place.lane,
            place.origin,
            place.ordinal,
            place.replay,
            died.attempts,
            died.waits,
            died.class.as_str(),
            died.code,
            died.detail,
            died.fingerprint,
            died.at.0,
        ))?;
    open_letters::came(writing, place.integration, died)
}
