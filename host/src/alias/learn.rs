//! What an exchange teaches about the target behind an [`Endpoint`]: whether it is there, wants to be left alone, or fails.
//!
//! Depends on the other files of this room. What follows for who may send next is `turnstile`'s business.

use super::breaker::{News, Sign};
use super::credential::Credential;
use super::endpoint::{Endpoint, Heard};
use super::health::Ticket;
use super::registry::{EgressError, Sender};
use super::retry_after::{self, Asked};
use super::upstream::{UpstreamError, UpstreamResponse};
use crate::clock::Timestamp;
use crate::problem::Code;

impl Endpoint {
    /// What an answer says about the target.
    pub(super) fn hear(&self, answer: UpstreamResponse, sender: &Sender, ticket: Ticket, credential: &Credential) -> Heard {
        let status = answer.status.as_u16();
        let asked =
            if matches!(status, 429 | 503) { retry_after::parse(&answer.headers, self.around.clock.wall().0) } else { Asked::default() };
        let detail = || {
            let oddity = asked.oddity.clone().map(|oddity| format!("; its {}", credential.blanker.blank_text(oddity)));
            format!("the target answered {status}{}", oddity.unwrap_or_default())
        };
        // A 503 that does not say when to come back is a target that is down; a 429 is one that is there.
        if status == 429 || asked.wait.is_some() {
            if asked.oddity.is_some() {
                self.warn_of_oddity(&detail());
            }
            let wait_until = Some(self.throttle(ticket, &asked, detail()));
            return Heard { answer, wait_until, is_down: false };
        }
        // Those of a target that is down anyhow say it again and again.
        if asked.oddity.is_some() && !self.turnstile.is_open() {
            self.warn_of_what_is_not_heeded(&detail());
        }
        let sign = sign_of(status, sender);
        self.note(ticket, sign, &if sign == Sign::Answers { String::new() } else { detail() });
        Heard { answer, wait_until: None, is_down: sign == Sign::Down && self.turnstile.is_open() }
    }

    fn warn_of_oddity(&self, detail: &str) {
        let code = Code::SenselessRetryAfter;
        tracing::warn!(
            %code, alias = %self.name,
            "{code} alias {}: {detail}. If it is a mistake of the target's, end the wait: lockgate alias test {}", self.name, self.name,
        );
    }

    fn warn_of_what_is_not_heeded(&self, detail: &str) {
        let (code, name) = (Code::SenselessRetryAfter, &self.name);
        tracing::warn!(%code, alias = %name, "{code} alias {name}: {detail}. It is met as a target that does not say when to come back.");
    }

    pub(super) fn stumble(&self, error: UpstreamError, sender: &Sender, ticket: Ticket, credential: &Credential) -> EgressError {
        match error {
            UpstreamError::AddressRefused(what) => self.address_refused(&what),
            UpstreamError::Unreachable(what) => self.unreachable(ticket, credential.blanker.blank_text(what)),
            UpstreamError::TimedOut(limit) => {
                self.note(ticket, Sign::Silent(sender.message), &format!("no answer within {limit:?}"));
                EgressError::TimedOut
            }
            UpstreamError::TooLarge => {
                self.note(ticket, Sign::Answers, "");
                EgressError::TooLarge
            }
        }
    }

    /// Learns from an exchange, and tells what that changed.
    fn note(&self, ticket: Ticket, sign: Sign, detail: &str) {
        match self.turnstile.note(ticket, sign, self.now(), &*self.around.random, detail) {
            News::Nothing => return,
            News::Opened => {
                let (code, name) = (Code::AliasUnreachable, &self.name);
                tracing::warn!(%code, alias = %name, detail, "{code} alias {name}: too many of its requests failed ({detail}); its messages wait");
            }
            News::StillOpen => {}
            News::Closed => return self.tell_recovered("the target answers again"),
        }
        self.changed();
    }

    pub(super) fn throttle(&self, ticket: Ticket, asked: &Asked, detail: String) -> Timestamp {
        let until = self.turnstile.throttle(ticket, self.now(), asked, &*self.around.random, detail);
        self.changed();
        until
    }

    pub(super) fn unreachable(&self, ticket: Ticket, detail: String) -> EgressError {
        self.note(ticket, Sign::Down, &detail);
        EgressError::Unreachable(detail)
    }
}

/// What a status says about the target it comes from, where it is no 429 and no 503 that says when to come back.
fn sign_of(status: u16, sender: &Sender) -> Sign {
    match status {
        // A gateway without its server; 520 to 530 are Cloudflare's words for it.
        502..=504 | 520..=530 => Sign::Down,
        // The target is there and does not know the method or the version.
        501 | 505 => Sign::Answers,
        500..=599 => Sign::Failed(sender.message),
        _ => Sign::Answers,
    }
}
