//! The admin listener: health, metrics, and the API that commands and scripts use; who may use it, and who did what.
//!
//! Knows the message store's ledger, the aliases' states, intake and metrics; decides nothing about deliveries. It is
//! served through ingress's accept loop and answers with its problem details. `console` shows pages beside it, to who has a
//! session that this room opened.

mod aliases;
mod api;
mod approving;
pub(crate) mod audit;
mod backup;
mod by_hand;
mod components;
mod configs;
mod console_links;
pub(crate) mod dead_letters;
mod detail;
pub(crate) mod edit;
mod environment;
mod events;
pub(crate) mod guard;
mod health;
mod integrations;
mod known;
pub(crate) mod messages;
mod named_tokens;
mod openapi;
pub(crate) mod operate;
pub mod overview;
pub mod parameters;
pub(crate) mod pausing;
mod refused;
pub(crate) mod rehearsals;
pub(crate) mod release_list;
pub(crate) mod releases;
mod retiring;
mod role;
mod secrets;
mod sessions;
mod status;
pub(crate) mod store_refusal;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod to_its_end;
pub mod token;
mod tokens;
mod trying;
mod unread;
mod who;

use crate::config::changes::Change;
use crate::integration::Release;
use crate::problem::{Code, Problem, Problems};
pub use aliases::test_alias;
pub use api::{Api, ApiParts};
pub use components::SIGNATURE_HEADER;
pub use configs::ReadFacts;
pub use environment::{LiveEnvironment, LiveParts};
pub use named_tokens::Tokens;
pub use role::Role;
pub use sessions::{SESSION_LIVES, Session, Sessions};
pub use who::{LOCAL, Who};

/// Puts the environment that `text` describes in the place of the one that runs, for who started the host. Gives what is another.
///
/// # Errors
/// Everything that is wrong with it; nothing was changed then.
pub async fn apply_environment(api: &Api, text: &str) -> Result<Vec<Change>, Problems> {
    match api.parts.environment.apply(text, false, &Who::local()).await {
        Ok(applied) => Ok(applied.changes),
        Err(environment::NotApplied::Wrong(problems)) => Err(problems),
        Err(environment::NotApplied::Store(error)) => Err(error.problem("the environment").into()),
        Err(environment::NotApplied::TokenEnded) => Err(never_ends().into()),
    }
}

/// Who started the host asks with no token that could end.
fn never_ends() -> Problem {
    Problem::new(Code::Internal, "what has no end has ended").fix("report this")
}

/// Has `wanted` be the active releases, for who started the host. Gives what became of them.
///
/// # Errors
/// Everything that is wrong with them; nothing was changed then.
pub async fn deploy(api: &Api, wanted: Vec<Release>) -> Result<serde_json::Value, Problems> {
    releases::deploy_local(&api.parts, wanted).await
}

/// Retires the integrations that drain of which nothing waits any more.
pub async fn finish_retiring(api: &Api) {
    retiring::finish(&api.parts).await;
}
