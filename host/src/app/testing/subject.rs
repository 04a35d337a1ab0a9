//! [`Staged`]: what a scenario is about, ready to be run. An integration of the workspace as it is, or one plugin between two channels.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use semver::Version;

use super::ground::Ground;
use crate::alias::secret::SecretRef;
use crate::alias::{Alias, Auth, Environment};
use crate::config::reader::Places;
use crate::integration::{
    Batching, Binding, DeliveryPolicy, Entry, Integration, Occasion, Owner, PinnedPlugin, Poll, Release, SaidLimits, Sink, Source, Step,
};
use crate::plugin::component::{Facts, ImportKind};
use crate::plugin::library::{Component, Library, Requirement, read_component};
use crate::plugin::manifest::Role;
use crate::problem::{Code, Problem, Problems};
use crate::releases::Active;
use crate::scenario::file::{OnePlugin, PluginPlace, Subject};

/// Where a plugin by itself reads, and writes.
pub const IN: &str = "in";
pub const OUT: &str = "out";
/// How often a source by itself is asked.
const POLLED_EVERY: Duration = Duration::from_secs(60);
/// The slot of a plugin that does not say which it has.
const SLOT: &str = "target";

/// What runs in a chamber.
#[derive(Clone, Debug)]
pub struct Staged {
    /// For people: the integration, or the plugin.
    pub about: String,
    pub actives: Vec<Active>,
    pub environment: Environment,
    /// Plugins that the ground does not have.
    pub components: Vec<Component>,
}

impl Staged {
    /// The integration that messages come into.
    pub fn main(&self) -> &Integration {
        // There is one: `stage` puts it there.
        &self.actives[0].integration
    }
}

impl Ground<'_> {
    /// What `subject` says, at `path` of its file.
    ///
    /// # Errors
    /// An integration or a plugin that is not there, or cannot be used so.
    pub fn stage(&self, subject: &Subject, places: &Places, path: &str) -> Result<Staged, Problems> {
        let at = |mut problem: Problem, below: &str| {
            problem.location.get_or_insert_with(|| {
                let own = places.at(&format!("{path}/{below}"));
                // What the scenario does not say itself, the file does.
                if own == places.at(path) { places.at(below) } else { own }
            });
            problem
        };
        let told = |problems: Problems, below: &str| Problems(problems.0.into_iter().map(|problem| at(problem, below)).collect());
        match subject {
            Subject::Integration(name) => self.stage_integration(name).map_err(|problem| at(problem, "integration").into()),
            Subject::Plugin(plugin) => self.stage_plugin(plugin).map_err(|more| told(more, "plugin")),
        }
    }

    /// An integration of the workspace.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn stage_integration(&self, name: &str) -> Result<Staged, Problem> {
        let active = self.actives.get(name).cloned().ok_or_else(|| self.no_integration(name))?;
        Ok(Staged { about: name.to_owned(), actives: vec![active], environment: self.environment.clone(), components: Vec::new() })
    }

    /// A plugin by itself.
    ///
    /// # Errors
    /// It is not there, or cannot be used so.
    pub fn stage_plugin(&self, plugin: &OnePlugin) -> Result<Staged, Problems> {
        let component = self.component(plugin)?;
        self.alone(plugin, component)
    }

    /// The plugin, found, and built where it is there as sources.
    ///
    /// # Errors
    /// It is not there, or does not build.
    pub fn component(&self, plugin: &OnePlugin) -> Result<Component, Problems> {
        let Step { plugin: name, version, .. } = &plugin.step;
        match &plugin.place {
            PluginPlace::Here => self.own.clone().ok_or_else(|| Problem::new(Code::Internal, "no plugin in this folder").into()),
            PluginPlace::File(file) => of_file(&self.dir.join(file)),
            PluginPlace::Named => {
                let fits = |component: &&Component| component.pinned.name == *name && version.matches(&component.pinned.version);
                if let Some(component) =
                    self.components.iter().chain(&self.own).filter(fits).max_by(|a, b| a.pinned.version.cmp(&b.pinned.version))
                {
                    return Ok(component.clone());
                }
                let wanted = Requirement { name: name.clone(), version: version.clone(), wanted_by: "a scenario".into(), location: None };
                let trust = &self.host.plugins.trust;
                let resolved = Library::scan(&self.host.plugins.paths)?.resolve(&[wanted], trust)?;
                let first = resolved.first().ok_or_else(|| Problem::new(Code::PluginMissing, format!("no plugin matches {name}")))?;
                first.component(trust, self.building)
            }
        }
    }

    /// A plugin between two channels, granted what it asks for.
    fn alone(&self, plugin: &OnePlugin, component: Component) -> Result<Staged, Problems> {
        let PinnedPlugin { name, version, .. } = &component.pinned;
        let about = format!("{name}@{version}");
        let role = role(plugin.role, &component)?;
        let mut step = plugin.step.clone();
        step.plugin.clone_from(name);
        if step.grants.is_empty() {
            step.grants = component.facts.imports.iter().filter_map(|import| import.kind.grant()).collect();
        }
        if step.bindings.is_empty() {
            step.bindings = slots(&component).into_iter().map(|slot| (slot.clone(), Binding { alias: slot, allow: Vec::new() })).collect();
        }
        let mut environment = self.environment.clone();
        for binding in step.bindings.values() {
            environment.aliases.entry(binding.alias.clone()).or_insert_with(|| made_up(&binding.alias, self.gives_tokens));
        }
        let problems = mistakes(&about, &step, &component, &environment);
        if !problems.is_empty() {
            return Err(problems);
        }
        let integration = between_channels(name, role, step);
        let release = Release { integration: name.clone(), file: String::new(), plugins: vec![component.pinned.clone()] };
        let active = Active { integration, id: release.id(), release };
        Ok(Staged { about, actives: vec![active], environment, components: vec![component] })
    }
}

/// A component in a file, whatever the file is called; one without a manifest is called as its file says, `name@1.2.0.wasm`.
///
/// # Errors
/// What is wrong with it.
pub fn of_file(path: &Path) -> Result<Component, Problems> {
    let bytes = read_component(path)?;
    let facts = Facts::of(&path.display().to_string(), &bytes)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let (name, version) = match &facts.manifest {
        Some(manifest) => (manifest.name.clone(), manifest.version.clone()),
        None => {
            let (name, version) = stem.split_once('@').unwrap_or((&stem, ""));
            (plain(name), version.parse().unwrap_or(Version::new(0, 0, 0)))
        }
    };
    let pinned = PinnedPlugin { name, version, digest: facts.digest.clone() };
    Ok(Component { pinned, requirements: BTreeSet::new(), bytes, signature: None, facts })
}

/// A name that an integration can have.
fn plain(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let plain = plain.trim_matches(|c: char| !c.is_ascii_lowercase());
    if plain.is_empty() { "plugin".to_owned() } else { plain.to_owned() }
}

fn role(said: Option<Role>, component: &Component) -> Result<Role, Problem> {
    let has = &component.facts.roles;
    let listed = || has.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ");
    match said {
        Some(role) if has.contains(&role) => Ok(role),
        Some(role) => {
            Err(Problem::new(Code::WrongRole, format!("{} is no {role}", component.pinned.name)).fix(format!("it is: {}", listed())))
        }
        None => {
            let order = [Role::Transformer, Role::Sink, Role::BatchSink, Role::Source];
            let first = order.into_iter().find(|role| has.contains(role));
            first.ok_or_else(|| {
                Problem::new(Code::WrongRole, format!("{} has no role this host knows", component.pinned.name))
                    .fix("export lockgate:plugin/transformer@0.1.0, sink, batch-sink or source")
            })
        }
    }
}

/// The slots a plugin says it has; one where it only sends requests.
fn slots(component: &Component) -> Vec<String> {
    match &component.facts.manifest {
        Some(manifest) => manifest.slots.keys().cloned().collect(),
        None if component.facts.imports(ImportKind::Http).is_some() => vec![SLOT.to_owned()],
        None => Vec::new(),
    }
}

/// An alias for a system that there is none of.
fn made_up(name: &str, gives_tokens: bool) -> Alias {
    let token_url = format!("http://{name}.test/token").parse().ok().filter(|_| gives_tokens);
    Alias {
        name: name.to_owned(),
        owner: None,
        url: format!("http://{name}.test").parse().ok(),
        auth: token_url.map_or(Auth::None, |token_url| Auth::OAuth2ClientCredentials {
            token_url,
            client_id: "made-up".into(),
            client_secret: SecretRef::env(format!("{name}.client-secret"), "NOBODY_SETS_IT"),
            scope: None,
        }),
        expired_when: None,
        rate: Vec::new(),
        stale_if_error: None,
        network: Vec::new(),
        ca_file: None,
        authorities: None,
        proxy: None,
        verify: None,
    }
}

/// What keeps a plugin from being used as `step` says.
fn mistakes(about: &str, step: &Step, component: &Component, environment: &Environment) -> Problems {
    let mut problems = Problems::default();
    if let Some(import) = component.facts.imports.iter().find(|import| import.kind == ImportKind::Unknown) {
        let message = format!("{about} imports {}, which this host does not offer", import.name);
        problems.push(Problem::new(Code::UnknownImport, message).fix("build it against lockgate:plugin@0.1.0"));
    }
    let Some(manifest) = &component.facts.manifest else { return problems };
    for slot in manifest.slots.keys().filter(|slot| !step.bindings.contains_key(*slot)) {
        let fix = format!("add `{slot} = \"<alias>\"` to `bind`, or leave `bind` out: then each slot has an alias of its name");
        problems.push(Problem::new(Code::UnboundSlot, format!("{about} needs the slot `{slot}`, which is not bound")).fix(fix));
    }
    match crate::config::resolve_values(&step.config, &environment.values) {
        Ok(config) => {
            for mistake in manifest.config_mistakes(&config) {
                let problem = Problem::new(Code::BadPluginConfig, format!("{about} does not take this config: {mistake}"));
                problems.push(problem.fix("change `config`; `lockgate inspect` shows what the plugin takes"));
            }
        }
        Err(problem) => problems.push(problem),
    }
    problems
}

fn between_channels(name: &str, role: Role, step: Step) -> Integration {
    let out = Sink::Channel(OUT.into());
    let mut delivery = DeliveryPolicy::default();
    let mut source = Source::channel(IN);
    let (steps, sink) = match role {
        Role::Transformer => (vec![step], out),
        Role::Sink => (Vec::new(), Sink::Plugin(step)),
        Role::BatchSink => {
            delivery.batch = Some(Batching::default());
            (Vec::new(), Sink::Plugin(step))
        }
        Role::Source => {
            source.entry = Entry::Poll(Poll { name: name.to_owned(), step, when: Occasion::Every(POLLED_EVERY) });
            (Vec::new(), out)
        }
    };
    Integration {
        name: name.to_owned(),
        description: String::new(),
        owner: Owner { team: None, contact: String::new() },
        sources: vec![source],
        steps,
        sink,
        delivery,
        limits: SaidLimits::default(),
        ordering: 0,
    }
}
