//! The table of pages, and what a request to any of them goes through.

use std::sync::Arc;

use axum::Router;
use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;

use super::page::Wrong;
use super::{
    Console, access, aliases, assets, audit, dead_letters, edit, integration, message, messages, operate, overview, rehearsals, shadow,
    sign_in,
};
use crate::admin::Role;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// One page.
pub(super) struct Route {
    pub path: &'static str,
    /// What who is signed in must be allowed; none: nobody has to be. What is posted has to carry the session's form token as well. There is
    /// no page that does not say.
    pub needs: Option<Role>,
    handler: MethodRouter<Arc<Console>>,
}

/// Every page there is.
pub(super) fn routes() -> Vec<Route> {
    let page = |path, handler| Route { path, needs: Some(Role::Viewer), handler };
    let change = |path, handler| Route { path, needs: Some(Role::Operator), handler };
    let open = |path, handler| Route { path, needs: None, handler };
    vec![
        open("/assets/{hash}/{name}", get(assets::serve)),
        open("/sign-in/{link}", get(sign_in::open)),
        page("/sign-out", post(sign_in::end)),
        page("/", get(overview::show)),
        page("/live/overview", get(overview::watch)),
        page("/integrations/{name}", get(integration::show)),
        page("/live/integrations/{name}", get(integration::watch)),
        page("/integrations/{name}/shadow", get(shadow::show)),
        page("/integrations/{name}/rehearsals/{id}", get(rehearsals::show)),
        page("/messages", get(messages::show)),
        page("/messages/{id}", get(message::show)),
        page("/live/messages/{id}", get(message::watch)),
        page("/messages/{id}/body", get(message::download)),
        page("/dead-letters", get(dead_letters::causes)),
        page("/live/dead-letters", get(dead_letters::watch)),
        page("/dead-letters/{cause}", get(dead_letters::of_cause)),
        change("/dead-letters/replay", post(operate::replay)),
        change("/dead-letters/discard", post(operate::discard)),
        change("/dead-letters/{cause}/edit", get(edit::ask).post(edit::deliver)),
        page("/aliases", get(aliases::list)),
        page("/live/aliases", get(aliases::watch_list)),
        page("/aliases/{name}", get(aliases::show)),
        page("/live/aliases/{name}", get(aliases::watch)),
        change("/aliases/{name}/test", post(aliases::test)),
        page("/audit", get(audit::show)),
    ]
}

impl Console {
    /// What [`Api::handler`](crate::admin::Api::handler) takes.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut router = Router::new();
        for Route { path, needs, handler } in routes() {
            let handler = match needs {
                Some(needed) => handler.route_layer(middleware::from_fn_with_state((self.clone(), needed), access::signed_in)),
                None => handler,
            };
            router = router.route(path, handler);
        }
        router
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
