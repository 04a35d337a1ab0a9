//! Releases, and how one takes the place of another: at a start, and while messages flow.
//!
//! Whatever is to be activated goes the same way: it is checked against what runs ([`fits`]), loaded and linked ([`ready`]), compared with
//! what it replaces ([`difference`], [`asks`]), written down, and only then taken up in memory ([`live`]). Nothing that does not get to the end
//! changes anything. Depends on `config` and `plugin` for what may run, on `message_store` for what is active over restarts, and on
//! `delivery`, `source` and `ingress`, which are told what is active now.

pub mod asks;
mod canary;
pub mod consider;
pub mod difference;
mod fits;
pub mod live;
pub mod plugin_files;
pub mod ready;
pub mod shadow;
pub mod trying;

use crate::config::Workspace;
use crate::integration::{Beginning, Entry, Integration, Release, ReleaseId};
use crate::message_store::sqlite::{Activation, ActiveRelease};
use crate::problem::Problems;

/// A release that runs, or is to.
#[derive(Clone, Debug)]
pub struct Active {
    pub integration: Integration,
    pub release: Release,
    pub id: ReleaseId,
}

impl Active {
    /// What `stored` says of its integration, read back from the text it keeps.
    ///
    /// # Errors
    /// What is wrong with the text: it was written by another version of this program, or by nobody.
    pub fn read(stored: ActiveRelease) -> Result<Self, Problems> {
        let ActiveRelease { release, id, ordering } = stored;
        let integration = Workspace::integration_from_release(&release.file, &release.integration)?;
        Ok(Self { integration: Integration { ordering, ..integration }, release, id })
    }

    /// What is written down where it takes the place of `before`, or is the first: which channels it is new to and reads from their
    /// beginning, and whether it puts its messages in order as that one did.
    pub fn activation(&self, before: Option<&Integration>) -> Activation {
        let is_new = |channel: &str| before.is_none_or(|before| before.reads(channel).is_none());
        let channels = self.integration.sources.iter().filter_map(|source| match &source.entry {
            Entry::Channel { name, from } => Some((name, *from, source.key.as_ref().map(ToString::to_string))),
            _ => None,
        });
        let from_beginning = channels.clone().filter(|(name, from, _)| *from == Beginning::Earliest && is_new(name));
        Activation {
            integration: self.integration.name.clone(),
            release: self.id.clone(),
            from_beginning: from_beginning.map(|(name, _, key)| (name.clone(), key)).collect(),
            channels: channels.map(|(name, ..)| name.clone()).collect(),
            reorders: before.is_some_and(|before| !self.integration.orders_as(before)),
            trial_did: None,
        }
    }

    /// It follows `before`: messages it puts in order by another rule are told apart from those that one did.
    pub fn after(mut self, before: Option<&Integration>) -> Self {
        let reorders = before.is_some_and(|before| !self.integration.orders_as(before));
        self.integration.ordering = before.map_or(0, |before| before.ordering).saturating_add(u32::from(reorders));
        self
    }
}
