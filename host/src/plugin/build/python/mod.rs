//! Python: the SDK's `lockgate_build` gathers everything a component is made of, the stage; a process of its own links that with the
//! interpreter (`link`). `sdk/python/BUILDING.md` says what each does.
//!
//! Linking takes seconds and follows from the stage alone, so the component of the latest stage is kept beside the tools.

pub mod link;

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::super::library::read_component;
use super::super::manifest::Manifest;
use super::follow::{Ended, follow, lines};
use super::kept::{Key, Work};
use super::tools::Tool;
use super::{Event, Progress};
use crate::problem::{Code, Problem};

/// What the SDK's builder needs.
const PYTHON: (u64, u64) = (3, 11);
/// What pip is told to get: nothing of the package is run, it carries the interpreter. So it is the same one on every machine, and with it every
/// bit of a component.
const CARRIER: [&str; 12] = [
    "--no-deps",
    "--no-compile",
    "--only-binary=:all:",
    "--platform",
    "manylinux_2_28_x86_64",
    "--implementation",
    "cp",
    "--python-version",
    "3.11",
    "--abi",
    "abi3",
    "--require-hashes",
];
/// The package's only program.
const PROGRAM: &str = "componentize_py/componentize_py.abi3.so";

/// Why there is no component, as the SDK's builder and the plugin itself tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    message: String,
    /// In the plugin's folder, or of a package.
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    /// The line of the source.
    text: Option<String>,
    fix: Option<String>,
    traceback: Option<String>,
}

/// Where everything is that a component is made of.
#[derive(Debug, Deserialize)]
struct Stage {
    /// Modules, each file by its path.
    app: PathBuf,
    main: String,
    /// Folders of WIT.
    worlds: Vec<PathBuf>,
    world: String,
}

/// What `lockgate_build` says, a line each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Problem {
        problem: Told,
    },
    Stage(Stage),
    Step {
        step: String,
    },
    /// What the plugin asks for, which its component says as well.
    Other {},
}

/// Builds the plugin in `folder`; gives the component without its manifest.
///
/// # Errors
/// `LG-7007` if Python or pip is not installed, `LG-2007` with what the tools or the plugin itself say if it does not build.
pub fn build(folder: &Path, manifest: &Manifest, progress: &Progress<'_>) -> Result<Vec<u8>, Problem> {
    let folder = &std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let plugin = manifest.name.as_str();
    require_python(folder)?;
    let sdk = sdk(folder).ok_or_else(|| no_sdk(folder))?;
    let carrier = carrier(&sdk, folder, plugin, progress)?;
    let work = Work::of((plugin, folder), "python", progress)?;
    let stage = staged(&sdk, folder, &work.folder, plugin, progress)?;
    let key = key(&stage, &carrier).map_err(|error| failed(plugin, &Told::of(format!("{}: {error}", stage.app.display()))))?;
    if !work.component(&key).is_file() {
        progress(Event::Step { plugin, step: "linking it with Python" });
        link_stage(&stage, &carrier.join(PROGRAM), (&work, &key), plugin, progress)?;
    }
    read_component(&work.component(&key))
}

impl Told {
    fn of(message: String) -> Self {
        Self { message, ..Self::default() }
    }
}

fn failed(plugin: &str, told: &Told) -> Problem {
    let place = [told.file.clone(), told.line.map(|line| line.to_string()), told.column.map(|column| column.to_string())];
    let place: Vec<String> = place.into_iter().flatten().collect();
    let mut text = if place.is_empty() { told.message.clone() } else { format!("{}: {}", place.join(":"), told.message) };
    if let Some(line) = told.text.as_deref().map(str::trim).filter(|line| !line.is_empty()) {
        text.push_str(&format!("\n    {line}"));
    }
    if let Some(traceback) = &told.traceback {
        text.push_str(&format!("\n\n{}", traceback.trim_end()));
    }
    let fix = told.fix.clone().unwrap_or_else(|| format!("mend it until `lockgate build {plugin}` passes"));
    Problem::new(Code::BuildFailed, format!("plugin {plugin} does not build:\n{text}")).fix(fix)
}

fn no_tool(program: &str, why: &str) -> Problem {
    let (major, minor) = PYTHON;
    Problem::new(Code::ToolMissing, format!("{program} cannot be run: {why}")).fix(format!(
        "install Python {major}.{minor} or later with pip (https://www.python.org/downloads, or python3 and python3-pip of your system)"
    ))
}

/// `python3` in `folder`, with nothing that would have it do something else for this machine, and no traces left in folders.
fn python(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONHASHSEED", "PYTHONOPTIMIZE"] {
        command.env_remove(variable);
    }
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command
}

fn require_python(folder: &Path) -> Result<(), Problem> {
    let output = python(Path::new("python3"), folder).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| no_tool("python3", &error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = said.trim_start_matches("Python ").split('.').map(|part| part.parse::<u64>().unwrap_or_default());
    let version = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if version >= PYTHON { Ok(()) } else { Err(no_tool("python3", &format!("it is {said}"))) }
}

/// The SDK: of the workspace around the plugin, or the one the plugin is an example of.
fn sdk(folder: &Path) -> Option<PathBuf> {
    let places = folder.ancestors().flat_map(|above| [above.join("sdk/python"), above.to_owned()]);
    places.into_iter().find(|place| place.join("lockgate_build/__main__.py").is_file())
}

fn no_sdk(folder: &Path) -> Problem {
    Problem::new(Code::BuildFailed, format!("no folder above {} has sdk/python", folder.display()))
        .fix("`lockgate new plugin --lang python` puts it into a workspace; copy it from there")
}

/// The package that carries the interpreter, at the version and with the digest that the SDK names.
fn carrier(sdk: &Path, folder: &Path, plugin: &str, progress: &Progress<'_>) -> Result<PathBuf, Problem> {
    let list = sdk.join("requirements.txt");
    let pinned = std::fs::read(&list)
        .map_err(|error| Problem::new(Code::BuildFailed, format!("{}: {error}", list.display())).fix("lockgate update --sdk"))?;
    let tool = Tool { name: "python", pinned: &pinned, says: "getting Python for components (17 MB)" };
    tool.installed((plugin, folder), progress, |partial| {
        let aside = tempfile::tempdir().map_err(|error| failed(plugin, &Told::of(error.to_string())))?;
        let pip = |program: &Path| {
            let mut pip = python(program, folder);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(partial);
            pip.args(CARRIER).arg("-r").arg(&list);
            run(&mut pip, plugin, progress)
        };
        pip(Path::new("python3"))
            .or_else(|said| {
                // Where a system's Python has no pip, or lets it install nothing, one of our own does.
                if !["No module named pip", "externally-managed-environment"].iter().any(|why| said.contains(why)) {
                    return Err(said);
                }
                run(python(Path::new("python3"), folder).args(["-m", "venv"]).arg(aside.path().join("venv")), plugin, progress)?;
                pip(&aside.path().join("venv/bin/python3"))
            })
            .map_err(|said| {
                let problem = Problem::new(Code::ToolMissing, format!("pip does not get what plugins in Python are linked with:\n{said}"));
                problem.fix(
                    "mend what pip says: `python3 -m pip --version` should pass, or `python3 -m venv`, and the package index be reachable",
                )
            })?;
        let is_there = partial.join(PROGRAM).is_file();
        if is_there { Ok(()) } else { Err(failed(plugin, &Told::of(format!("{} holds no {PROGRAM}", list.display())))) }
    })
}

/// What it says on standard error, where it fails.
fn run(command: &mut Command, plugin: &str, progress: &Progress<'_>) -> Result<(), String> {
    let ended = follow(command, plugin, progress, |stdout| lines(stdout).last()).map_err(|error| error.to_string())?;
    if ended.status.success() { Ok(()) } else { Err(ended.said) }
}

fn staged(sdk: &Path, folder: &Path, work: &Path, plugin: &str, progress: &Progress<'_>) -> Result<Stage, Problem> {
    let wit = sdk.join("../../wit/lockgate-plugin-0.1.0");
    let mut command = python(Path::new("python3"), folder);
    command.env("PYTHONPATH", sdk).args(["-B", "-m", "lockgate_build"]).arg(folder).arg("--wit").arg(wit).arg("--stage").arg(work);
    let ended = follow(&mut command, plugin, progress, |stdout| {
        let (mut stage, mut problem) = (None, None);
        for line in lines(stdout).filter_map(|line| serde_json::from_str(&line).ok()) {
            match line {
                Line::Stage(found) => stage = Some(found),
                Line::Problem { problem: told } => problem = Some(told),
                Line::Step { step } => progress(Event::Step { plugin, step: &format!("installing {step}") }),
                Line::Other {} => {}
            }
        }
        (stage, problem)
    });
    let Ended { output, said, .. } = ended.map_err(|error| no_tool("python3", &error.to_string()))?;
    match output {
        (_, Some(told)) => Err(failed(plugin, &told)),
        (Some(stage), None) => Ok(stage),
        (None, None) => Err(failed(plugin, &Told::of(said))),
    }
}

/// What a component follows from, and who makes it.
fn key(stage: &Stage, carrier: &Path) -> std::io::Result<Key> {
    let mut parts = Vec::new();
    for folder in std::iter::once(&stage.app).chain(&stage.worlds) {
        for (name, content) in link::tree(folder)? {
            parts.extend([name.into_bytes(), content]);
        }
    }
    let this = std::env::current_exe()?.metadata()?;
    parts.push(format!("{} {} {} {} {:?}", stage.main, stage.world, carrier.display(), this.len(), this.modified()?).into_bytes());
    Ok(parts.into_iter().collect())
}

/// Has a child link the stage into what is kept for `key`.
fn link_stage(stage: &Stage, program: &Path, (work, key): (&Work, &Key), plugin: &str, progress: &Progress<'_>) -> Result<(), Problem> {
    let unusable = |error: std::io::Error| failed(plugin, &Told::of(format!("{}: {error}", work.folder.display())));
    let out = work.folder.join("component.partial");
    let mut command = Command::new(std::env::current_exe().map_err(unusable)?);
    command.arg(link::COMMAND).arg("--program").arg(program).arg("--app").arg(&stage.app).args(["--main", &stage.main]);
    command.args(["--world", &stage.world]).arg("--out").arg(&out).arg("--").args(&stage.worlds).current_dir(&work.folder);
    let ended = follow(&mut command, plugin, progress, |stdout| {
        let mut told = String::new();
        // What cannot be read is nothing that it says.
        drop(stdout.take(1 << 20).read_to_string(&mut told));
        told
    });
    let Ended { status, output, said } = ended.map_err(unusable)?;
    if status.success() {
        return work.keep(key, &out).map_err(unusable);
    }
    let ends: [Option<i32>; 2] = [Signal::XCPU, Signal::KILL].map(|signal| Some(signal.as_raw()));
    if ends.contains(&status.signal()) {
        let message = format!("it took more than {} s of CPU time to start: is there a loop at the top of a module?", link::CPU_S_MAX);
        return Err(failed(plugin, &Told { fix: Some("a module is run once, when the component is built".into()), ..Told::of(message) }));
    }
    Err(failed(plugin, &serde_json::from_str(&output).unwrap_or_else(|_| Told::of(said))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_where_a_plugin_is_wrong_and_what_to_write() {
        let line = r#"{"problem": {"message": "SyntaxError: invalid syntax", "file": "orders.py", "line": 2, "column": 11, "text": "  return = 1", "fix": "mend"}}"#;
        let Ok(Line::Problem { problem: told }) = serde_json::from_str(line) else { panic!("{line}") };
        let problem = failed("orders", &told);
        assert_eq!(problem.message, "plugin orders does not build:\norders.py:2:11: SyntaxError: invalid syntax\n    return = 1");
        assert_eq!(problem.fix.as_deref(), Some("mend"));
    }

    #[test]
    fn understands_what_the_sdk_says() {
        let read = |line: &str| serde_json::from_str::<Line>(line).unwrap();
        assert!(matches!(read(r#"{"asks": {"http": "a.py:3"}}"#), Line::Other {}));
        assert!(matches!(read(r#"{"step": "dependencies"}"#), Line::Step { .. }));
        let stage = r#"{"app": "/a", "main": "lockgate_main", "worlds": ["/w"], "world": "lockgate:build/plugin"}"#;
        assert!(matches!(read(stage), Line::Stage(Stage { main, .. }) if main == "lockgate_main"));
    }

    #[test]
    fn finds_the_sdk_of_the_workspace() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("plugins/p");
        std::fs::create_dir_all(&folder).unwrap();
        assert_eq!(sdk(&folder), None);
        let there = root.path().join("sdk/python");
        std::fs::create_dir_all(there.join("lockgate_build")).unwrap();
        std::fs::write(there.join("lockgate_build/__main__.py"), "").unwrap();
        assert_eq!(sdk(&folder), Some(there));
    }
}
