//! The plugins a workspace can use: finds them, picks versions, and gives their bytes.
//!
//! A plugin is a source folder `<path>/<name>/plugin.toml` or a file `<path>/<name>@<version>.wasm`. Depends on
//! `plugin::{build, component, lock, manifest}` and `problem`; knows no integrations, only [`Requirement`]s.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use semver::{Version, VersionReq};
use serde::Serialize;

use super::build::{self, Progress};
use super::component::{COMPONENT_BYTES_MAX, Facts};
use super::lock::{Lock, Locked};
use super::manifest::Manifest;
use super::signature::Signature;
use super::source_digest;
use super::trust::Trust;
use crate::config::is_name;
use crate::config::reader::nearest;
use crate::config::workspace::{read_text, require_file};
use crate::integration::PinnedPlugin;
use crate::problem::{Code, Location, Problem, Problems};

/// A folder of plugins has at most this many entries.
const ENTRIES_MAX: usize = 10_000;

/// That a plugin is asked for, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    pub name: String,
    pub version: VersionReq,
    /// For people: `integration order-to-crm, step 1`.
    pub wanted_by: String,
    pub location: Option<Location>,
}

/// What form a plugin is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A built component.
    File,
    /// A folder with `plugin.toml` and what it is built from.
    Source,
}

/// One version of a plugin that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub name: String,
    pub version: Version,
    pub kind: Kind,
    /// The file, or the folder.
    pub path: PathBuf,
}

/// A version picked for one or more requirements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    pub candidate: Candidate,
    pub requirements: BTreeSet<String>,
    /// SHA-256 as 64 hex digits: over the file's bytes, or over the folder's paths and contents.
    pub digest: String,
}

/// A plugin's bytes and what they say.
#[derive(Clone, Debug)]
pub struct Component {
    pub pinned: PinnedPlugin,
    /// The version requirements it was picked for.
    pub requirements: BTreeSet<String>,
    pub bytes: Vec<u8>,
    /// A trusted key's, if one has signed it.
    pub signature: Option<Signature>,
    pub facts: Facts,
}

/// What the plugin folders hold, by name.
#[derive(Clone, Debug, Default)]
pub struct Library {
    paths: Vec<PathBuf>,
    sources: BTreeMap<String, Vec<PathBuf>>,
    files: BTreeMap<String, Vec<(Version, PathBuf)>>,
}

impl Library {
    /// Looks through `paths`. Reads no manifest yet, so that a broken plugin nobody uses stands in nobody's way.
    ///
    /// # Errors
    /// Folders that cannot be read, and `.wasm` files that do not say their version.
    pub fn scan(paths: &[PathBuf]) -> Result<Self, Problems> {
        let mut library = Self { paths: paths.to_vec(), ..Self::default() };
        let mut problems = Problems::default();
        for folder in paths.iter().filter(|path| path.exists()) {
            match entries(folder) {
                Ok(entries) => entries.into_iter().for_each(|path| library.note(path, &mut problems)),
                Err(problem) => problems.push(problem),
            }
        }
        problems.or(library)
    }

    fn note(&mut self, path: PathBuf, problems: &mut Problems) {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if path.join("plugin.toml").is_file() {
                self.sources.entry(file_name).or_default().push(path);
            }
            return;
        }
        let Some(stem) = file_name.strip_suffix(".wasm").filter(|stem| !stem.starts_with('.')) else { return };
        if let Err(error) = require_file(&path) {
            let problem = Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display()));
            return problems.push(problem.fix("remove it, or put the component there"));
        }
        let parts = stem.split_once('@').filter(|(name, _)| is_name(name));
        match parts.and_then(|(name, version)| Some((name, Version::parse(version).ok()?))) {
            Some((name, version)) => self.files.entry(name.to_owned()).or_default().push((version, path)),
            None => problems.push(
                Problem::new(Code::BadManifest, format!("{} does not say which plugin and version it is", path.display()))
                    .fix("rename it to <name>@<version>.wasm, for example salesforce@1.0.0.wasm"),
            ),
        }
    }

    /// The names of all plugins that are there.
    pub fn names(&self) -> BTreeSet<&str> {
        self.sources.keys().chain(self.files.keys()).map(String::as_str).collect()
    }

    /// The source folders by the names of their plugins, sorted.
    pub fn sources(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.sources.iter().flat_map(|(name, folders)| folders.iter().map(|folder| (name.as_str(), folder.as_path())))
    }

    /// Every version of `name`, the highest first. A file beside the sources of the same version, where `lockgate build` puts it, comes behind
    /// them: it is taken where sources may not run, and by workspaces that have it without them.
    ///
    /// # Errors
    /// Wrong manifests, and a version that is there twice.
    pub fn candidates(&self, name: &str) -> Result<Vec<Candidate>, Problems> {
        let mut found = Vec::new();
        for folder in self.sources.get(name).into_iter().flatten() {
            let version = source_manifest(folder, name)?.0.version;
            found.push(Candidate { name: name.to_owned(), version, kind: Kind::Source, path: folder.clone() });
        }
        for (version, path) in self.files.get(name).into_iter().flatten() {
            found.push(Candidate { name: name.to_owned(), version: version.clone(), kind: Kind::File, path: path.clone() });
        }
        found.sort_by(|a, b| b.version.cmp(&a.version));
        for pair in found.windows(2) {
            if let [one, other] = pair
                && one.version == other.version
                && !is_built_of(other, one)
            {
                let message = format!("{name} {} is there twice: {} and {}", one.version, one.path.display(), other.path.display());
                return Err(Problem::new(Code::BadManifest, message).fix("remove one, or give it another version").into());
            }
        }
        Ok(found)
    }

    /// The highest version for every requirement.
    ///
    /// # Errors
    /// Every requirement nothing matches (`LG-2001`), and plugins that cannot be read.
    ///
    /// A version that `trust` does not let run is passed over where another one fits.
    pub fn resolve(&self, requirements: &[Requirement], trust: &Trust) -> Result<Vec<Resolved>, Problems> {
        self.pick(requirements, |requirement, candidates| {
            let mut fitting = candidates.iter().filter(|candidate| requirement.version.matches(&candidate.version));
            let may_run = |candidate: &&Candidate| {
                let Candidate { name, version, .. } = candidate;
                let is_signed_instead = candidates.iter().any(|other| is_built_of(other, candidate) && other.version == *version)
                    && trust.allows_source(name, version).is_err();
                !is_signed_instead && trust.allows_version(name, version) && !(trust.revokes_digests() && is_revoked(candidate, trust))
            };
            let found = fitting.clone().find(may_run).or_else(|| fitting.next()).cloned();
            found.ok_or_else(|| self.missing(requirement, candidates))
        })
    }

    /// The versions `lock` names for every requirement, checked to be there unchanged.
    ///
    /// # Errors
    /// As [`Library::resolve`]; and `LG-1014` where the lock does not say, or what it says is no longer so.
    pub fn resolve_locked(&self, requirements: &[Requirement], lock: &Lock) -> Result<Vec<Resolved>, Problems> {
        let resolved = self.pick(requirements, |requirement, candidates| {
            if !candidates.iter().any(|candidate| requirement.version.matches(&candidate.version)) {
                return Err(self.missing(requirement, candidates));
            }
            let wanted = format!("{}@{}", requirement.name, requirement.version);
            let Some(locked) = lock.find(&requirement.name, &requirement.version) else {
                return Err(outdated(format!("lockgate.lock has no version for {wanted} ({})", requirement.wanted_by)));
            };
            let found = candidates.iter().find(|candidate| candidate.version == locked.version && candidate.kind == locked.kind).cloned();
            found.ok_or_else(|| {
                outdated(format!("lockgate.lock has {wanted} at {}, which is not there as a {}", locked.version, word(locked.kind)))
            })
        })?;
        let mut problems = Problems::default();
        for plugin in &resolved {
            let Candidate { name, version, .. } = &plugin.candidate;
            if !lock.plugins.iter().any(|locked| locked.name == *name && locked.version == *version && locked.digest == plugin.digest) {
                problems
                    .push(outdated(format!("{name} {version} ({}) is not what lockgate.lock says it is", plugin.candidate.path.display())));
            }
        }
        problems.or(resolved)
    }

    fn pick(
        &self,
        requirements: &[Requirement],
        choose: impl Fn(&Requirement, &[Candidate]) -> Result<Candidate, Problem>,
    ) -> Result<Vec<Resolved>, Problems> {
        let mut problems = Problems::default();
        let mut picked: BTreeMap<(String, Version), Resolved> = BTreeMap::new();
        let mut seen: BTreeMap<&str, Result<Vec<Candidate>, ()>> = BTreeMap::new();
        for requirement in requirements {
            let candidates = seen
                .entry(&requirement.name)
                .or_insert_with(|| self.candidates(&requirement.name).map_err(|more| problems.0.extend(more.0)));
            let Ok(candidates) = candidates else { continue };
            match choose(requirement, candidates) {
                Ok(candidate) => {
                    let place = picked.entry((candidate.name.clone(), candidate.version.clone()));
                    let resolved = place.or_insert_with(|| Resolved { candidate, requirements: BTreeSet::new(), digest: String::new() });
                    resolved.requirements.insert(requirement.version.to_string());
                }
                Err(problem) => problems.push(problem),
            }
        }
        let mut picked: Vec<Resolved> = picked.into_values().collect();
        let unreadable = picked.par_iter_mut().filter_map(|resolved| match digest(&resolved.candidate) {
            Ok(digest) => {
                resolved.digest = digest;
                None
            }
            Err(problem) => Some(problem),
        });
        problems.0.extend(unreadable.collect::<Vec<_>>());
        problems.or(picked)
    }

    fn missing(&self, requirement: &Requirement, candidates: &[Candidate]) -> Problem {
        let Requirement { name, version, wanted_by, location } = requirement;
        let versions: Vec<_> = candidates.iter().map(|candidate| candidate.version.to_string()).collect();
        let fix = if !versions.is_empty() {
            format!("ask for a version that is there: {}", versions.join(", "))
        } else if let Some(near) = nearest(name, self.names().into_iter()) {
            format!("did you mean `{near}`? Plugins there: {}", self.names().into_iter().collect::<Vec<_>>().join(", "))
        } else if let Some(gone) = self.paths.iter().find(|path| !path.exists()) {
            format!("{} is not there: correct [plugins] paths in lockgate.toml, or put {name}@<version>.wasm into it", gone.display())
        } else {
            let folder = self.paths.first().map_or("plugins".into(), |path| path.display().to_string());
            format!("put {name}@<version>.wasm or the folder {name} with its plugin.toml into {folder}")
        };
        let wanted = if *version == VersionReq::STAR { name.clone() } else { format!("{name}@{version}") };
        let problem = Problem::new(Code::PluginMissing, format!("no plugin matches {wanted} ({wanted_by})")).fix(fix);
        match location {
            Some(location) => problem.at(location.clone()),
            None => problem,
        }
    }
}

/// The plugin whose sources are in `folder`, whatever that is called.
///
/// # Errors
/// A wrong manifest, and files that cannot be read.
pub fn in_folder(folder: &Path) -> Result<Resolved, Problems> {
    let path = folder.join("plugin.toml");
    let Manifest { name, version, .. } = Manifest::parse(&path, &read_text(&path)?)?;
    let candidate = Candidate { name, version, kind: Kind::Source, path: folder.to_owned() };
    let digest = digest(&candidate)?;
    Ok(Resolved { candidate, requirements: BTreeSet::new(), digest })
}

/// Whether `file` lies where a build of the source folder `sources` puts it.
fn is_built_of(file: &Candidate, sources: &Candidate) -> bool {
    (sources.kind, file.kind) == (Kind::Source, Kind::File) && sources.path.parent() == file.path.parent()
}

fn outdated(message: String) -> Problem {
    Problem::new(Code::LockOutdated, message).fix("lockgate update")
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Source => "source folder",
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", folder.display()))
            .fix("correct [plugins] paths in lockgate.toml, or the folder's permissions")
    };
    let read = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut paths: Vec<_> =
        read.take(ENTRIES_MAX).map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

/// The manifest of a source folder and its text. A folder is called like its plugin.
///
/// # Errors
/// What is wrong with it.
pub fn source_manifest(folder: &Path, name: &str) -> Result<(Manifest, String), Problems> {
    let path = folder.join("plugin.toml");
    let text = read_text(&path)?;
    let manifest = Manifest::parse(&path, &text)?;
    if manifest.name != name {
        let message = format!("{} names the plugin `{}`, and its folder is called `{name}`", path.display(), manifest.name);
        return Err(Problem::new(Code::BadManifest, message)
            .fix(format!("rename the folder to `{}`, or change `name`", manifest.name))
            .into());
    }
    Ok((manifest, text))
}

/// Whether what is in its file is revoked. What is built of sources has no digest yet; what cannot be read is told of later.
fn is_revoked(candidate: &Candidate, trust: &Trust) -> bool {
    let Candidate { name, version, kind, .. } = candidate;
    let pinned = |digest| PinnedPlugin { name: name.clone(), version: version.clone(), digest };
    *kind == Kind::File && digest(candidate).is_ok_and(|digest| trust.allows(&pinned(digest)).is_err())
}

fn digest(candidate: &Candidate) -> Result<String, Problem> {
    match candidate.kind {
        Kind::File => Ok(super::sha256_hex(&read_component(&candidate.path)?)),
        Kind::Source => source_digest::of_folder(&candidate.path),
    }
}

/// The bytes of a `.wasm` file.
///
/// # Errors
/// `LG-1001` if it cannot be read, `LG-2002` if it is too large to be a plugin.
pub fn read_component(path: &Path) -> Result<Vec<u8>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display())).fix("check the path and its permissions")
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // Not asked for its size first: a pipe or a device says none, and may never end.
    file.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > COMPONENT_BYTES_MAX {
        let message = format!("{} has more than {COMPONENT_BYTES_MAX} bytes, the most a component may have", path.display());
        return Err(Problem::new(Code::NotAComponent, message).fix("build it with optimisation and without debug information"));
    }
    Ok(bytes)
}

impl Resolved {
    /// What the lock file says of it.
    pub fn locked(&self) -> Locked {
        let Candidate { name, version, kind, .. } = self.candidate.clone();
        Locked { name, version, kind, requirements: self.requirements.iter().cloned().collect(), digest: self.digest.clone() }
    }

    /// Whether it may run on a host with these rules, as far as can be known without building it.
    ///
    /// # Errors
    /// LG-2021 and LG-2022.
    pub fn vet(&self, trust: &Trust) -> Result<(), Problem> {
        let Candidate { name, version, kind, .. } = &self.candidate;
        match kind {
            Kind::Source => trust.allows(&self.pinned(String::new())).and_then(|()| trust.allows_source(name, version)),
            Kind::File if trust.require_signed => self.read(trust).map(drop),
            Kind::File => trust.allows(&self.pinned(self.digest.clone())),
        }
    }

    fn pinned(&self, digest: String) -> PinnedPlugin {
        PinnedPlugin { name: self.candidate.name.clone(), version: self.candidate.version.clone(), digest }
    }

    /// The bytes of a file that may run, and the trusted signature on them if there is one.
    fn read(&self, trust: &Trust) -> Result<(Vec<u8>, Option<Signature>), Problem> {
        let path = &self.candidate.path;
        let bytes = read_component(path)?;
        let pinned = self.pinned(super::sha256_hex(&bytes));
        if pinned.digest != self.digest {
            return Err(outdated(format!("{} was changed while it was read", path.display())));
        }
        // Of a host that trusts nobody in particular it is no concern whether there is a signature, and what is wrong with it.
        let signature = if trust.keys.is_empty() { None } else { Signature::beside(path)? };
        trust.admits(&pinned, &bytes, signature.as_ref())?;
        let trusted = signature.filter(|signature| trust.signer(&bytes, signature).is_some());
        Ok((bytes, trusted))
    }

    /// Its bytes: read, or built. Blocks for as long as a build takes.
    ///
    /// # Errors
    /// What is wrong with the file, its manifest or the build; and that it may not run.
    pub fn component(&self, trust: &Trust, progress: &Progress<'_>) -> Result<Component, Problems> {
        let Candidate { name, version, kind, path } = &self.candidate;
        let (bytes, signature) = match kind {
            Kind::File => self.read(trust)?,
            Kind::Source => {
                self.vet(trust)?;
                (build::build(path, &source_manifest(path, name)?, progress)?, None)
            }
        };
        let facts = Facts::of(&path.display().to_string(), &bytes)?;
        if let Some(manifest) = facts.manifest.as_ref().filter(|manifest| manifest.name != *name || manifest.version != *version) {
            let message = format!("{} holds {} {}, which is not what its name says", path.display(), manifest.name, manifest.version);
            return Err(Problem::new(Code::BadManifest, message)
                .fix(format!("rename it to {}@{}.wasm", manifest.name, manifest.version))
                .into());
        }
        let pinned = self.pinned(facts.digest.clone());
        // What was built has a digest only now.
        trust.allows(&pinned)?;
        Ok(Component { pinned, requirements: self.requirements.clone(), bytes, signature, facts })
    }
}
