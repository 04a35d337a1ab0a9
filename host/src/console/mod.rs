//! The console: pages for people, rendered here and sent whole, on the admin listener beside the API.
//!
//! Knows `admin` for who is signed in and for what it shows and does (both show the same, computed once), and the rooms that
//! `admin` knows. Decides nothing about deliveries. What comes from outside is written by maud, which escapes it; nothing is
//! ever marked as safe that is not a constant of this program.

mod access;
mod aliases;
mod assets;
mod audit;
mod bodies;
mod curve;
mod dead_letters;
mod edit;
mod found_letters;
mod history;
mod integration;
mod live;
mod message;
mod messages;
mod operate;
mod overview;
mod page;
mod parts;
mod rehearsals;
mod releases;
mod routes;
mod shadow;
mod sign_in;
mod standing;
mod story;
#[cfg(test)]
mod tests;
mod words;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::admin::overview::Overview;
use crate::admin::store_refusal::refusal;
use crate::admin::{Api, Who};
use crate::clock::Timestamp;
use page::Wrong;

/// One look at everything serves all pages for this long.
const OVERVIEW_LASTS: Duration = Duration::from_millis(900);

/// The pages of one host.
#[derive(Debug)]
pub struct Console {
    /// What there is to show and to change, and who may.
    api: Arc<Api>,
    /// Holds the port: cookies are told apart by host name only, and a machine may run two hosts.
    cookie: String,
    streams: live::Streams,
    /// The last look at everything. Whoever needs a newer one takes it while the others wait for it.
    latest: Mutex<Option<Arc<Overview>>>,
}

impl Console {
    /// Pages beside `api` on a listener bound to `bound`.
    pub fn new(api: Arc<Api>, bound: SocketAddr) -> Arc<Self> {
        let cookie = format!("lockgate-{}", bound.port());
        Arc::new(Self { api, cookie, streams: live::Streams::default(), latest: Mutex::default() })
    }

    /// The path of a link that signs in, once, for who started the host.
    pub fn link(&self) -> String {
        self.api.parts.sessions.link(Who::local()).path()
    }

    /// Live pages stand still from now on: the host goes down.
    pub fn end(&self) {
        self.streams.end();
    }

    fn now(&self) -> Timestamp {
        self.api.parts.clock.now()
    }

    /// How everything stands, as of a moment ago.
    async fn overview(&self) -> Result<Arc<Overview>, Wrong> {
        let mut latest = self.latest.lock().await;
        if let Some(overview) = latest.as_ref().filter(|overview| self.now().since(overview.at) < OVERVIEW_LASTS) {
            return Ok(overview.clone());
        }
        let overview = Arc::new(Overview::take(&self.api.parts).await.map_err(|error| refusal(&error))?);
        *latest = Some(overview.clone());
        Ok(overview)
    }
}
