//! `POST /api/v1/integrations/{name}/pause` and `/resume`, and the same of aliases: a person stops what is sent, for a while. To
//! resume also takes back an integration that is being retired.
//!
//! On disk first, then it holds: a pause that was answered with 200 outlives the host.

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::operate::why;
use super::parameters::named;
use super::retiring;
use super::role::Role;
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::delivery::Pause;
use crate::ingress::answer::{self, Refusal};
use crate::message_store::audit::Act;
use crate::message_store::sqlite::PauseRow;
use crate::problem::Code;
use crate::telemetry::events::{Event, Kind, Level};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PauseRequest {
    reason: String,
}

/// What can be paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pausable {
    Integration(String),
    Alias(String),
}

impl Pausable {
    fn kind(&self) -> &'static str {
        match self {
            Self::Integration(_) => "integration",
            Self::Alias(_) => "alias",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Integration(name) | Self::Alias(name) => name,
        }
    }

    fn pause(&self, parts: &ApiParts) -> Option<Pause> {
        match self {
            Self::Integration(name) => parts.pauses.of(name),
            Self::Alias(name) => parts.aliases.paused(name).map(|(since, reason)| Pause { since, reason }),
        }
    }

    fn is_there(&self, parts: &ApiParts) -> bool {
        match self {
            Self::Integration(name) => parts.intake.routes().integration(name).is_some(),
            Self::Alias(name) => parts.aliases.states().iter().any(|alias| alias.name == *name),
        }
    }
}

impl fmt::Display for Pausable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

type Name = Result<Path<String>, PathRejection>;

pub async fn pause_integration(State(api): State<Arc<Api>>, who: Who, name: Name, request: Request) -> Result<Response<Body>, Refusal> {
    answer_pause(&api, &who, Pausable::Integration(named(name)?), request).await
}

pub async fn pause_alias(State(api): State<Arc<Api>>, who: Who, name: Name, request: Request) -> Result<Response<Body>, Refusal> {
    answer_pause(&api, &who, Pausable::Alias(named(name)?), request).await
}

pub async fn resume_integration(State(api): State<Arc<Api>>, who: Who, name: Name) -> Result<Response<Body>, Refusal> {
    answer_resume(&api, &who, Pausable::Integration(named(name)?)).await
}

pub async fn resume_alias(State(api): State<Arc<Api>>, who: Who, name: Name) -> Result<Response<Body>, Refusal> {
    answer_resume(&api, &who, Pausable::Alias(named(name)?)).await
}

async fn answer_pause(api: &Api, who: &Who, what: Pausable, request: Request) -> Result<Response<Body>, Refusal> {
    let PauseRequest { reason } = api.json(request).await?;
    let pause = pause(&api.parts, who, what.clone(), &reason).await?;
    Ok(answer::json(StatusCode::OK, &shown(&what, Some(&pause))))
}

async fn answer_resume(api: &Api, who: &Who, what: Pausable) -> Result<Response<Body>, Refusal> {
    let was_paused = resume(&api.parts, who, &what).await?;
    let mut body = shown(&what, None);
    body["was-paused"] = json!(was_paused);
    if let Pausable::Integration(name) = &what {
        // One thing at a time: of one that was both, the pause is over now, and it drains. To take it back is for who may retire it.
        if !was_paused && api.parts.retirements.of(name).is_some() {
            api.allow(who, Role::Deployer, (&Method::POST, &format!("/api/v1/integrations/{name}/resume"))).await?;
        }
        let (parts, who, of) = (api.parts.clone(), who.clone(), name.clone());
        let taken_back = !was_paused && to_its_end(async move { retiring::take_back(&parts, &who, &of).await }).await??;
        body["was-retiring"] = json!(taken_back);
        body["retirement"] = retiring::shown(api.parts.retirements.of(name).as_ref());
    }
    Ok(answer::json(StatusCode::OK, &body))
}

/// Pauses `what`, which must be there, for a reason. Gives since when it is paused.
///
/// # Errors
/// 404 where there is no such thing, 400 for a reason that is none, 503 where it cannot be stored.
pub(crate) async fn pause(parts: &ApiParts, who: &Who, what: Pausable, reason: &str) -> Result<Pause, Refusal> {
    let reason = why(reason)?;
    must_be_there(parts, &what)?;
    let (parts, who) = (parts.clone(), who.clone());
    to_its_end(async move {
        let _deciding = parts.pauses.deciding.lock().await;
        let (before, now) = (what.pause(&parts), parts.clock.now());
        let since = before.as_ref().map_or(now, |before| before.since);
        let row = PauseRow { kind: what.kind().to_owned(), name: what.name().to_owned(), since, reason: reason.clone() };
        let pause = Pause { since, reason };
        let note = who.note(now, Act::Pause, what.to_string()).before(paused(before.as_ref())).after(paused(Some(&pause)));
        parts.store.pauses().put(row, note).await.map_err(|error| refusal(&error))?;
        match &what {
            Pausable::Integration(name) => parts.pauses.pause(name, pause.clone()),
            Pausable::Alias(name) => drop(parts.aliases.pause(name, since, &pause.reason)),
        }
        tracing::info!(by = who.name(), %what, reason = pause.reason, "was paused");
        tell(&parts, &who, &what, format!("{what} was paused: {}", pause.reason));
        Ok(pause)
    })
    .await?
}

/// Lets `what` go on, slowly at first. False if it was not paused.
///
/// # Errors
/// 404 where there is no such thing, 503 where it cannot be stored.
pub(crate) async fn resume(parts: &ApiParts, who: &Who, what: &Pausable) -> Result<bool, Refusal> {
    must_be_there(parts, what)?;
    let (parts, who, what) = (parts.clone(), who.clone(), what.clone());
    to_its_end(async move {
        let _deciding = parts.pauses.deciding.lock().await;
        let note = who.note(parts.clock.now(), Act::Resume, what.to_string()).before(paused(what.pause(&parts).as_ref()));
        parts.store.pauses().remove(what.kind(), what.name(), note).await.map_err(|error| refusal(&error))?;
        let was_paused = match &what {
            Pausable::Integration(name) => parts.pauses.resume(name, parts.clock.now()),
            Pausable::Alias(name) => parts.aliases.resume(name),
        };
        if was_paused {
            tracing::info!(by = who.name(), %what, "was resumed");
            tell(&parts, &who, &what, format!("{what} was resumed"));
        }
        Ok(was_paused)
    })
    .await?
}

fn tell(parts: &ApiParts, who: &Who, what: &Pausable, text: String) {
    let event = who.told(Event::new(Kind::Operator, Level::Warn, text));
    parts.events.tell(match what {
        Pausable::Integration(name) => event.of(name),
        Pausable::Alias(name) => event.with("alias", name.clone()),
    });
}

fn must_be_there(parts: &ApiParts, what: &Pausable) -> Result<(), Refusal> {
    if let Pausable::Integration(name) = what
        && parts.retirements.of(name).is_some_and(|retirement| retirement.done_at.is_some())
    {
        return Err(retiring::is_retired(name));
    }
    if what.is_there(parts) { Ok(()) } else { Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no {what}"))) }
}

fn shown(what: &Pausable, pause: Option<&Pause>) -> Value {
    let mut shown = json!({ "paused": paused(pause) });
    shown[what.kind()] = json!(what.name());
    shown
}

/// Since when, and why; null for what is not paused.
pub(super) fn paused(pause: Option<&Pause>) -> Value {
    pause.map_or(Value::Null, |pause| json!({ "since": pause.since.to_string(), "reason": pause.reason }))
}
