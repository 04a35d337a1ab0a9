//! [`Who`]: who asks, in which role, by what way, and for how long.
//!
//! It comes with a request whose token was checked, or with a session; handlers that change something take it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::request::Parts;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::events::EVENT_STREAMS_MAX;
use super::guard::unauthorized;
use super::role::Role;
use crate::clock::{Clock, Timestamp};
use crate::ingress::answer::Refusal;
use crate::ingress::body::BodyShare;
use crate::message_store::audit::{Act, Note, Way};
use crate::message_store::sqlite::{By, How};
use crate::problem::Code;
use crate::telemetry::events::Event;

/// Who has the data folder's own token.
pub const LOCAL: &str = "local";

/// Streams of events that one named token has open: none takes the places of all the others.
const STREAMS_PER_TOKEN_MAX: usize = 8;

/// What one named token may have of the memory for bodies, by what its role has to send: forms, or messages and components.
fn bodies_max(role: Role) -> usize {
    match role {
        Role::Viewer | Role::Approver => 2 * 1024 * 1024,
        Role::Operator | Role::Deployer | Role::Local => 36 * 1024 * 1024,
    }
}

/// Somebody who asks.
#[derive(Clone, Debug)]
pub struct Who {
    name: Arc<str>,
    role: Role,
    way: Way,
    /// None: never.
    expires_at: Option<Timestamp>,
    revoked: CancellationToken,
    /// One for each stream of events that the token may have open.
    streams: Arc<Semaphore>,
    /// Memory for the bodies it sends; none: what the host has.
    bodies: Option<BodyShare>,
}

impl Who {
    /// Who has the token of this name, until it expires or is revoked.
    pub(super) fn named(name: &str, role: Role, expires_at: Option<Timestamp>) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_PER_TOKEN_MAX));
        let bodies = Some(BodyShare::new(bodies_max(role)));
        Self { name: name.into(), role, way: Way::Api, expires_at, revoked: CancellationToken::new(), streams, bodies }
    }

    /// Who has the data folder's own token, or started the host.
    pub fn local() -> Self {
        let streams = Arc::new(Semaphore::new(EVENT_STREAMS_MAX));
        Self { streams, bodies: None, ..Self::named(LOCAL, Role::Local, None) }
    }

    /// The token is good for nothing from now on, and what was begun with it ends.
    pub(super) fn revoke(&self) {
        self.revoked.cancel();
    }

    /// What the token may have of the memory for bodies; none: all of it.
    pub(super) fn bodies(&self) -> Option<&BodyShare> {
        self.bodies.as_ref()
    }

    /// A place for a stream of events; none where this token has as many open as it may.
    pub(super) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        self.streams.clone().try_acquire_owned().ok()
    }

    /// The same at a page of the console.
    pub(super) fn in_the_console(self) -> Self {
        Self { way: Way::Console, ..self }
    }

    /// The token's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether what needs the role `needed` is allowed.
    pub fn may(&self, needed: Role) -> bool {
        self.role.may(needed)
    }

    /// When the token expires; none: never.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Whether the token is still good.
    pub fn lasts(&self, now: Timestamp) -> bool {
        !self.revoked.is_cancelled() && self.expires_at.is_none_or(|at| now < at)
    }

    /// Whether the token is still good, for who has waited for something since it was looked at.
    ///
    /// # Errors
    /// Where it is not.
    pub fn must_last(&self, now: Timestamp) -> Result<(), Ended> {
        if self.lasts(now) { Ok(()) } else { Err(Ended) }
    }

    /// Ends when the token does.
    pub(super) async fn ended(&self, clock: &dyn Clock) {
        let Some(expires_at) = self.expires_at else { return self.revoked.cancelled().await };
        let expired = clock.sleep(expires_at.since(clock.now()));
        // It does not matter which one was first.
        let _ = self.revoked.run_until_cancelled(expired).await;
    }

    /// For the audit trail: this one did `act` to `subject`, now.
    pub(super) fn note(&self, now: Timestamp, act: Act, subject: impl Into<String>) -> Note {
        Note::new(now, (&self.name, self.way), act, subject)
    }

    /// For what is written down with a release that this one activates.
    pub(super) fn by(&self, how: How) -> By {
        By { who: self.name.to_string(), way: self.way, how }
    }

    /// For those who follow what happens: `event`, and who did it.
    pub(super) fn told(&self, event: Event) -> Event {
        event.with("by", self.name.to_string()).with("way", self.way.as_str())
    }
}

/// The token of who asks was revoked or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended;

impl From<Ended> for Refusal {
    fn from(_: Ended) -> Self {
        unauthorized("the token is not valid")
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Who {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!(code = %Code::Internal, "an endpoint that needs no role asks who asks");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "a fault in Lockgate itself; the log has more")
        })
    }
}
