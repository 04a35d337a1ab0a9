//! A workspace folder: the host file, every integration and one environment, read and checked against one another.
//!
//! Depends on the readers beside it. What needs plugins is checked in `check`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::channels::check_channels;
use super::environment::EnvironmentFile;
use super::host::HostConfig;
use super::integration::IntegrationFile;
use super::limits;
use super::name::{NAME_RULE, is_name};
use super::reader::nearest;
use super::values;
use crate::integration::{Entry, Integration, Sink, Source};
use crate::plugin::library::Requirement;
use crate::problem::{Code, Problem, Problems};

/// A configuration file larger than this is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// More integrations than this in one workspace are not read.
const INTEGRATIONS_MAX: usize = 4096;

/// Everything the user wrote, for one environment.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub dir: PathBuf,
    /// Its paths are under `dir`.
    pub host: HostConfig,
    /// In the order of their names.
    pub integrations: Vec<IntegrationFile>,
    pub environment: EnvironmentFile,
}

impl Workspace {
    /// Reads the workspace in `dir` with the environment `environment`.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files, and between them.
    pub fn load(dir: &Path, environment: &str) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        match Self::read(dir, environment, &mut problems) {
            Some(workspace) => problems.or(workspace),
            None => Err(problems),
        }
    }

    /// As [`Workspace::load`], for those who have more to check: a workspace comes back even where its files, each right
    /// in itself, do not fit together.
    pub(super) fn read(dir: &Path, environment: &str, problems: &mut Problems) -> Option<Self> {
        let files = keep(problems, read_files(dir));
        let environment = keep(problems, read_environment(dir, environment));
        let (host, integrations) = files?;
        let workspace = Self { dir: dir.to_owned(), host, integrations, environment: environment? };
        workspace.cross_check(true, problems);
        Some(workspace)
    }

    /// The integration `name`.
    pub fn integration(&self, name: &str) -> Option<&IntegrationFile> {
        self.integrations.iter().find(|file| file.integration.name == name)
    }

    /// Reads an integration back from the text its release keeps.
    pub fn integration_from_release(text: &str, name: &str) -> Result<Integration, Problems> {
        IntegrationFile::from_release(name, text)
    }

    /// Every plugin the integrations ask for, once for each use.
    pub fn requirements(&self) -> Vec<Requirement> {
        requirements(&self.integrations)
    }

    /// What is wrong between its files, each right in itself, where others may still come that belong to them.
    pub fn mistakes(&self) -> Problems {
        let mut problems = Problems::default();
        self.cross_check(false, &mut problems);
        problems
    }

    fn cross_check(&self, is_whole: bool, problems: &mut Problems) {
        for file in &self.integrations {
            self.check_aliases(file, problems);
            self.check_values(file, problems);
        }
        self.check_alias_sections(problems);
        check_webhooks(&self.integrations, problems);
        check_channels(&self.integrations, is_whole, problems);
        limits::check(&self.integrations, &self.host.call_limits, problems);
        problems.0.sort_by(|a, b| a.location.cmp(&b.location));
    }

    fn check_aliases(&self, file: &IntegrationFile, problems: &mut Problems) {
        for (path, alias, _) in alias_uses(&file.integration) {
            if self.environment.environment.aliases.contains_key(alias) {
                continue;
            }
            let env_file = self.environment.places.file().display();
            let known = self.environment.environment.aliases.keys().map(String::as_str);
            let fix = match nearest(alias, known) {
                Some(near) => format!("did you mean `{near}`? Otherwise add [alias.{alias}] to {env_file}"),
                None => format!("add [alias.{alias}] to {env_file}"),
            };
            let message = format!("environment {} has no alias `{alias}`", self.environment.environment.name);
            problems.push(Problem::new(Code::UnknownAlias, message).at(file.places.at(&path)).fix(fix));
        }
    }

    /// An alias that verifies webhooks needs `verify`; one that is bound to a slot needs `url`. Reported once per alias.
    fn check_alias_sections(&self, problems: &mut Problems) {
        let mut lacking = BTreeMap::new();
        for file in &self.integrations {
            for (_, name, section) in alias_uses(&file.integration) {
                let Some(alias) = self.environment.environment.aliases.get(name) else { continue };
                let there = if section == "verify" { alias.verify.is_some() } else { alias.url.is_some() };
                if !there {
                    lacking.entry((name.to_owned(), section)).or_insert(&file.integration.name);
                }
            }
        }
        for ((alias, section), integration) in lacking {
            let (use_, example) = match section {
                "verify" => ("verifies webhooks for", "verify = { shopify = { secret = { env = \"SHOP_SECRET\" } } }"),
                _ => ("is bound to a slot in", "url = \"https://crm.example\""),
            };
            let message = format!("alias {alias} {use_} integration {integration}, and has no `{section}`");
            let place = self.environment.places.at(&format!("alias/{alias}"));
            problems.push(Problem::new(Code::MissingKey, message).at(place).fix(format!("add `{example}` to [alias.{alias}]")));
        }
    }

    fn check_values(&self, file: &IntegrationFile, problems: &mut Problems) {
        let uses = file.integration.uses().zip(use_paths(&file.integration));
        for ((_, step), path) in uses {
            let config = serde_json::Value::Object(step.config.clone());
            for (place, mut problem) in values::unresolved(&format!("{path}/config"), &config, &self.environment.environment.values) {
                if problem.code == Code::UnknownValue {
                    problem.message =
                        problem.message.replacen("the environment", &format!("environment {}", self.environment.environment.name), 1);
                    problem.fix =
                        problem.fix.map(|fix| fix.replacen("the environment", &self.environment.places.file().display().to_string(), 1));
                }
                problems.push(problem.at(file.places.at(&place)));
            }
        }
    }
}

/// Where each of `Integration::uses` stands in its file.
pub fn use_paths(integration: &Integration) -> impl Iterator<Item = String> + use<> {
    let sink = matches!(integration.sink, Sink::Plugin(_)).then(|| "sink".to_owned());
    let polls: Vec<_> = integration.polls().map(|(index, _)| format!("source/{index}/poll")).collect();
    (0..integration.steps.len()).map(|index| format!("step/{index}")).chain(sink).chain(polls)
}

/// Every alias an integration names: its place, its name, and the section of the alias that is needed.
fn alias_uses(integration: &Integration) -> Vec<(String, &str, &'static str)> {
    let verifies = integration.sources.iter().enumerate().filter_map(|(index, source)| match &source.entry {
        Entry::Webhook { verify: Some(alias), .. } => Some((format!("source/{index}/webhook/verify"), alias.as_str(), "verify")),
        _ => None,
    });
    let bindings = integration.uses().zip(use_paths(integration)).flat_map(|((_, step), path)| {
        step.bindings.iter().map(move |(slot, binding)| (format!("{path}/bind/{slot}"), binding.alias.as_str(), "url"))
    });
    verifies.chain(bindings).collect()
}

/// Every plugin the integrations ask for, once for each use.
pub fn requirements(integrations: &[IntegrationFile]) -> Vec<Requirement> {
    let of_one = |file: &IntegrationFile| {
        let uses = file.integration.uses().zip(use_paths(&file.integration));
        let requirement = |((place, step), path): ((String, &crate::integration::Step), String)| Requirement {
            name: step.plugin.clone(),
            version: step.version.clone(),
            wanted_by: format!("integration {}, {place}", file.integration.name),
            location: Some(file.places.at(&format!("{path}/plugin"))),
        };
        uses.map(requirement).collect::<Vec<_>>()
    };
    integrations.iter().flat_map(of_one).collect()
}

/// A request is verified, identified and keyed once, whichever integrations it goes to.
fn check_webhooks(integrations: &[IntegrationFile], problems: &mut Problems) {
    let mut first: BTreeMap<&str, (&IntegrationFile, &Source)> = BTreeMap::new();
    for file in integrations {
        for (index, source) in file.integration.sources.iter().enumerate() {
            let Entry::Webhook { path, verify, .. } = &source.entry else { continue };
            let Some((other_file, other)) = first.get(path.as_str()) else {
                first.insert(path, (file, source));
                continue;
            };
            let Entry::Webhook { verify: other_verify, .. } = &other.entry else { continue };
            let differ = [("verify", verify != other_verify), ("id", source.id != other.id), ("key", source.key != other.key)];
            let differ: Vec<_> = differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| format!("`{key}`")).collect();
            if !differ.is_empty() {
                let other = &other_file.integration.name;
                let message = format!("webhook {path} has another {} here than in integration {other}", differ.join(" and "));
                let fix = format!("give both the same {}, or one of them another path", differ.join(" and "));
                problems.push(Problem::new(Code::ConflictingWebhooks, message).at(file.places.at(&format!("source/{index}"))).fix(fix));
            }
        }
    }
}

/// The host file and every integration in `dir`, for what needs no environment.
pub fn read_files(dir: &Path) -> Result<(HostConfig, Vec<IntegrationFile>), Problems> {
    let host_path = dir.join("lockgate.toml");
    let folder = dir.join("integrations");
    if !is_there(&host_path) && !is_there(&folder) {
        let message = format!("{} has neither lockgate.toml nor integrations/", dir.display());
        return Err(Problem::new(Code::NoWorkspace, message)
            .fix("name the workspace's folder (`-C DIR`), or write integrations/<name>.toml in it")
            .into());
    }
    let mut problems = Problems::default();
    let host = if is_there(&host_path) {
        keep(&mut problems, read_text(&host_path).and_then(|text| HostConfig::parse(&host_path, &text)))
    } else {
        Some(HostConfig::default())
    };
    let mut integrations = Vec::new();
    for path in keep(&mut problems, toml_files(&folder)).unwrap_or_default() {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        integrations.extend(keep(&mut problems, read_text(&path).and_then(|text| IntegrationFile::parse(&name, &path, &text))));
    }
    match host {
        Some(host) => problems.or((host.under(dir), integrations)),
        None => Err(problems),
    }
}

/// The host file of `dir` alone, for what needs nothing else; none where `dir` is no workspace.
///
/// # Errors
/// What is wrong with the file.
pub fn read_host(dir: &Path) -> Result<Option<HostConfig>, Problems> {
    let path = dir.join("lockgate.toml");
    if is_there(&path) {
        return read_text(&path).and_then(|text| HostConfig::parse(&path, &text)).map(|host| Some(host.under(dir)));
    }
    Ok(is_there(&dir.join("integrations")).then(|| HostConfig::default().under(dir)))
}

/// The workspace that `dir` is, or is in: the folder itself, or the nearest above it that has a `lockgate.toml`.
pub fn workspace_above(dir: &Path) -> Option<PathBuf> {
    if is_there(&dir.join("lockgate.toml")) || is_there(&dir.join("integrations")) {
        return Some(dir.to_owned());
    }
    let whole = std::path::absolute(dir).ok()?;
    whole.ancestors().skip(1).find(|folder| is_there(&folder.join("lockgate.toml"))).map(Path::to_owned)
}

/// The environment `name` of `dir`.
pub fn read_environment(dir: &Path, name: &str) -> Result<EnvironmentFile, Problems> {
    let folder = dir.join("environments");
    let path = folder.join(format!("{name}.toml"));
    if is_name(name) && is_there(&path) {
        return read_text(&path).and_then(|text| EnvironmentFile::parse(name, &path, &text)?.read_authorities(dir));
    }
    let there: Vec<_> = environment_names(dir);
    let why = if is_name(name) { format!("{} is not there", path.display()) } else { format!("`{name}`: {NAME_RULE}") };
    let fix =
        if there.is_empty() { format!("write {}", folder.join("dev.toml").display()) } else { format!("one of: {}", there.join(", ")) };
    Err(Problem::new(Code::NoEnvironment, format!("no environment `{name}`: {why}")).fix(fix).into())
}

/// The environments `dir` has.
pub fn environment_names(dir: &Path) -> Vec<String> {
    let files = toml_files(&dir.join("environments")).unwrap_or_default();
    files.iter().filter_map(|path| path.file_stem()).map(|stem| stem.to_string_lossy().into_owned()).collect()
}

/// The `.toml` files of a folder, sorted; none if there is no such folder.
pub fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, Problems> {
    if !is_there(folder) {
        return Ok(Vec::new());
    }
    let unreadable = |error: std::io::Error| unreadable(folder, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            files.push(path);
        }
    }
    files.sort();
    if files.len() > INTEGRATIONS_MAX {
        return Err(Problem::new(
            Code::WrongValue,
            format!("{} has {} files; {INTEGRATIONS_MAX} are the most", folder.display(), files.len()),
        )
        .fix("split the workspace")
        .into());
    }
    Ok(files)
}

/// The text of a configuration file.
pub fn read_text(path: &Path) -> Result<String, Problems> {
    let mut bytes = Vec::new();
    require_file(path).map_err(|error| unreadable(path, &error))?;
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Problem::new(Code::FileUnreadable, format!("{} is larger than 1 MiB", path.display()))
            .fix("it is not a configuration file, or must be split")
            .into());
    }
    String::from_utf8(bytes)
        .map_err(|_| Problem::new(Code::FileUnreadable, format!("{} is not UTF-8", path.display())).fix("save it as UTF-8").into())
}

/// To be asked before opening: opening a pipe waits for who writes into it, and a device never ends.
///
/// # Errors
/// What stands in the way of knowing, or that `path` is something else than a file.
pub fn require_file(path: &Path) -> std::io::Result<()> {
    let kind = std::fs::metadata(path)?.file_type();
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => Ok(()),
        (_, true) => Err(std::io::Error::other("a folder, not a file")),
        _ => Err(std::io::Error::other("a pipe, socket or device, not a file")),
    }
}

/// Whether there is anything by that name, if only a link that leads nowhere: what the user meant to be read is never
/// passed over in silence.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problems {
    Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display()))
        .fix("put a file there that the user the host runs as can read")
        .into()
}

/// The value; or nothing, with its problems added to the others.
pub(super) fn keep<T>(problems: &mut Problems, result: Result<T, Problems>) -> Option<T> {
    result.map_err(|more| problems.0.extend(more.0)).ok()
}

#[cfg(test)]
#[path = "workspace_tests.rs"]
mod tests;
