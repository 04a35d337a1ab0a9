//! The console: pages for people, rendered here and sent whole, on the admin listener beside the API.
//!
//! Knows `admin` for who is signed in and for what it shows and does (both show the same, computed once), and the rooms that
//! `admin` knows. Decides nothing about deliveries. What comes from outside is written by maud, which escapes it; nothing is
//! ever marked as safe that is not a constant of this program.

mod access;
mod assets;
mod bodies;
mod dead_letters;
mod history;
mod message;
mod messages;
mod operate;
mod overview;
mod page;
mod parts;
mod routes;
mod sign_in;
#[cfg(test)]
mod tests;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::admin::Api;
use crate::clock::Timestamp;

/// The pages of one host.
#[derive(Debug)]
pub struct Console {
    /// What there is to show and to change, and who may.
    api: Arc<Api>,
    /// Holds the port: cookies are told apart by host name only, and a machine may run two hosts.
    cookie: String,
}

impl Console {
    /// Pages beside `api` on a listener bound to `bound`.
    pub fn new(api: Arc<Api>, bound: SocketAddr) -> Arc<Self> {
        Arc::new(Self { api, cookie: format!("lockgate-{}", bound.port()) })
    }

    fn now(&self) -> Timestamp {
        self.api.parts.clock.now()
    }
}
