//! What every request to a page goes through: the right host, no other site, somebody signed in whose role allows it, and for every change a form
//! that was made for that session; and the headers of every answer.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::Console;
use super::page::{self, Wrong};
use crate::admin::guard::{check_site, elsewhere};
use crate::admin::parameters::Parameters;
use crate::admin::{Role, Session};
use crate::ingress::answer::Refusal;
use crate::ingress::body::BodyLimits;
use crate::problem::Code;

/// The longest form, as it is sent. Only an edited message makes one as long.
pub const FORM_BYTES_MAX: usize = 1024 * 1024;
const FORM_LIMITS: BodyLimits = BodyLimits { bytes: FORM_BYTES_MAX, within: Duration::from_secs(30) };
const FORM_TYPE: &str = "application/x-www-form-urlencoded";
/// The field of a form that holds [`Session::form_token`].
pub const FORM_TOKEN: &str = "form-token";

/// Nothing is loaded from elsewhere, nothing runs that is not a file of this program, nobody frames a page or changes what
/// its links are relative to.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Who is signed in; an extractor for guarded pages.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Session);

/// The fields of a form, already known to be this session's; an extractor for guarded pages that change something.
#[derive(Clone, Debug)]
pub struct Form(pub Parameters);

/// Outermost: looks at where a request comes from and who sent it, and makes a page of what the others answer.
pub async fn enter(State(console): State<Arc<Console>>, mut request: Request, next: Next) -> Response {
    // Who comes from elsewhere sees nothing of a session, whatever cookie is sent along.
    let (answer, session) = match console.api.guard.check_host(&request) {
        Err(refusal) => (Wrong::from(refusal).into_response(), None),
        Ok(()) if check_site(&request).is_ok() => {
            let session = console.session(request.headers());
            if let Some(session) = session.clone() {
                request.extensions_mut().insert(SignedIn(session));
            }
            (next.run(request).await, session)
        }
        // A link on another site was followed. The browser keeps the cookie back; a click on this site brings it along.
        Ok(()) if is_navigation(&request) => (page::came_from_elsewhere(&request).into_response(), None),
        Ok(()) => (Wrong::from(elsewhere("Requests from other sites are refused.")).into_response(), None),
    };
    let mut answer = page::dressed(answer, session.as_ref(), console.now());
    secure(answer.headers_mut());
    answer
}

/// Around pages that need a role.
pub async fn signed_in(State((console, needed)): State<(Arc<Console>, Role)>, mut request: Request, next: Next) -> Response {
    let Some(SignedIn(session)) = request.extensions().get::<SignedIn>().cloned() else {
        return page::sign_in(request.method()).into_response();
    };
    if let Err(refusal) = console.api.allow(session.who(), needed, (request.method(), request.uri().path())).await {
        return Wrong::from(refusal).into_response();
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match form(&console, &session, Request::from_parts(head.clone(), body)).await {
        Ok(form) => {
            request = Request::from_parts(head, axum::body::Body::empty());
            request.extensions_mut().insert(form);
            next.run(request).await
        }
        Err(refusal) => Wrong::from(refusal).into_response(),
    }
}

async fn form(console: &Console, session: &Session, request: Request) -> Result<Form, Refusal> {
    let is_form = request.headers().get(header::CONTENT_TYPE).is_some_and(|given| given.as_bytes().starts_with(FORM_TYPE.as_bytes()));
    if !is_form {
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, format!("Expected {FORM_TYPE}.")));
    }
    let mut request = request;
    request.extensions_mut().insert(session.who().clone());
    let body = console.api.body(request, FORM_LIMITS).await.map_err(|refused| match refused.code {
        Code::BodyTooLarge => Refusal { detail: too_long(), ..refused },
        _ => refused,
    })?;
    let mut fields = Parameters::parse(Some(&String::from_utf8_lossy(&body.bytes)));
    let genuine = fields.one(FORM_TOKEN)?.is_some_and(|given| session.made(&given));
    if !genuine {
        return Err(elsewhere("This form was made for another session. Nothing was changed: open its page again and repeat."));
    }
    Ok(Form(fields))
}

fn too_long() -> String {
    format!(
        "Nothing was done: as a browser sends it, this form is over {} KiB, since a quote or a letter beyond ASCII takes three bytes or more. \
         Edit a message that long in a file: lockgate dead-letters edit ID --body FILE --reason WHY",
        FORM_BYTES_MAX / 1024
    )
}

/// Somebody looking at a page, not a script or a form.
fn is_navigation(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|given| given.as_bytes() == value.as_bytes());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads && says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document") && !request.headers().contains_key(header::ORIGIN)
}

fn secure(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // To nobody else; and not to nobody at all, since a browser then says `Origin: null` with the console's own forms.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

impl Console {
    /// The session of the request's cookie. Another port of the machine may have set cookies of the same name: any that is good will do.
    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let mut tokens = pairs.filter(|(name, _)| *name == self.cookie).map(|(_, token)| token);
        tokens.find_map(|token| self.api.parts.sessions.find(token))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Wrong> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unguarded("who is signed in"))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Form {
    type Rejection = Wrong;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Wrong> {
        parts.extensions.remove::<Self>().ok_or_else(|| unguarded("a form"))
    }
}

/// Only in a page that is not guarded.
fn unguarded(what: &str) -> Wrong {
    tracing::error!(code = %Code::Internal, what, "a page asks for what only a guarded page has");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "A fault in Lockgate itself; the log has more.").into()
}
