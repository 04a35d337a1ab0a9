//! What a release may do that the one before could not, in words a person can approve: new requests, grants and bindings, wider ones, higher
//! limits, and webhooks that nobody has to sign any more.
//!
//! What is compared is what the integration gives its plugins; what they ask for without being given it does not run, and `check` says so.

use std::collections::{BTreeMap, BTreeSet};

use super::Active;
use super::fits::FactsByDigest;
use crate::config::limits::shown;
use crate::integration::{Allow, Binding, CallLimits, Entry, Grant, Integration, Limit, PinnedPlugin, Step};
use crate::plugin::component::ImportKind;
use crate::printable::on_one_line;

/// What one plugin is given in one integration, in all its places together.
#[derive(Debug, Default)]
struct Given {
    /// For people: `1.4.2`, of the last place.
    version: String,
    places: Vec<String>,
    grants: BTreeSet<Grant>,
    /// By slot; the same slot may be bound in several places.
    bindings: BTreeMap<String, Vec<Binding>>,
    imports_http: bool,
}

/// What `after` newly asks for. `facts` are those of the plugins of both, as far as they are known.
pub fn newly(before: Option<&Active>, after: &Active, facts: &FactsByDigest, ceiling: &CallLimits) -> Vec<String> {
    let (was, is) = (before.map(|before| given(before, facts)).unwrap_or_default(), given(after, facts));
    let none = Given::default();
    let mut said = Vec::new();
    for (plugin, given) in &is {
        let before = was.get(plugin);
        let newly = Newly { plugin, before, was: before.unwrap_or(&none), is: given };
        newly.say(&mut said);
    }
    said.extend(limits(before.map(|before| &before.integration), &after.integration, ceiling));
    said.extend(unsigned(before.map(|before| &before.integration), &after.integration));
    said
}

fn given(active: &Active, facts: &FactsByDigest) -> BTreeMap<String, Given> {
    let mut all = BTreeMap::<String, Given>::new();
    for ((place, step), pinned) in active.integration.uses().zip(&active.release.plugins) {
        let Step { grants, bindings, .. } = step;
        let PinnedPlugin { name, version, digest } = pinned;
        let given = all.entry(name.clone()).or_default();
        given.version = version.to_string();
        given.places.push(place);
        given.grants.extend(grants.iter().copied());
        given.imports_http |= facts.get(digest).is_none_or(|facts| facts.imports(ImportKind::Http).is_some());
        for (slot, binding) in bindings {
            given.bindings.entry(slot.clone()).or_default().push(binding.clone());
        }
    }
    all
}

struct Newly<'a> {
    plugin: &'a str,
    /// None: the plugin is new to the integration.
    before: Option<&'a Given>,
    was: &'a Given,
    is: &'a Given,
}

impl Newly<'_> {
    fn say(&self, said: &mut Vec<String>) {
        let places = self.is.places.join(", ");
        if self.is.imports_http {
            for (slot, bindings) in &self.is.bindings {
                said.extend(bindings.iter().filter_map(|binding| self.binding(slot, binding, &places)));
            }
        }
        for grant in self.is.grants.difference(&self.was.grants) {
            let could = match grant {
                Grant::KeyValue => "it could keep parts of the messages it is given, for itself",
                Grant::Queue => "it could put messages into channels of this host, for other integrations to read",
            };
            said.push(format!("{} newly asks: `{}`; {could}{}", self.named(), grant.as_str(), self.did_not()));
        }
        said.dedup();
    }

    /// What is newly said of where `slot` leads.
    fn binding(&self, slot: &str, binding: &Binding, places: &str) -> Option<String> {
        let before = self.was.bindings.get(slot).map(Vec::as_slice).unwrap_or_default();
        let alias = &binding.alias;
        let Some(same) = before.iter().find(|before| before.alias == *alias) else {
            let (asks, instead) = match before.first() {
                None => (format!("newly asks: http slot `{slot}`"), String::new()),
                Some(other) => (format!("sends through slot `{slot}` to another system"), format!(" in place of `{}`", other.alias)),
            };
            let requests = requests(&binding.allow);
            return Some(format!(
                "{} {asks}; bound to alias `{alias}`{instead}, it could send every field of the input of {places} there ({requests}){}",
                self.named(),
                self.did_not()
            ));
        };
        let wider: Vec<String> = wider(&same.allow, &binding.allow)?;
        Some(format!("{} may newly send to alias `{alias}` through slot `{slot}`: {}", self.named(), wider.join(", ")))
    }

    fn named(&self) -> String {
        format!("{} {}", on_one_line(self.plugin), self.is.version)
    }

    fn did_not(&self) -> String {
        match self.before {
            Some(before) => format!("; {} did not", before.version),
            None => String::new(),
        }
    }
}

fn requests(allow: &[Allow]) -> String {
    if allow.is_empty() { "any request".to_owned() } else { format!("only {}", allow.iter().map(word).collect::<Vec<_>>().join(", ")) }
}

fn word(allow: &Allow) -> String {
    format!("{} {}", allow.method, allow.path)
}

/// The requests that `after` allows and `before` did not; none if there are none. An empty list allows everything.
fn wider(before: &[Allow], after: &[Allow]) -> Option<Vec<String>> {
    match (before.is_empty(), after.is_empty()) {
        (true, _) => None,
        (false, true) => Some(vec!["any request".to_owned()]),
        (false, false) => {
            let more: Vec<String> = after.iter().filter(|allow| !before.iter().any(|before| before.covers(allow))).map(word).collect();
            (!more.is_empty()).then_some(more)
        }
    }
}

fn limits(before: Option<&Integration>, after: &Integration, ceiling: &CallLimits) -> Vec<String> {
    // Of a first release: what is over what every integration has.
    let was = before.map_or_else(CallLimits::default, |before| CallLimits::of(&before.limits, ceiling));
    let is = CallLimits::of(&after.limits, ceiling);
    let higher = Limit::ALL.into_iter().filter(|limit| is.get(*limit) > was.get(*limit));
    let said = |limit: Limit| {
        format!(
            "its plugins may use more {}: {} a call in place of {}",
            limit.what(),
            shown(limit, is.get(limit)),
            shown(limit, was.get(limit))
        )
    };
    higher.map(said).collect()
}

/// Webhooks whose senders need not prove who they are.
fn unsigned(before: Option<&Integration>, after: &Integration) -> Vec<String> {
    fn open(of: &Integration) -> BTreeSet<&str> {
        let paths = of.sources.iter().filter_map(|source| match &source.entry {
            Entry::Webhook { path, verify: None, .. } => Some(path.as_str()),
            _ => None,
        });
        paths.collect()
    }
    let was = before.map(open).unwrap_or_default();
    let said = |path: &str| format!("anybody may send to the webhook {}: nothing is verified there", on_one_line(path));
    open(after).difference(&was).map(|path| said(path)).collect()
}
