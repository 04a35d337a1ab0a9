//! What a release may do that the one before could not, in words a person can approve: new requests, grants and bindings, wider ones, higher
//! limits; what newly comes in, what it no longer passes through, and where it newly goes.
//!
//! What is compared is what the integration gives its plugins; what they ask for without being given it does not run, and `check` says so.

use std::collections::{BTreeMap, BTreeSet};

use super::Active;
use super::fits::FactsByDigest;
use crate::config::limits::shown;
use crate::integration::{Allow, Beginning, Binding, CallLimits, Entry, Grant, Integration, Limit, PinnedPlugin, Sink, Source, Step};
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
    said.extend(other_bytes(before, after));
    let before = before.map(|before| &before.integration);
    said.extend(limits(before, &after.integration, ceiling));
    said.extend(flows(before, &after.integration));
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

/// Plugins that are others than before under the name and version they had.
fn other_bytes(before: Option<&Active>, after: &Active) -> Vec<String> {
    let was: BTreeSet<&PinnedPlugin> = before.into_iter().flat_map(|before| &before.release.plugins).collect();
    let same = |plugin: &&&PinnedPlugin| was.iter().any(|was| was.name == plugin.name && was.version == plugin.version);
    let is: BTreeSet<&PinnedPlugin> = after.release.plugins.iter().collect();
    let said = |plugin: &&PinnedPlugin| {
        format!("{} {} is another component than before under the same version", on_one_line(&plugin.name), plugin.version)
    };
    is.iter().filter(|plugin| !was.contains(*plugin)).filter(same).map(said).collect()
}

/// What newly comes in, what it no longer passes through, and where it newly goes within the host.
fn flows(before: Option<&Integration>, after: &Integration) -> Vec<String> {
    let mut said: Vec<String> = after.sources.iter().filter_map(|source| comes_in(before, source)).collect();
    if let Some(before) = before {
        let left: Vec<&str> = before
            .steps
            .iter()
            .map(|step| step.plugin.as_str())
            .filter(|plugin| !after.steps.iter().any(|step| step.plugin == *plugin))
            .collect();
        said.extend(
            left.iter()
                .map(|plugin| format!("messages do not pass through {} any more: what it left out of them goes on", on_one_line(plugin))),
        );
    }
    if let Sink::Channel(channel) = &after.sink
        && before.is_none_or(|before| before.sink != after.sink)
    {
        said.push(format!("what comes out newly goes to the channel {}, for all that read it", on_one_line(channel)));
    }
    said
}

/// What is newly said of a source: that it is new, or lets in what it did not.
fn comes_in(before: Option<&Integration>, source: &Source) -> Option<String> {
    let origin = on_one_line(&source.entry.origin());
    let known = before.and_then(|before| before.sources.iter().find(|known| known.entry.origin() == source.entry.origin()));
    match (known.map(|known| &known.entry), &source.entry) {
        (None, Entry::Webhook { verify: None, .. }) => {
            Some(format!("what anybody sends to {origin} newly comes in: nothing is verified there"))
        }
        (None, Entry::Webhook { .. } | Entry::Channel { .. }) => {
            Some(format!("what is on {origin} newly comes in, and goes wherever its plugins send"))
        }
        // What a poll may fetch is said of its plugin; a schedule has nothing in it.
        (None, Entry::Poll(_) | Entry::Schedule(_)) => None,
        (Some(Entry::Webhook { verify: was, when: before, .. }), Entry::Webhook { verify: is, when: after, .. }) => {
            match (was == is, before == after) {
                (true, true) => None,
                (false, _) => {
                    let by = |verify: &Option<String>| {
                        verify.as_deref().map_or_else(|| "nothing".to_owned(), |alias| format!("alias `{}`", on_one_line(alias)))
                    };
                    Some(format!("{origin} is verified by {} in place of {}", by(is), by(was)))
                }
                (true, false) => Some(format!("{origin} lets in other messages than before: its `when` is another")),
            }
        }
        (Some(Entry::Channel { from: was, .. }), Entry::Channel { from: is, .. }) if was != is && *is == Beginning::Earliest => {
            Some(format!("{origin} is read from its beginning"))
        }
        (Some(_), _) => None,
    }
}
