//! Sample messages for what is tried or observed: those of scenarios, those that lie in folders, or those that were recorded.

use std::path::{Path, PathBuf};

use super::asked::Samples;
use super::ground::Ground;
use super::recorded::recorded;
use super::subject::Staged;
use crate::config::workspace::require_file;
use crate::failures::intact::Sample;
use crate::integration::Entry;
use crate::plugin::manifest::Role;
use crate::problem::{Code, Problem, Problems};
use crate::scenario::chamber::Incoming;
use crate::scenario::content::Content;
use crate::scenario::file::{Answer, Input, Scenario, ScenarioFile, Subject, To};

/// Where messages lie that a workspace has for its users.
const FOLDERS: [&str; 2] = ["orders", "samples"];
/// Messages that are tried as they are, at most.
const CANDIDATES_MAX: usize = 200;

/// What there is for a target.
#[derive(Debug, Default)]
pub struct Gathered {
    pub samples: Vec<Sample>,
    /// What its systems answer when they are well, a scenario each.
    pub answers: Vec<Vec<Answer>>,
}

impl Gathered {
    fn add(&mut self, name: String, incoming: Incoming, answers: Vec<Vec<Answer>>) {
        let is_new = self.samples.iter().all(|sample| sample.incoming.content != incoming.content);
        if is_new && self.samples.len() < CANDIDATES_MAX {
            self.samples.push(Sample { name, incoming, answers });
        }
    }
}

/// Messages for `target`, with what its systems answer.
///
/// # Errors
/// A folder or a file that cannot be read, and nothing recorded where that was asked for.
pub fn samples(ground: &Ground<'_>, files: &[ScenarioFile], target: &Staged, asked: &Samples) -> Result<Gathered, Problems> {
    let own: Vec<(&ScenarioFile, &Scenario)> = files
        .iter()
        .flat_map(|file| file.scenarios.iter().map(move |scenario| (file, scenario)))
        .filter(|(_, scenario)| is_about(ground, scenario, target))
        .collect();
    let each = own.iter().map(|(_, scenario)| good(&scenario.answers)).filter(|answers| !answers.is_empty()).collect();
    let all: Vec<Answer> = own.iter().flat_map(|(_, scenario)| good(&scenario.answers)).collect();
    let mut gathered = Gathered { samples: Vec::new(), answers: each };
    let folders: Vec<PathBuf> = match asked {
        Samples::Recorded => {
            for (name, incoming, answers) in recorded(ground, target)? {
                gathered.add(name, incoming, vec![answers, all.clone()]);
            }
            Vec::new()
        }
        Samples::In(folder) => vec![folder.clone()],
        Samples::Own => {
            for (file, scenario) in &own {
                for input in &scenario.messages {
                    let stem = file.places.file().display();
                    gathered.add(format!("{stem}: {}", scenario.name), incoming(input), vec![good(&scenario.answers), all.clone()]);
                }
            }
            let is_webhook = matches!(target.main().sources.first().map(|source| &source.entry), Some(Entry::Webhook { .. }));
            let is_polled = target.main().polls().next().is_some();
            // What is for people to send goes in where people send it.
            let wanted = is_webhook || (own.is_empty() && !is_polled);
            FOLDERS.iter().map(|name| ground.dir.join(name)).filter(|path| wanted && path.is_dir()).collect()
        }
    };
    for folder in &folders {
        for path in messages_in(folder)? {
            let content = Content::of_file(&path, read_message(&path, ground.host.body_bytes_max)?);
            let incoming = Incoming { content, headers: Vec::new(), id: None, key: None };
            gathered.add(path.strip_prefix(".").unwrap_or(&path).display().to_string(), incoming, vec![all.clone()]);
        }
    }
    Ok(gathered)
}

fn incoming(input: &Input) -> Incoming {
    Incoming { content: input.content.clone(), headers: input.headers.clone(), id: input.id.clone(), key: input.key.clone() }
}

/// The answers of systems that are well, however often they are asked.
fn good(answers: &[Answer]) -> Vec<Answer> {
    let is_good = |answer: &&Answer| {
        let is_well = answer.fault.is_none() && (200..300).contains(&answer.status) && matches!(answer.to, To::Requests(_));
        is_well && answer.times.is_none() && answer.until.is_none() && answer.from.is_zero()
    };
    answers.iter().filter(is_good).cloned().collect()
}

/// Whether a scenario runs what is put through the suite.
fn is_about(ground: &Ground<'_>, scenario: &Scenario, target: &Staged) -> bool {
    match &scenario.subject {
        Subject::Integration(name) => ground.actives.contains_key(&target.about) && *name == target.about,
        Subject::Plugin(plugin) => {
            // Another role takes other messages.
            let same_role = plugin.role.is_none_or(|role| role_of(target) == role);
            let digest = |staged: &Staged| staged.components.first().map(|component| component.pinned.digest.clone());
            same_role && ground.stage_plugin(plugin).is_ok_and(|staged| digest(&staged).is_some() && digest(&staged) == digest(target))
        }
    }
}

/// In which role a plugin by itself is tried.
fn role_of(target: &Staged) -> Role {
    let main = target.main();
    match (main.steps.is_empty(), main.polls().next().is_some()) {
        (false, _) => Role::Transformer,
        (true, true) => Role::Source,
        (true, false) if main.delivery.batch.is_some() => Role::BatchSink,
        (true, false) => Role::Sink,
    }
}

/// The files of a folder, in the order of their names.
fn messages_in(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: std::io::Error| {
        Problem::new(Code::FileUnreadable, format!("{}: {error}", folder.display())).fix("name a folder of messages: --samples DIR")
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    files.sort();
    files.truncate(CANDIDATES_MAX);
    Ok(files)
}

fn read_message(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Problem> {
    let problem = |why: String| {
        Problem::new(Code::FileUnreadable, format!("{}: {why}", path.display())).fix("take it out of the folder, or make it readable")
    };
    require_file(path).map_err(|error| problem(error.to_string()))?;
    let size = std::fs::metadata(path).map_err(|error| problem(error.to_string()))?.len();
    if size > bytes_max as u64 {
        return Err(problem(format!("has {size} bytes; a message has {bytes_max} at most")));
    }
    std::fs::read(path).map_err(|error| problem(error.to_string()))
}
