//! `language-js` and `language-python`: what a fresh call costs of a plugin in another language, against the same plugin in Rust.
//!
//! The plugin is `code-names`, which reads a table out of its configuration when it is set up. Each is called as every delivery calls it, with the memory
//! behind its setup kept, and with the setup at the start of each call.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::{Row, median, readable};
use super::plugins::Built;
use super::room::Room;
use super::sandbox::{call_of, failed, invoker_over};
use super::stopwatch;
use crate::plugin::compile::{CompileChild, CompileLimits};
use crate::plugin::engine::PluginEngine;
use crate::plugin::invoke::WasmInvoker;
use crate::plugin::limits::Limits;
use crate::plugin::registry::Plugins;
use crate::plugin::{Call, Effects, PluginInvoker};
use crate::problem::{Code, Problem};
use crate::template::{Language, new_workspace};

const PLUGIN: &str = "code-names";
/// Calls timed together.
const CALLS: u32 = 16;
/// Codes in the table.
const CODES: usize = 200;
const BODY: &[u8] =
    br#"{"id":9007199254740993,"total":"129.00","country":"C7","lines":[{"sku":"A-1","quantity":2},{"sku":"B-2","quantity":1}]}"#;

/// One language: its row, where its example is, and what a plugin is built with.
struct Other {
    row: &'static str,
    language: Language,
    folder: &'static str,
    name: &'static str,
}

const OTHERS: [Other; 2] = [
    Other { row: "language-js", language: Language::TypeScript, folder: "sdk/js/examples", name: "TypeScript" },
    Other { row: "language-python", language: Language::Python, folder: "sdk/python/examples", name: "Python" },
];

/// The plugin in one language, ready to be called.
struct Spoken {
    invoker: WasmInvoker,
    /// With a configuration that it was set up for.
    kept: Call,
    /// With one that it was not.
    anew: Call,
}

/// Microseconds of one call.
struct Figures {
    kept: f64,
    anew: f64,
}

/// A row for each language of `wanted` that can be built here.
pub async fn measure(room: &Room<'_>, wanted: impl Fn(&str) -> bool) -> Result<Vec<Row>, Problem> {
    let mut others = Vec::new();
    for other in OTHERS.into_iter().filter(|other| wanted(other.row)) {
        room.say(format!("building {PLUGIN} in {}", other.name));
        match built(room, &other) {
            Ok(built) => others.push((other, Spoken::of(&built.bytes)?)),
            Err(problem) => room.say(format!("{} is left out: {problem}", other.row)),
        }
    }
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let rust = Spoken::of(&Built::of(&room.project.join("plugins").join(PLUGIN))?.bytes)?;
    room.say("calling the same plugin in every language");
    let all: Vec<&Spoken> = std::iter::once(&rust).chain(others.iter().map(|(_, spoken)| spoken)).collect();
    let (native, figures) = figures(&all, (room.size.calls / CALLS / 8).max(1)).await?;
    let [first, rest @ ..] = figures.as_slice() else { return Ok(Vec::new()) };
    let row = |((other, _), figures): (&(Other, Spoken), &Figures)| {
        let note = format!(
            "a fresh call of {PLUGIN} in {}, a table of {CODES} codes read before; {} µs where it is read in each call; in Rust {} and {} µs, natively {} µs",
            other.name,
            readable(figures.anew),
            readable(first.kept),
            readable(first.anew),
            readable(native),
        );
        Row::stated(other.row, "µs", [figures.kept, first.kept], note)
    };
    Ok(others.iter().zip(rest).map(row).collect())
}

/// The example as an author builds it: in a workspace of its language.
fn built(room: &Room<'_>, other: &Other) -> Result<Built, Problem> {
    let workspace = room.folder.join(other.row);
    let first = |problems: crate::problem::Problems| {
        problems.0.into_iter().next().unwrap_or_else(|| Problem::new(Code::Internal, "no workspace could be made, and nobody says why"))
    };
    new_workspace(&workspace, other.language).map_err(first)?;
    let folder = workspace.join("plugins").join(PLUGIN);
    copy_example(&room.project.join(other.folder).join(PLUGIN), &folder).map_err(failed)?;
    Built::of(&folder)
}

/// The sources of an example of an SDK, as they are in a workspace that has a copy of the SDK: without what its own tools left there.
///
/// # Errors
/// What cannot be read or written.
pub fn copy_example(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name == "node_modules" || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            copy_example(&path, &to.join(name))?;
        } else if name == "package.json" {
            std::fs::write(to.join(name), std::fs::read_to_string(path)?.replace("\"file:../..\"", "\"file:../../sdk/js\""))?;
        } else {
            std::fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

impl Spoken {
    fn of(component: &[u8]) -> Result<Self, Problem> {
        let compiler = CompileChild::new(CompileLimits::default());
        let plugins = Arc::new(Plugins::new(Arc::new(PluginEngine::new(&Limits::default())?), Arc::new(compiler), None)?);
        let config = table();
        let kept = Call { config: config.to_string().into(), ..call_of(component, BODY) };
        // Another text of the same.
        let anew = Call { config: format!("{config} ").into(), ..kept.clone() };
        plugins.load(&kept.plugin, component)?;
        plugins.set_up(&kept.plugin, &kept.config)?;
        Ok(Self { invoker: invoker_over(plugins), kept, anew })
    }

    /// How long some calls take.
    async fn timed(&self, call: &Call) -> Result<Duration, Problem> {
        let calls = vec![call.clone(); usize::try_from(CALLS).unwrap_or(1)];
        let start = stopwatch::now();
        for call in calls {
            self.invoker.invoke(call, Effects::default()).await.result.map_err(failed)?;
        }
        Ok(start.elapsed())
    }
}

fn table() -> Value {
    let names: serde_json::Map<String, Value> =
        (0..CODES).map(|code| (format!("C{code}"), format!("Country number {code}").into())).collect();
    json!({ "field": "country", "names": names })
}

/// Every round takes each figure once, so that what else the machine does meets all of them. The native one first.
async fn figures(all: &[&Spoken], rounds: u32) -> Result<(f64, Vec<Figures>), Problem> {
    let mut native = Vec::new();
    let mut taken: Vec<[Vec<Duration>; 2]> = all.iter().map(|_| Default::default()).collect();
    let table = table();
    for _ in 0..rounds {
        let start = stopwatch::now();
        for _ in 0..CALLS {
            black_box(natively(&table, black_box(BODY)).map_err(failed)?);
        }
        native.push(start.elapsed());
        for (spoken, [kept, anew]) in all.iter().zip(&mut taken) {
            kept.push(spoken.timed(&spoken.kept).await?);
            anew.push(spoken.timed(&spoken.anew).await?);
        }
    }
    let one_us = |taken: &[Duration]| median(taken.iter().map(Duration::as_secs_f64)) * 1e6 / f64::from(CALLS);
    Ok((one_us(&native), taken.iter().map(|[kept, anew]| Figures { kept: one_us(kept), anew: one_us(anew) }).collect()))
}

/// What the plugin does, without a sandbox.
fn natively(table: &Value, body: &[u8]) -> serde_json::Result<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(body)?;
    if let Some(name) = document["country"].as_str().and_then(|code| table["names"].get(code)) {
        document["country"] = name.clone();
    }
    serde_json::to_vec(&document)
}
