//! Whether integrations and plugins fit together: roles, imports against grants, slots, configs. Needs no secret.
//!
//! Depends on `plugin`'s static facts; compiles and runs nothing.

use super::integration::IntegrationFile;
use super::values;
use super::workspace::{Workspace, use_paths};
use crate::integration::{Grant, Integration, Sink, Step};
use crate::plugin::component::{Facts, ImportKind};
use crate::plugin::manifest::Role;
use crate::problem::{Code, Location, Problem, Problems};

/// Checks every use of a plugin. `facts` gives the facts of a use's plugin, or none where it could not be had, which is
/// reported elsewhere.
pub fn check<'f>(workspace: &Workspace, facts: &dyn Fn(&Step) -> Option<&'f Facts>) -> Problems {
    let mut problems = Problems::default();
    for file in &workspace.integrations {
        for ((place, step), path) in file.integration.uses().zip(use_paths(&file.integration)) {
            let Some(facts) = facts(step) else { continue };
            let is_batch = path == "sink" && file.integration.delivery.batch.is_some();
            let checked = Use { workspace, file, place: &place, path: &path, step, facts, is_batch };
            checked.role(if is_batch { Role::BatchSink } else { role_of(&file.integration, step) }, &mut problems);
            checked.writes(&mut problems);
            checked.imports(&mut problems);
            checked.slots(&mut problems);
            checked.config(&mut problems);
        }
    }
    problems.0.sort_by(|a, b| a.location.cmp(&b.location));
    problems
}

/// The role a plugin needs where it is used.
fn role_of(integration: &Integration, step: &Step) -> Role {
    if matches!(&integration.sink, Sink::Plugin(sink) if std::ptr::eq(sink, step)) {
        Role::Sink
    } else if integration.polls().any(|(_, poll)| std::ptr::eq(&poll.step, step)) {
        Role::Source
    } else {
        Role::Transformer
    }
}

/// One use of a plugin by an integration.
struct Use<'a> {
    workspace: &'a Workspace,
    file: &'a IntegrationFile,
    /// For people: `step 1`.
    place: &'a str,
    /// In the file: `step/0`.
    path: &'a str,
    step: &'a Step,
    facts: &'a Facts,
    /// A sink that is given batches.
    is_batch: bool,
}

impl Use<'_> {
    fn at(&self, below: &str) -> Location {
        self.file.places.at(&format!("{}/{below}", self.path))
    }

    /// `integration order-to-crm, step 1: plugin x …`
    fn problem(&self, code: Code, below: &str, what: &str) -> Problem {
        let message = format!("integration {}, {}: plugin {} {what}", self.file.integration.name, self.place, self.step.plugin);
        Problem::new(code, message).at(self.at(below))
    }

    fn role(&self, needed: Role, problems: &mut Problems) {
        if self.facts.roles.contains(&needed) {
            return;
        }
        if needed == Role::Sink && self.facts.roles.contains(&Role::BatchSink) {
            let what = "takes messages in batches only, and nothing says how large they may be";
            let fix = format!("add `batch = {{ max = 100, within = \"1s\" }}` to {}", self.section());
            return problems.push(self.problem(Code::WrongRole, "plugin", what).fix(fix));
        }
        let roles: Vec<_> = self.facts.roles.iter().map(Role::to_string).collect();
        let is = if roles.is_empty() { "has no role this host knows".to_owned() } else { format!("is a {}", roles.join(" and a ")) };
        let fix = match needed {
            Role::Sink => "a [sink] needs a plugin that exports lockgate:plugin/sink@0.1.0",
            Role::BatchSink => "take `batch` away, or use a plugin that exports lockgate:plugin/batch-sink@0.1.0",
            Role::Source => "a `poll` needs a plugin that exports lockgate:plugin/source@0.1.0",
            Role::Transformer => "a [[step]] needs a plugin that exports lockgate:plugin/transformer@0.1.0",
        };
        let below = if needed == Role::BatchSink { "batch" } else { "plugin" };
        problems.push(self.problem(Code::WrongRole, below, &format!("{is}, and a {needed} is needed here")).fix(fix));
    }

    /// What a call writes commits with the message it is about. A batch is about many, which settle each on its own.
    fn writes(&self, problems: &mut Problems) {
        if let Some(grant) = self.step.grants.iter().next().filter(|_| self.is_batch) {
            let what = format!(
                "takes batches, and is granted {}: what one call writes could not commit with each of its messages",
                grant.as_str()
            );
            let fix = "take `grant` away, and let a step do it, or take `batch` away";
            problems.push(self.problem(Code::WrongValue, "grant", &what).fix(fix));
        }
    }

    fn imports(&self, problems: &mut Problems) {
        for import in &self.facts.imports {
            if import.kind == ImportKind::Unknown {
                let fix = "build it against lockgate:plugin@0.1.0; this host offers http, key-value, queue, log, config and WASI 0.2 without files and sockets";
                problems.push(
                    self.problem(Code::UnknownImport, "plugin", &format!("imports {}, which this host does not offer", import.name))
                        .fix(fix),
                );
            }
            if let Some(grant) = import.kind.grant().filter(|grant| !self.step.grants.contains(grant)) {
                let what = format!("imports {}, which is not granted", import.name);
                let fix = match self.is_batch {
                    true => "no batch sink is granted it: build the plugin without, or take `batch` away".to_owned(),
                    false => format!("add `{}` to {}", self.grant_line(grant), self.section()),
                };
                problems.push(self.problem(Code::NotGranted, "plugin", &what).fix(fix));
            }
        }
        if let Some(import) = self.facts.imports(ImportKind::Http)
            && self.step.bindings.is_empty()
        {
            let what = format!("imports {}, and no slot is bound", import.name);
            let slots = self.facts.manifest.as_ref().map(|manifest| manifest.slots.keys().map(String::as_str).collect::<Vec<_>>());
            let fix = self.bind_line(&slots.filter(|slots| !slots.is_empty()).unwrap_or_else(|| vec!["target"]));
            problems.push(self.problem(Code::NotGranted, "plugin", &what).fix(fix));
        }
    }

    /// What to add so that `slots` are bound.
    fn bind_line(&self, slots: &[&str]) -> String {
        let lines: Vec<_> = slots.iter().map(|slot| format!("{slot} = \"<alias>\"")).collect();
        match self.step.bindings.is_empty() {
            true => format!("add `bind = {{ {} }}` to {}", lines.join(", "), self.section()),
            false => format!("add `{}` to `bind` in {}", lines.join(", "), self.section()),
        }
    }

    /// The whole `grant` line with `more` in it.
    fn grant_line(&self, more: Grant) -> String {
        let mut grants = self.step.grants.clone();
        grants.insert(more);
        let words: Vec<_> = grants.iter().map(|grant| if *grant == Grant::KeyValue { "\"key-value\"" } else { "\"queue\"" }).collect();
        format!("grant = [{}]", words.join(", "))
    }

    /// `[[step]] 2 of integrations/order-to-crm.toml`
    fn section(&self) -> String {
        let section = match self.place.split_once(' ') {
            Some(("step", number)) => format!("[[step]] {number}"),
            Some((_, number)) => format!("`poll` of [[source]] {number}"),
            None => "[sink]".to_owned(),
        };
        format!("{section} of {}", self.file.places.file().display())
    }

    fn slots(&self, problems: &mut Problems) {
        let Some(manifest) = &self.facts.manifest else { return };
        let unbound: Vec<_> = manifest.slots.iter().filter(|(slot, _)| !self.step.bindings.contains_key(*slot)).collect();
        let fix = self.bind_line(&unbound.iter().map(|(slot, _)| slot.as_str()).collect::<Vec<_>>());
        for (slot, about) in unbound {
            let what = format!("needs the slot `{slot}` ({}), which is not bound", about.description);
            problems.push(self.problem(Code::UnboundSlot, "plugin", &what).fix(fix.clone()));
        }
        for slot in self.step.bindings.keys().filter(|slot| !manifest.slots.contains_key(*slot)) {
            let known: Vec<_> = manifest.slots.keys().map(|slot| format!("`{slot}`")).collect();
            let fix = if known.is_empty() {
                format!("remove `{slot}`: the plugin has no slots")
            } else {
                format!("its slots are {}", known.join(", "))
            };
            problems.push(self.problem(Code::UnknownSlot, &format!("bind/{slot}"), &format!("has no slot `{slot}`")).fix(fix));
        }
    }

    fn config(&self, problems: &mut Problems) {
        let Some(manifest) = &self.facts.manifest else { return };
        // Missing values were reported with the workspace.
        let Ok(config) = values::resolve(&self.step.config, &self.workspace.environment.environment.values) else { return };
        for mistake in manifest.config_mistakes(&config) {
            let problem = self.problem(Code::BadPluginConfig, "config", &format!("does not take this config: {mistake}"));
            problems.push(problem.fix(format!("change `config` in {}; `lockgate inspect` shows what the plugin takes", self.section())));
        }
    }
}
