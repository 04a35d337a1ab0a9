//! What is to be switched to, considered: [`Considered`] is everything that follows from it, with nothing done yet.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use super::difference::Difference;
use super::fits::{self, FactsByDigest};
use super::live::{LiveReleases, NotSwitched};
use super::ready::Progress;
use super::{Active, asks, plugin_files};
use crate::config::{ApprovalRule, Approved, EnvironmentFile, missing_secrets_of, used_aliases_of};
use crate::delivery::Runnable;
use crate::ingress::Routes;
use crate::integration::{PinnedPlugin, Release, ReleaseId};
use crate::message_store::MessageStore;
use crate::plugin::component::Facts;
use crate::problem::{Problem, Problems};

/// A release that somebody wants to be the active one of its integration.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub release: Release,
    /// What it is meant to replace, where whoever wants it has looked: the active release then, or that there was none.
    pub replaces: Option<Option<ReleaseId>>,
}

/// One integration's switch.
#[derive(Debug)]
pub struct Switch {
    pub before: Option<Active>,
    pub after: Active,
    pub runnable: Arc<Runnable>,
    pub difference: Difference,
    /// What it newly asks for, in words.
    pub asks: Vec<String>,
    /// What waits of the integration goes first, before messages that are put in order by the new rule.
    pub reorders: bool,
    /// How many wait.
    pub waiting: u64,
    /// How it has to be approved; none where it has not.
    pub approval: Option<ApprovalRule>,
}

/// All that is to be switched at once.
#[derive(Debug)]
pub struct Considered {
    /// Integrations whose release is the active one already.
    pub unchanged: Vec<Active>,
    pub switches: Vec<Switch>,
    pub routes: Routes,
}

impl Considered {
    /// The same where nobody has to approve anything of it any more.
    pub fn approved(mut self) -> Self {
        self.switches.iter_mut().for_each(|switch| switch.approval = None);
        self
    }

    /// The same where so many have to approve each of it at least.
    pub fn waiting_for(mut self, count: u32, not_author: bool) -> Self {
        for switch in &mut self.switches {
            let rule = switch.approval.unwrap_or(ApprovalRule { count, not_author, of: Approved::Every });
            switch.approval = Some(ApprovalRule { count: rule.count.max(count), not_author: rule.not_author || not_author, ..rule });
        }
        self
    }
}

impl LiveReleases {
    /// Checks, loads and links what is wanted.
    ///
    /// # Errors
    /// What it lacks, what is wrong with it, that somebody else was faster, or that the store does not answer. Nothing was changed then.
    pub(super) async fn consider(&self, wanted: Vec<Wanted>, environment: &EnvironmentFile) -> Result<Considered, NotSwitched> {
        let active = self.active().await?;
        let before = |name: &str| active.iter().find(|active| active.integration.name == name);
        let (mut unchanged, mut new) = (Vec::new(), Vec::new());
        let mut problems = Problems::default();
        for Wanted { release, replaces } in wanted {
            let (id, before) = (release.id(), before(&release.integration));
            if replaces.is_some_and(|replaces| replaces.as_ref() != before.map(|before| &before.id)) {
                return Err(NotSwitched::overtaken(&release.integration, before));
            }
            match before.filter(|before| before.id == id && !self.is_leaving(&release.integration)) {
                Some(before) => unchanged.push(before.clone()),
                None => match read(release, id, before) {
                    Ok(after) => new.push(after),
                    Err(more) => problems.0.extend(more.0),
                },
            }
        }
        problems.or(())?;
        self.nothing_lacks(&new)?;
        let facts = self.facts(new.iter().chain(&active)).await?;
        let replaced = |active: &&Active| !new.iter().any(|new| new.integration.name == active.integration.name);
        let others: Vec<&Active> = active.iter().filter(replaced).collect();
        fits::fit(&new, &others, environment, self.config(), &facts)?;
        let routes = self.routes(&new, &others, environment)?;
        let runnables = self.load(&new, environment).await?;
        let switches = new.into_iter().zip(runnables).map(|(after, runnable)| {
            let before = before(&after.integration.name).cloned();
            self.weigh(before, after, runnable, &facts)
        });
        Ok(Considered { unchanged, switches: switches.collect(), routes })
    }

    fn weigh(&self, before: Option<Active>, after: Active, runnable: Arc<Runnable>, facts: &FactsByDigest) -> Switch {
        let asks = asks::newly(before.as_ref(), &after, facts, &self.config().call_limits);
        let approval = self.config().approval.filter(|rule| rule.covers(&asks));
        Switch {
            difference: Difference::between(before.as_ref(), &after),
            reorders: before.as_ref().is_some_and(|before| !after.integration.orders_as(&before.integration)),
            waiting: self.store().waiting(&after.integration.name),
            asks,
            approval,
            runnable,
            before,
            after,
        }
    }

    /// What the plugins of `all` say of themselves, as far as they are here.
    async fn facts<'a>(&self, all: impl Iterator<Item = &'a Active>) -> Result<FactsByDigest, NotSwitched> {
        let pinned: BTreeMap<String, PinnedPlugin> =
            all.flat_map(|active| &active.release.plugins).map(|plugin| (plugin.digest.clone(), plugin.clone())).collect();
        let mut known = self.known_facts(&pinned);
        let unknown: Vec<PinnedPlugin> = pinned.into_values().filter(|plugin| !known.contains_key(&plugin.digest)).collect();
        let data = self.config().data.clone();
        let read = tokio::task::spawn_blocking(move || {
            let there = unknown.into_iter().filter(|plugin| plugin_files::has(&data, &plugin.digest));
            let facts = there.map(|plugin| {
                let bytes = plugin_files::read(&data, &plugin)?;
                Ok((plugin.digest.clone(), Facts::of(&plugin.name, &bytes)?))
            });
            facts.collect::<Result<FactsByDigest, Problem>>()
        });
        known.extend(read.await.map_err(|_stopped| NotSwitched::stopped())??);
        // No more than those of what is active and of what is looked at now.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&known);
        Ok(known)
    }

    fn known_facts(&self, pinned: &BTreeMap<String, PinnedPlugin>) -> FactsByDigest {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *facts).into_iter().filter(|(digest, _)| pinned.contains_key(digest)).collect()
    }

    /// Whether all components of `new` are here.
    fn nothing_lacks(&self, new: &[Active]) -> Result<(), NotSwitched> {
        let mut lacks: Vec<PinnedPlugin> = new
            .iter()
            .flat_map(|active| &active.release.plugins)
            .filter(|plugin| !plugin_files::has(&self.config().data, &plugin.digest))
            .cloned()
            .collect();
        lacks.sort();
        lacks.dedup();
        if lacks.is_empty() { Ok(()) } else { Err(NotSwitched::Lacks(lacks)) }
    }

    fn routes(&self, new: &[Active], others: &[&Active], environment: &EnvironmentFile) -> Result<Routes, Problems> {
        let integrations: Vec<_> = new.iter().chain(others.iter().copied()).map(|active| Arc::new(active.integration.clone())).collect();
        let used = used_aliases_of(new.iter().map(|active| &active.integration));
        missing_secrets_of(&used, environment, self.secrets()).or(())?;
        Routes::build(&integrations, &environment.environment)
    }

    async fn load(&self, new: &[Active], environment: &EnvironmentFile) -> Result<Vec<Arc<Runnable>>, Problems> {
        let runnables = self.loader().runnables(new, &environment.environment)?;
        let runnables: Vec<_> = runnables.into_iter().map(Arc::new).collect();
        let nobody_looks: Progress = Arc::new(|_: &str| {});
        self.loader().load_beside(runnables.clone(), &nobody_looks).await?;
        Ok(runnables)
    }
}

fn read(release: Release, id: ReleaseId, before: Option<&Active>) -> Result<Active, Problems> {
    let stored = crate::message_store::sqlite::ActiveRelease { release, id, ordering: 0 };
    Ok(Active::read(stored)?.after(before.map(|before| &before.integration)))
}
