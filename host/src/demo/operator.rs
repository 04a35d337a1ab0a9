//! The demo's operator: does what people do over the host's API, with the token of its data folder, and so stands in the log as they do.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http_body_util::Full;
use serde_json::json;

use super::shop::{Answer, Client, ask, client};
use super::world::World;
use crate::admin::token;
use crate::message_store::DeadLetterId;
use crate::problem::{Code, Problem};

/// A person who has the host's token.
#[derive(Debug)]
pub struct Operator(Client);

impl Operator {
    pub fn new() -> Self {
        Self(client())
    }

    /// Puts a dead letter of `world`'s host back on its way.
    pub async fn replay(&self, world: &World, letter: DeadLetterId) -> Result<Answer, Problem> {
        let token = token::load(&world.data.path().join(super::world::DATA))?.ok_or_else(no_token)?;
        let request = http::Request::post(format!("http://{}/api/v1/dead-letters/replay", world.host.admin))
            .header(AUTHORIZATION, format!("Bearer {}", String::from_utf8_lossy(token.expose())))
            .body(Full::new(Bytes::from(json!({ "ids": [letter.0] }).to_string())));
        ask(&self.0, request).await
    }
}

fn no_token() -> Problem {
    Problem::new(Code::Internal, "the demo's host has no token").fix("run the demo again")
}
