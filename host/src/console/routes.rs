//! The table of pages, and what a request to any of them goes through.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;

use super::page::Wrong;
use super::{Console, access, aliases, assets, dead_letters, edit, integration, message, messages, operate, overview, sign_in};
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// One page.
pub(super) struct Route {
    pub path: &'static str,
    /// Whether one has to be signed in. A page that changes something has to carry the session's form token as well.
    pub guarded: bool,
    handler: MethodRouter<Arc<Console>>,
}

/// Every page there is.
pub(super) fn routes() -> Vec<Route> {
    let page = |path, handler| Route { path, guarded: true, handler };
    let open = |path, handler| Route { path, guarded: false, handler };
    vec![
        open("/assets/{hash}/{name}", get(assets::serve)),
        open("/sign-in/{link}", get(sign_in::open)),
        page("/sign-out", post(sign_in::end)),
        page("/", get(overview::show)),
        page("/live/overview", get(overview::watch)),
        page("/integrations/{name}", get(integration::show)),
        page("/live/integrations/{name}", get(integration::watch)),
        page("/messages", get(messages::show)),
        page("/messages/{id}", get(message::show)),
        page("/live/messages/{id}", get(message::watch)),
        page("/messages/{id}/body", get(message::download)),
        page("/dead-letters", get(dead_letters::causes)),
        page("/live/dead-letters", get(dead_letters::watch)),
        page("/dead-letters/{cause}", get(dead_letters::of_cause)),
        page("/dead-letters/replay", post(operate::replay)),
        page("/dead-letters/discard", post(operate::discard)),
        page("/dead-letters/{cause}/edit", get(edit::ask).post(edit::deliver)),
        page("/aliases", get(aliases::list)),
        page("/live/aliases", get(aliases::watch_list)),
        page("/aliases/{name}", get(aliases::show)),
        page("/live/aliases/{name}", get(aliases::watch)),
        page("/aliases/{name}/test", post(aliases::test)),
    ]
}

impl Console {
    /// What [`Api::handler`](crate::admin::Api::handler) takes.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut open = Router::new();
        let mut guarded = Router::new();
        for route in routes() {
            if route.guarded {
                guarded = guarded.route(route.path, route.handler);
            } else {
                open = open.route(route.path, route.handler);
            }
        }
        let guarded = guarded.route_layer(middleware::from_fn_with_state(self.clone(), access::signed_in));
        open.merge(guarded)
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(no_such_page)
            .layer(middleware::from_fn_with_state(self.clone(), access::enter))
            .with_state(self.clone())
    }
}

async fn no_such_page() -> Wrong {
    Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "There is no such page.").into()
}

async fn method_not_allowed() -> Wrong {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "This page does not take that kind of request.").into()
}
