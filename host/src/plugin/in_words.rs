//! What a component could do where it is used, for people who do not write plugins: sentences made from [`Facts`].
//!
//! Depends on nothing but what a component says of itself and asks for.

use super::component::{Facts, ImportKind};
use super::manifest::Role;
use crate::printable::on_one_line;

/// Sentences in the order in which a person who has to approve the component wants them: what it is for, where data could go, what it
/// could keep, and what it cannot do.
pub fn in_words(facts: &Facts) -> Vec<String> {
    let mut said: Vec<String> = facts.roles.iter().map(|role| role_in_words(*role).to_owned()).collect();
    let asks = |kind| facts.imports(kind).is_some();
    if asks(ImportKind::Http) {
        said.extend(slots_in_words(facts));
    } else {
        said.push("It sends nothing to any system: it does not ask for requests.".to_owned());
    }
    if asks(ImportKind::Queue) {
        said.push("If granted `queue`, it could put messages into channels of this host, for other integrations to read.".to_owned());
    }
    if asks(ImportKind::KeyValue) {
        said.push(
            "If granted `key-value`, it could keep parts of the messages it is given, for itself; no other integration sees them."
                .to_owned(),
        );
    }
    if asks(ImportKind::Log) {
        said.push("It can write into this host's log, also parts of messages.".to_owned());
    }
    said.extend(
        facts
            .imports
            .iter()
            .filter(|import| import.kind == ImportKind::Unknown)
            .map(|import| format!("It asks for {}, which no host offers, and so cannot run.", on_one_line(&import.name))),
    );
    said.push(
        "It sees no credential, no file, no network, no clock of this machine, and no data of another integration, whatever it asks for."
            .to_owned(),
    );
    said
}

fn role_in_words(role: Role) -> &'static str {
    match role {
        Role::Transformer => "As a step, it is given each message of the integration and gives back what becomes of it.",
        Role::Sink => "As a sink, it is given each message at the end of the integration, to deliver it.",
        Role::BatchSink => "As a sink, it is given several messages at a time at the end of the integration, to deliver them.",
        Role::Source => "As a source, it is asked for new messages and says how far it has got.",
    }
}

/// Where its requests would go.
fn slots_in_words(facts: &Facts) -> Vec<String> {
    let could = "Everything it is given could be sent there; `allow` of the binding narrows which requests it may send";
    let slots = facts.manifest.as_ref().map(|manifest| &manifest.slots).filter(|slots| !slots.is_empty());
    match slots {
        None => vec![format!("It sends requests to each system that the integration binds to a slot of it. {could}.")],
        Some(slots) => slots
            .iter()
            .map(|(slot, about)| {
                let description = on_one_line(&about.description);
                format!("It sends requests to the system bound to `{slot}` ({}). {could}.", description.trim_end_matches('.'))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plugin::component::Import;

    fn facts(kinds: &[ImportKind], roles: &[Role]) -> Facts {
        Facts {
            digest: String::new(),
            size: 0,
            manifest: None,
            roles: BTreeSet::from_iter(roles.iter().copied()),
            sets_up: false,
            imports: kinds.iter().map(|kind| Import { name: format!("{kind:?}"), kind: *kind }).collect(),
            urls: BTreeSet::new(),
        }
    }

    #[test]
    fn says_where_data_could_go_and_that_it_cannot_where_nothing_is_asked_for() {
        let sink = in_words(&facts(&[ImportKind::Http, ImportKind::Queue], &[Role::Sink])).join("\n");
        assert!(sink.contains("could be sent there") && sink.contains("into channels") && !sink.contains("sends nothing"), "{sink}");
        let mapping = in_words(&facts(&[ImportKind::Log], &[Role::Transformer])).join("\n");
        assert!(mapping.contains("sends nothing to any system") && mapping.contains("log"), "{mapping}");
        assert!(mapping.contains("no credential"), "{mapping}");
    }

    #[test]
    fn says_of_what_no_host_offers_that_it_cannot_run() {
        assert!(in_words(&facts(&[ImportKind::Unknown], &[])).join("\n").contains("cannot run"));
    }
}
