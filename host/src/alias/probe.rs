//! `lockgate alias test`: does the endpoint answer, and does it take the credential?
//!
//! Depends on `endpoint`. Sends one request without effect (HEAD, or GET where HEAD is not known) to the base URL.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use url::Url;

use super::Auth;
use super::credential::Credential;
use super::endpoint::{Endpoint, Heard, Prepared};
use super::health::Ticket;
use super::registry::{EgressError, Sender};
use crate::clock::Clock;

const TEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a test of an alias found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AliasTest {
    pub alias: String,
    /// Something answered; none where nothing was asked.
    pub reachable: Option<bool>,
    /// Whether the credential was taken; none where the answer does not tell, or there is no credential.
    pub authenticated: Option<bool>,
    /// The HTTP status of the base URL.
    pub status: Option<u16>,
    /// For people.
    pub detail: String,
    pub took_ms: u64,
}

impl AliasTest {
    /// A test that came to nothing.
    fn failed(alias: &str, detail: String) -> Self {
        Self { reachable: Some(false), ..Self::not_asked(alias, detail) }
    }

    /// A test that did not take place.
    pub fn not_asked(alias: &str, detail: String) -> Self {
        Self { alias: alias.to_owned(), reachable: None, authenticated: None, status: None, detail, took_ms: 0 }
    }
}

/// Tests `endpoint`, whatever is known of its health, and learns from a good answer.
pub async fn run(endpoint: &Arc<Endpoint>, clock: &dyn Clock) -> AliasTest {
    let started = clock.now();
    let mut test = match &endpoint.alias.url {
        Some(url) => ask(endpoint, url).await,
        None => AliasTest::not_asked(&endpoint.alias.name, "the alias has no url: it only verifies webhooks".to_owned()),
    };
    test.took_ms = u64::try_from(clock.now().since(started).as_millis()).unwrap_or(u64::MAX);
    test
}

async fn ask(endpoint: &Arc<Endpoint>, url: &Url) -> AliasTest {
    let failed = |detail: String| AliasTest::failed(&endpoint.alias.name, detail);
    let ticket = endpoint.turnstile.force();
    let credential = match endpoint.renew(ticket).await {
        Ok(credential) => credential,
        // The token endpoint answered, and said no.
        Err(EgressError::CredentialRefused(detail)) => {
            return AliasTest { reachable: Some(true), authenticated: Some(false), ..failed(detail) };
        }
        Err(error) => return came_to_nothing(endpoint, &error),
    };
    match request(endpoint, url, &credential, ticket).await {
        Ok(heard) => {
            let test = judge(endpoint, &heard);
            if test.authenticated == Some(true) {
                endpoint.taken(ticket);
            }
            if heard.wait_until.is_none() && !heard.answer.status.is_server_error() {
                endpoint.end_throttle();
            }
            test
        }
        Err(error) => came_to_nothing(endpoint, &error),
    }
}

fn came_to_nothing(endpoint: &Endpoint, error: &EgressError) -> AliasTest {
    let alias = &endpoint.alias.name;
    match error {
        // A test is a request like any other: what the alias's owner promised the target holds for it, too.
        EgressError::RateUsedUp { .. } | EgressError::RateTooLow(_) => {
            let standing = endpoint.turnstile.standing(endpoint.now());
            let until = standing.condition.until.map_or_else(|| "for now".to_owned(), |until| format!("before {until}"));
            let limit = standing.limited_by.map_or_else(String::new, |limit| format!(" of {limit}"));
            AliasTest::not_asked(alias, format!("its own rate{limit} leaves no room for a request {until}"))
        }
        EgressError::Denied(_) => AliasTest::not_asked(alias, error.to_string()),
        _ => AliasTest::failed(alias, error.to_string()),
    }
}

async fn request(endpoint: &Endpoint, url: &Url, credential: &Credential, ticket: Ticket) -> Result<Heard, EgressError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let sender = Sender { integration: "".into(), message: 0 };
    let head = Prepared { method: Method::HEAD, url: url.clone(), headers, body: Bytes::new(), timeout: TEST_TIMEOUT, sender };
    let heard = endpoint.once(head.clone(), credential, ticket).await?;
    if matches!(heard.answer.status, StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED) {
        return endpoint.once(Prepared { method: Method::GET, ..head }, credential, ticket).await;
    }
    Ok(heard)
}

/// A base URL often has nothing of its own, and many servers look for the page before they look at who asks: 404 tells nothing.
/// A token that the token endpoint gave out does.
fn judge(endpoint: &Endpoint, heard: &Heard) -> AliasTest {
    let status = heard.answer.status;
    let number = status.as_u16();
    let by_token = endpoint.alias.auth.token_url().is_some();
    let (authenticated, detail) = match (&endpoint.alias.auth, status) {
        (Auth::None, _) => (None, format!("answers {number}; the alias has no credential")),
        (_, _) if endpoint.says_expired(heard) => (Some(false), format!("answers {number}: the credential is refused")),
        (_, status) if by_token => (Some(true), format!("answers {}; the token endpoint gave a token", status.as_u16())),
        (_, status) if status.is_success() => (Some(true), format!("answers {number} to the credential")),
        (_, _) => (None, format!("answers {number} on its base URL, which does not tell whether the credential is taken")),
    };
    let alias = endpoint.alias.name.clone();
    AliasTest { alias, reachable: Some(true), authenticated, status: Some(number), detail, took_ms: 0 }
}
