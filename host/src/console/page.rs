//! A page as its handler gives it ([`Page`]), what went wrong ([`Wrong`]), and the frame around both.

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Method, StatusCode, header};
use maud::{DOCTYPE, Markup, html};

use super::access::FORM_TOKEN;
use super::{assets, parts};
use crate::admin::{Role, Session};
use crate::clock::Timestamp;
use crate::ingress::answer::Refusal;
use crate::printable::on_one_line;
use crate::problem::Code;

/// Where one is; what is lit in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Overview,
    Messages,
    DeadLetters,
    Aliases,
    Audit,
}

impl Section {
    const ALL: [Self; 5] = [Self::Overview, Self::Messages, Self::DeadLetters, Self::Aliases, Self::Audit];

    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Messages => "/messages",
            Self::DeadLetters => "/dead-letters",
            Self::Aliases => "/aliases",
            Self::Audit => "/audit",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Messages => "Messages",
            Self::DeadLetters => "Dead letters",
            Self::Aliases => "Aliases",
            Self::Audit => "Audit",
        }
    }

    /// Pressed after `g`.
    fn key(self) -> &'static str {
        match self {
            Self::Overview => "o",
            Self::Messages => "m",
            Self::DeadLetters => "d",
            Self::Aliases => "a",
            Self::Audit => "t",
        }
    }
}

/// What a handler gives. The frame around it is put there by [`dressed`], which knows who is signed in.
#[derive(Clone, Debug)]
pub struct Page {
    status: StatusCode,
    section: Option<Section>,
    title: String,
    /// Beside the heading.
    tools: Option<Markup>,
    body: Markup,
}

impl Page {
    /// A page under `section`. The title is shown as its heading.
    pub fn new(section: Section, title: impl Into<String>, body: Markup) -> Self {
        Self { status: StatusCode::OK, section: Some(section), title: title.into(), tools: None, body }
    }

    /// A page outside the sections: signing in, an error.
    pub fn bare(status: StatusCode, title: impl Into<String>, body: Markup) -> Self {
        Self { status, section: None, title: title.into(), tools: None, body }
    }

    /// With something beside the heading: a search, a button.
    pub fn tools(mut self, tools: Markup) -> Self {
        self.tools = Some(tools);
        self
    }

    /// With another status than 200.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What went wrong, as an answer to a person: what it was, and what to do next.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Boxed, since every page may give one and few do.
    refusal: Box<Refusal>,
    next: Option<Markup>,
}

impl Wrong {
    /// There is no such `what`.
    pub fn not_found(what: impl Into<String>) -> Self {
        Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, what).into()
    }

    /// What it was, for one line.
    pub fn detail(&self) -> &str {
        &self.refusal.detail
    }

    /// What to do next, in place of a link to the overview.
    pub fn next(mut self, next: Markup) -> Self {
        self.next = Some(next);
        self
    }
}

impl From<Refusal> for Wrong {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), next: None }
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let Self { refusal, next } = self;
        let body = html! {
            p { (on_one_line(&refusal.detail)) }
            @match next {
                Some(next) => (next),
                None => p { a href="/" { "Go to the overview" } },
            }
            p.muted { (refusal.code.as_str()) ": " (refusal.code.title()) }
        };
        let mut response = Page::bare(refusal.status, heading(refusal.status), body).into_response();
        // What the refusal says in headers stays (Retry-After, Allow).
        for (name, value) in refusal.into_response().headers() {
            if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }
}

fn heading(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Refused",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        status if status.is_client_error() => "That cannot be done",
        _ => "Something went wrong",
    }
}

/// For who is not signed in.
pub fn sign_in(method: &Method) -> Page {
    let body = html! {
        @if !matches!(*method, Method::GET | Method::HEAD) {
            p { strong { "Nothing was changed." } " You were not signed in any more." }
        }
        p { "The console opens with a link that works once. On the host's machine, run:" }
        pre { code { "lockgate console" } }
        p.muted {
            "Elsewhere, name the host and give its token: " code { "lockgate console --host URL --token TOKEN" }
            ". A session ends after an hour without use, after twelve hours, with its token, or when the host restarts."
        }
    };
    Page::bare(StatusCode::UNAUTHORIZED, "Sign in", body)
}

/// For who followed a link on another site.
pub fn came_from_elsewhere(request: &Request) -> Page {
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    // `//name` would be another host's address.
    let path = if path.starts_with("//") || path.starts_with("/\\") { "/" } else { path };
    let body = html! {
        p { "A link on another site led here. Go on if you meant to." }
        p { a.button href=(path) { "Go on" } }
    };
    Page::bare(StatusCode::FORBIDDEN, "You came from another site", body)
}

/// `answer` with the frame, if it is a page.
pub fn dressed(mut answer: Response, session: Option<&Session>, now: Timestamp) -> Response {
    let Some(page) = answer.extensions_mut().remove::<Page>() else { return answer };
    let html = frame(&page, session, now).into_string();
    *answer.body_mut() = html.into();
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer
}

fn frame(page: &Page, session: Option<&Session>, now: Timestamp) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (on_one_line(&page.title)) " · Lockgate" }
                link rel="icon" type="image/svg+xml" href=(assets::path("icon.svg"));
                link rel="stylesheet" href=(assets::path("console.css"));
                @if session.is_some() {
                    script defer src=(assets::path("idiomorph.js")) {}
                    script defer src=(assets::path("console.js")) {}
                }
            }
            body.bare[page.section.is_none()] {
                a.skip href="#main" { "Skip to the content" }
                (top(page, session))
                main #main tabindex="-1" {
                    div.head {
                        h1 { (on_one_line(&page.title)) }
                        @if let Some(tools) = &page.tools { (tools) }
                    }
                    (page.body)
                }
                footer.foot {
                    "As of " (parts::clock_time(now)) " · Lockgate " (env!("CARGO_PKG_VERSION"))
                }
                @if session.is_some() { (keys()) }
            }
        }
    }
}

fn top(page: &Page, session: Option<&Session>) -> Markup {
    html! {
        header.top {
            a.brand href="/" aria-label="Lockgate, overview" {
                img src=(assets::path("icon.svg")) alt="" width="20" height="20";
                span { "Lockgate" }
            }
            @if let Some(session) = session {
                nav aria-label="Sections" {
                    @for section in Section::ALL {
                        a href=(section.path()) data-key=(section.key()) aria-current=[(page.section == Some(section)).then_some("page")] {
                            (section.name())
                        }
                    }
                }
                div.tools {
                    p #live role="status" hidden {}
                    p.who.small.muted title="Who is signed in, and as what" {
                        (session.who().name())
                        @if session.who().role() != Role::Local { " (" (session.who().role()) ")" }
                    }
                    button.quiet.needs-script type="button" data-opens="keys" aria-label="Keyboard shortcuts" { "?" }
                    (parts::form(session, "/sign-out", html! { button.quiet { "Sign out" } }))
                }
            }
        }
    }
}

fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keyboard shortcuts" }
            dl.keys {
                @for section in Section::ALL {
                    div { dt { kbd { "g" } " " kbd { (section.key()) } } dd { (section.name()) } }
                }
                div { dt { kbd { "/" } } dd { "Search, or filter this page" } }
                div { dt { kbd { "?" } } dd { "This list" } }
                div { dt { kbd { "Esc" } } dd { "Close, or leave a field" } }
            }
            form method="dialog" { button { "Close" } }
        }
    }
}

/// The field every form carries.
pub fn form_token(session: &Session) -> Markup {
    html! { input type="hidden" name=(FORM_TOKEN) value=(session.form_token()); }
}
