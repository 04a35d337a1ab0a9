//! `POST /api/v1/integrations/{name}/retire`: an integration takes nothing new, what waits of it is delivered, and then its release
//! is active no more.
//!
//! On disk first, then it holds, in each of its phases: what was answered with 200 outlives the host. [`finish`] looks whether
//! anything waits still.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::operate::why;
use super::parameters::named;
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use super::{known, pausing, unread};
use crate::delivery::Retirement;
use crate::ingress::Leaving;
use crate::ingress::answer::{self, Refusal};
use crate::message_store::MessageStore;
use crate::message_store::audit::{Act, Note, Way};
use crate::message_store::sqlite::{Backfill, LEFT_COUNTED_MAX};
use crate::problem::Code;
use crate::releases::trying;
use crate::telemetry::events::{Event, Kind, Level};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RetireRequest {
    reason: Option<String>,
    /// Although others write to a channel that nobody else reads.
    #[serde(default)]
    anyway: bool,
}

/// Retires the integration of this name.
pub async fn retire(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    let RetireRequest { reason, anyway } = api.json(request).await?;
    let (parts, of) = (api.parts.clone(), name.clone());
    let (retirement, notes) = to_its_end(async move { begin(&parts, &who, &of, reason, anyway).await }).await??;
    let mut body = json!({ "integration": name, "waiting": api.parts.store.waiting(&name), "notes": notes });
    body["retirement"] = shown(Some(&retirement));
    body["paused"] = pausing::paused(api.parts.pauses.of(&name).as_ref());
    Ok(answer::json(StatusCode::OK, &body))
}

/// From now on `name` takes nothing new; where nothing of it waits, it is retired at once. Gives how it stands, and what else is to be
/// known.
///
/// # Errors
/// 400 for an alias, 404 where there is no such integration, 409 where it is not active any more or where messages would go to nobody, 503 where it
/// cannot be stored.
async fn begin(
    parts: &ApiParts,
    who: &Who,
    name: &str,
    reason: Option<String>,
    anyway: bool,
) -> Result<(Retirement, Vec<String>), Refusal> {
    let reason = reason.as_deref().map(why).transpose()?;
    let _changing = parts.retirements.change().await;
    who.must_last(parts.clock.now())?;
    must_be_active(parts, name).await?;
    if let Some(tried) = parts.releases.tried(name) {
        let command = trying::command(trying::how(&tried));
        let detail = format!("{name} tries a release beside the active one: `lockgate {command} finish {name}` or `abort` first");
        return Err(Refusal::new(StatusCode::CONFLICT, Code::CanaryRefused, detail));
    }
    let routes = parts.intake.routes();
    if !anyway && let Some(detail) = unread::by_retiring(&routes, name) {
        return Err(Refusal::new(StatusCode::CONFLICT, Code::UnreadChannel, detail));
    }
    let before = parts.retirements.of(name);
    let now = parts.clock.now();
    let since = before.as_ref().map_or(now, |before| before.since);
    let was = shown(before.as_ref());
    let retirement = Retirement { since, reason: reason.clone().or(before.and_then(|before| before.reason)), done_at: None };
    let note = who.note(now, Act::Retire, subject(name)).before(was).after(shown(Some(&retirement)));
    parts.store.retirements().begin(name, since, reason, note).await.map_err(|error| refusal(&error))?;
    parts.retirements.put(name, retirement.clone());
    parts.intake.set_leaving(name, Some(Leaving::Draining));
    tell(parts, name, &retirement, Some(who), "takes nothing new and is retired when nothing of it waits");
    let mut notes = unread::unwritten_by_retiring(&routes, name);
    let taking_over = parts.store.backfills().all().await.map_err(|error| refusal(&error))?;
    notes.extend(taking_over.iter().filter(|one| one.integration == name).map(still_to_come));
    if end(parts, name, &retirement, Some(who)).await? {
        return Ok((parts.retirements.of(name).unwrap_or(retirement), notes));
    }
    if parts.pauses.of(name).is_some() {
        notes.push(format!("{name} is paused: what waits is delivered once it is resumed (lockgate resume {name})"));
    }
    Ok((retirement, notes))
}

/// An integration that drains runs on as before. False if it does not drain.
///
/// # Errors
/// 409 where it is retired by now, 503 where it cannot be stored.
pub(super) async fn take_back(parts: &ApiParts, who: &Who, name: &str) -> Result<bool, Refusal> {
    let _changing = parts.retirements.change().await;
    who.must_last(parts.clock.now())?;
    let Some(retirement) = parts.retirements.of(name) else { return Ok(false) };
    let note = who.note(parts.clock.now(), Act::TakeBack, subject(name)).before(shown(Some(&retirement)));
    if retirement.done_at.is_some() || !parts.store.retirements().take_back(name, note).await.map_err(|error| refusal(&error))? {
        return Err(is_retired(name));
    }
    parts.retirements.remove(name);
    parts.intake.set_leaving(name, None);
    tell(parts, name, &retirement, Some(who), "was taken back from being retired: it takes messages again");
    Ok(true)
}

/// Retires those that drain of which nothing waits any more.
pub async fn finish(parts: &ApiParts) {
    for name in parts.retirements.draining() {
        let _changing = parts.retirements.change().await;
        // Somebody may have taken it back before it was our turn.
        let Some(retirement) = parts.retirements.of(&name).filter(|retirement| retirement.done_at.is_none()) else { continue };
        // The log has why it could not be stored; it is tried again.
        drop(end(parts, &name, &retirement, None).await);
    }
}

/// Whether nothing of `name` waits: then it is retired, `by` whoever asked just now. Who calls it keeps others from changing it.
async fn end(parts: &ApiParts, name: &str, retirement: &Retirement, by: Option<&Who>) -> Result<bool, Refusal> {
    let now = parts.clock.now();
    let note = match by {
        Some(who) => who.note(now, Act::Retired, subject(name)),
        None => Note::new(now, ("host", Way::Host), Act::Retired, subject(name)),
    };
    let note = note.before(shown(Some(retirement)));
    if parts.store.waiting(name) > 0 || !parts.store.retirements().finish(name, now, note).await.map_err(|error| refusal(&error))? {
        return Ok(false);
    }
    let retirement = Retirement { done_at: Some(now), ..retirement.clone() };
    parts.retirements.put(name, retirement.clone());
    parts.intake.set_leaving(name, Some(Leaving::Gone));
    // Nobody measures it any more.
    parts.metrics.set_queue(name, 0, Duration::ZERO);
    tell(parts, name, &retirement, by, "is retired: nothing of it waits, and its release is active no more");
    Ok(true)
}

/// For the audit trail.
fn subject(name: &str) -> String {
    format!("integration {name}")
}

/// What a reader gets first that has not come to the end of its channel.
fn still_to_come(Backfill { integration, channel, left, .. }: &Backfill) -> String {
    let or_more = if *left >= LEFT_COUNTED_MAX { " or more" } else { "" };
    format!("{integration} takes over channel {channel}: {left}{or_more} that are on it by now are delivered first")
}

/// `by`: none where the host came to it by itself, some time after somebody asked.
fn tell(parts: &ApiParts, name: &str, retirement: &Retirement, by: Option<&Who>, what: &'static str) {
    let reason = retirement.reason.as_deref();
    tracing::info!(by = by.map(Who::name), integration = name, reason, "{what}");
    let mut event = Event::new(Kind::Operator, Level::Warn, what).of(name);
    if let Some(who) = by {
        event = who.told(event);
    }
    if let Some(reason) = reason {
        event = event.with("reason", reason.to_owned());
    }
    parts.events.tell(event);
}

async fn must_be_active(parts: &ApiParts, name: &str) -> Result<(), Refusal> {
    if parts.intake.routes().integration(name).is_some() {
        return Ok(());
    }
    let alias = parts.aliases.states().iter().any(|alias| alias.name == name);
    let known = known::integration(parts, Some(name)).await;
    if alias && known.is_err() {
        let detail =
            format!("{name} is an alias, and those are in the environment's file: remove [alias.{name}] there, then `lockgate env apply`");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, Code::WrongUsage, detail));
    }
    known?;
    Err(is_retired(name))
}

/// What somebody is told who wants it to go on.
pub(super) fn is_retired(name: &str) -> Refusal {
    let detail = format!("integration {name} is not active any more; `lockgate deploy` with its file in the workspace activates it again");
    Refusal::new(StatusCode::CONFLICT, Code::Retired, detail)
}

/// Since when, why, and when it was done; null for what is not being retired.
pub(super) fn shown(retirement: Option<&Retirement>) -> Value {
    let Some(Retirement { since, reason, done_at }) = retirement else { return Value::Null };
    json!({ "since": since.to_string(), "reason": reason, "done-at": done_at.map(|at| at.to_string()) })
}
