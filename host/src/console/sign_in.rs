//! A one-time link becomes a session, and a session ends.

use std::sync::Arc;

use axum::Extension;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use maud::html;

use super::Console;
use super::access::SignedIn;
use super::page::{Page, Wrong};
use crate::admin::SESSION_LIVES;
use crate::admin::parameters::named;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// `GET /sign-in/{link}`
pub async fn open(
    State(console): State<Arc<Console>>,
    link: Result<Path<String>, PathRejection>,
    session: Option<Extension<SignedIn>>,
) -> Result<Response, Wrong> {
    let link = named(link)?;
    let sessions = &console.api.parts.sessions;
    match (sessions.open(&link), session) {
        (Some(token), _) => {
            let signed_in = sessions.find(&String::from_utf8_lossy(token.expose()));
            tracing::info!(by = signed_in.as_ref().map(|session| session.who().name()), "somebody signed in to the console");
            let token = String::from_utf8_lossy(token.expose()).into_owned();
            Ok(home(&console.cookie(&token, SESSION_LIVES.as_secs())))
        }
        // The link was opened a second time by who is signed in: a page loaded again.
        (None, Some(_)) => Ok(to_home()),
        (None, None) => Ok(useless().into_response()),
    }
}

/// `POST /sign-out`
pub async fn end(State(console): State<Arc<Console>>, SignedIn(session): SignedIn) -> Response {
    console.api.parts.sessions.end(&session);
    home(&console.cookie("", 0))
}

fn useless() -> Page {
    let body = html! {
        p { "A link into the console works once, and for one minute. This one was used, is older, or was never made." }
        p { "For a new one, run on the host's machine:" }
        pre { code { "lockgate console" } }
    };
    Page::bare(StatusCode::FORBIDDEN, "This link does not open the console", body)
}

fn to_home() -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, "/")]).into_response()
}

fn home(cookie: &str) -> Response {
    let mut response = to_home();
    match HeaderValue::from_str(cookie) {
        Ok(cookie) => {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
            response
        }
        Err(_) => Wrong::from(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "No cookie could be made.")).into_response(),
    }
}

impl Console {
    /// Out of reach of scripts (`HttpOnly`), never sent along from other sites (`SameSite=Strict`). Without `Secure`: the
    /// listener speaks HTTP on loopback, and some browsers keep such cookies back there.
    fn cookie(&self, token: &str, lives_s: u64) -> String {
        format!("{}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lives_s}", self.cookie)
    }
}
