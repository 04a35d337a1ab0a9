//! Which integrations listen where: paths to webhooks, built from what is active.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::alias::{Environment, Verify};
use crate::integration::select::Selector;
use crate::integration::{Entry, Integration, Source};
use crate::message::Headers;
use crate::problem::{Code, Problem, Problems};

/// Everything that can be asked for on the ingress listener.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// As they would be if nothing were retired.
    all_webhooks: HashMap<String, Arc<Webhook>>,
    webhooks: HashMap<String, Arc<Webhook>>,
    integrations: BTreeMap<String, Arc<Integration>>,
    leaving: BTreeMap<String, Leaving>,
}

/// How far an integration is that is being retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// It is active and takes nothing new.
    Draining,
    /// It is not active any more.
    Gone,
}

/// One path and who listens there. Those who share a path agree on `verify` and `id`: a request is either genuine or
/// not, and it is either the same as another or not.
#[derive(Clone, Debug)]
pub struct Webhook {
    pub path: String,
    /// The alias that says how to verify; none for `verify = "none"`.
    pub alias: Option<String>,
    pub verify: Option<Verify>,
    pub id: Vec<Selector>,
    pub listeners: Vec<Listener>,
}

/// An integration, and the one of its sources that listens.
#[derive(Clone, Debug)]
pub struct Listener {
    pub integration: Arc<Integration>,
    source: usize,
}

impl Routes {
    /// The routes of `integrations`, with the verification rules of `environment`.
    ///
    /// # Errors
    /// An alias that is not there or verifies nothing; integrations that share a path and disagree. All of them, not the first.
    pub fn build(integrations: &[Arc<Integration>], environment: &Environment) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut webhooks: BTreeMap<String, Webhook> = BTreeMap::new();
        for integration in integrations {
            for (index, source) in integration.sources.iter().enumerate() {
                let Entry::Webhook { path, verify, .. } = &source.entry else { continue };
                let listener = Listener { integration: integration.clone(), source: index };
                match webhooks.get_mut(path) {
                    Some(webhook) if webhook.alias == *verify && webhook.id == source.id => webhook.listeners.push(listener),
                    Some(webhook) => problems.push(disagreement(webhook, integration)),
                    None => match rule(verify.as_deref(), integration, environment) {
                        Ok(rule) => {
                            let listeners = vec![listener];
                            let (path, alias, id) = (path.clone(), verify.clone(), source.id.clone());
                            webhooks.insert(path.clone(), Webhook { path, alias, verify: rule, id, listeners });
                        }
                        Err(problem) => problems.push(problem),
                    },
                }
            }
        }
        let webhooks: HashMap<_, _> = webhooks.into_iter().map(|(path, webhook)| (path, Arc::new(webhook))).collect();
        problems.or(Self {
            all_webhooks: webhooks.clone(),
            webhooks,
            leaving: BTreeMap::new(),
            integrations: integrations.iter().map(|integration| (integration.name.clone(), integration.clone())).collect(),
        })
    }

    /// The webhook at exactly this path.
    pub fn webhook(&self, path: &str) -> Option<&Arc<Webhook>> {
        self.webhooks.get(path)
    }

    /// The active integration of this name.
    pub fn integration(&self, name: &str) -> Option<&Arc<Integration>> {
        self.integrations.get(name).filter(|_| self.leaving(name) != Some(Leaving::Gone))
    }

    /// Every active integration, by name.
    pub fn integrations(&self) -> impl Iterator<Item = &Arc<Integration>> {
        self.integrations.values().filter(|integration| self.leaving(&integration.name) != Some(Leaving::Gone))
    }

    /// How far `integration` is, if it is being retired.
    pub fn leaving(&self, integration: &str) -> Option<Leaving> {
        self.leaving.get(integration).copied()
    }

    /// The same, with `integration` so far on its way out; none for one that stays.
    pub fn with(&self, integration: &str, leaving: Option<Leaving>) -> Self {
        let mut routes = self.clone();
        match leaving {
            Some(leaving) => drop(routes.leaving.insert(integration.to_owned(), leaving)),
            None => drop(routes.leaving.remove(integration)),
        }
        routes.heed_who_leaves();
        routes
    }

    /// The same, with those on their way out that are in `other`.
    pub fn leaving_as(mut self, other: &Self) -> Self {
        self.leaving.clone_from(&other.leaving);
        self.heed_who_leaves();
        self
    }

    /// A path on which nobody is left is none.
    fn heed_who_leaves(&mut self) {
        let stays = |listener: &&Listener| !self.leaving.contains_key(&listener.integration.name);
        let left = self.all_webhooks.iter().filter_map(|(path, webhook)| {
            let listeners: Vec<Listener> = webhook.listeners.iter().filter(stays).cloned().collect();
            (!listeners.is_empty()).then(|| (path.clone(), Arc::new(Webhook { listeners, ..Webhook::clone(webhook) })))
        });
        self.webhooks = left.collect();
    }
}

impl Webhook {
    /// The integrations that want this request, each once, or why the first of them does not.
    pub fn matching(&self, headers: &Headers, body: &[u8]) -> Result<Vec<&Listener>, String> {
        let mut wanted: Vec<&Listener> = Vec::new();
        let mut reason = None;
        for listener in &self.listeners {
            match listener.wants(headers, body) {
                Ok(()) if wanted.iter().any(|other| other.integration.name == listener.integration.name) => {}
                Ok(()) => wanted.push(listener),
                Err(why) => reason = reason.or(Some(why)),
            }
        }
        if wanted.is_empty() { Err(reason.unwrap_or_default()) } else { Ok(wanted) }
    }
}

impl Listener {
    /// The source that listens.
    pub fn source(&self) -> &Source {
        &self.integration.sources[self.source]
    }

    fn wants(&self, headers: &Headers, body: &[u8]) -> Result<(), String> {
        let Entry::Webhook { when, .. } = &self.source().entry else { return Ok(()) };
        for (selector, values) in when {
            match selector.find(headers, body) {
                Ok(value) if values.contains(&value) => {}
                Ok(_) => return Err(format!("{selector} has none of the values listened for")),
                Err(why) => return Err(why.to_string()),
            }
        }
        Ok(())
    }
}

fn rule(alias: Option<&str>, integration: &Integration, environment: &Environment) -> Result<Option<Verify>, Problem> {
    let Some(name) = alias else { return Ok(None) };
    let integration = &integration.name;
    let Some(alias) = environment.aliases.get(name) else {
        let message = format!("integration {integration}: verify = \"{name}\", but environment {} has no such alias", environment.name);
        return Err(Problem::new(Code::UnknownAlias, message).fix(format!("add [alias.{name}] to environments/{}.toml", environment.name)));
    };
    match &alias.verify {
        Some(verify) => Ok(Some(verify.clone())),
        None => Err(Problem::new(Code::WrongValue, format!("integration {integration}: alias {name} has no `verify`"))
            .fix(format!("add verify = {{ … }} to [alias.{name}] in environments/{}.toml", environment.name))),
    }
}

fn disagreement(webhook: &Webhook, integration: &Integration) -> Problem {
    let other = webhook.listeners.first().map_or("", |listener| listener.integration.name.as_str());
    let message =
        format!("integrations {other} and {} share the webhook path {} but not its `verify` and `id`", integration.name, webhook.path);
    Problem::new(Code::ConflictingWebhooks, message).fix("give both the same `verify` and `id`, or a path of their own")
}
