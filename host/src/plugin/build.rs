//! Builds a plugin's source folder into one component with its manifest inside, by running Cargo.
//!
//! Depends on `plugin::{component, manifest}`. Nothing is cached here: Cargo knows what is fresh.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::component::embed_manifest;
use super::library::read_component;
use super::manifest::Manifest;
use crate::problem::{Code, Problem};

/// What plugins are built for.
pub const TARGET: &str = "wasm32-wasip2";
/// The profile of a plugin workspace that wants another than `release`.
const PROFILE: &str = "plugin";
/// So many of the last lines of a failed build are shown.
const LINES_KEPT: usize = 40;
/// Longer lines of a build are cut.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What happens during a build, for those who wait for it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A build starts.
    Building { plugin: &'a str },
    /// Cargo says something.
    Line { plugin: &'a str, line: &'a str },
    /// It is done.
    Built { plugin: &'a str, size: usize },
}

/// Who is told. May be called from another thread.
pub type Progress<'a> = dyn Fn(Event<'_>) + Sync + 'a;

/// Builds the Cargo package in `folder`; gives the component with the manifest inside. Blocks until Cargo is done.
///
/// # Errors
/// `LG-7007` if Cargo or the target is not installed, `LG-2007` with Cargo's last lines if it does not build.
pub fn build(folder: &Path, manifest: &(Manifest, String), progress: &Progress<'_>) -> Result<Vec<u8>, Problem> {
    let (Manifest { name, .. }, text) = manifest;
    if !folder.join("Cargo.toml").is_file() {
        let message = format!("{} has a plugin.toml and no Cargo.toml", folder.display());
        return Err(Problem::new(Code::BuildFailed, message)
            .fix("add the Cargo package, or build it elsewhere and put <name>@<version>.wasm beside the folder"));
    }
    let tools = Tools::of_environment();
    require_target(&tools, folder)?;
    progress(Event::Building { plugin: name });
    let artefact = run_cargo(&tools, folder, name, progress)?;
    let bytes = embed_manifest(&artefact.display().to_string(), &read_component(&artefact)?, text)?;
    progress(Event::Built { plugin: name, size: bytes.len() });
    Ok(bytes)
}

/// The programs a build runs.
struct Tools {
    cargo: OsString,
    rustc: OsString,
}

impl Tools {
    /// As the environment names them; Cargo sets these variables for what it runs.
    fn of_environment() -> Self {
        let tool = |variable: &str, name: &str| std::env::var_os(variable).unwrap_or_else(|| OsString::from(name));
        Self { cargo: tool("CARGO", "cargo"), rustc: tool("RUSTC", "rustc") }
    }
}

/// `program` in `folder`, so that its toolchain file holds.
fn command(program: &OsString, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    // Meant for the build of the host, not for a plugin's.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(variable);
    }
    command
}

fn require_target(tools: &Tools, folder: &Path) -> Result<(), Problem> {
    let output = command(&tools.rustc, folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .output()
        .map_err(|error| no_tool("rustc", &error))?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && libdir.is_dir() {
        return Ok(());
    }
    Err(Problem::new(Code::ToolMissing, format!("plugins are built for {TARGET}, which this Rust toolchain does not have"))
        .fix(format!("rustup target add {TARGET}")))
}

fn no_tool(name: &str, error: &std::io::Error) -> Problem {
    Problem::new(Code::ToolMissing, format!("{name} cannot be run: {error}"))
        .fix(format!("install Rust (https://rustup.rs), then `rustup target add {TARGET}`"))
}

fn run_cargo(tools: &Tools, folder: &Path, name: &str, progress: &Progress<'_>) -> Result<PathBuf, Problem> {
    let mut command = command(&tools.cargo, folder);
    // The component alone, whatever else the package builds of its library: only so does the profile's `lto` hold.
    command.args([
        "rustc",
        "--lib",
        "--crate-type",
        "cdylib",
        "--target",
        TARGET,
        "--message-format=json-render-diagnostics",
        "--profile",
        profile(tools, folder),
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| no_tool("cargo", &error))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (artefact, last_lines) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| stderr.map(|stderr| follow(stderr, name, progress)).unwrap_or_default());
        let artefact = stdout.and_then(|stdout| find_artefact(stdout, folder));
        (artefact, reading.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|error| no_tool("cargo", &error))?;
    match artefact {
        Some(artefact) if status.success() => Ok(artefact),
        _ if !status.success() => Err(Problem::new(Code::BuildFailed, format!("plugin {name} does not build:\n{}", last_lines.join("\n")))
            .fix(format!("mend it until `cargo build --lib --target {TARGET}` passes in {}", folder.display()))),
        _ => Err(Problem::new(Code::BuildFailed, format!("the package of plugin {name} gives no .wasm"))
            .fix("add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]")),
    }
}

/// The profile to build with: a plugin workspace may define one that suits Wasm.
fn profile(tools: &Tools, folder: &Path) -> &'static str {
    let output = command(&tools.cargo, folder).args(["locate-project", "--workspace", "--message-format", "plain"]).output();
    let root =
        output.ok().filter(|output| output.status.success()).map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let text = root.and_then(|root| std::fs::read_to_string(root).ok()).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let defined = table.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some();
    if defined { PROFILE } else { "release" }
}

/// Passes Cargo's lines on and keeps the last of them.
fn follow(stderr: impl Read, plugin: &str, progress: &Progress<'_>) -> Vec<String> {
    let mut kept = VecDeque::new();
    for line in lines(stderr) {
        progress(Event::Line { plugin, line: &line });
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept.into()
}

fn lines(read: impl Read) -> impl Iterator<Item = String> {
    let mut reader = BufReader::new(read);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        let count = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        (count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    })
}

/// What Cargo says on its standard output (`cargo build --message-format=json`, The Cargo Book, "External tools").
#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The `.wasm` that Cargo made of the package in `folder`. Reads to the end, so that Cargo is never blocked.
fn find_artefact(stdout: impl Read, folder: &Path) -> Option<PathBuf> {
    let manifest = std::fs::canonicalize(folder.join("Cargo.toml")).ok();
    let mut artefact = None;
    for message in lines(stdout).filter_map(|line| serde_json::from_str::<CargoMessage>(&line).ok()) {
        let ours = message.reason == "compiler-artifact" && std::fs::canonicalize(&message.manifest_path).ok() == manifest;
        let wasm = message.filenames.into_iter().find(|file| file.extension().is_some_and(|extension| extension == "wasm"));
        if let (true, Some(wasm)) = (ours, wasm) {
            artefact = Some(wasm);
        }
    }
    artefact
}

#[cfg(test)]
mod tests {
    use super::*;

    // `echo` answers every question with the question: no folder, no JSON, and no failure.

    #[test]
    fn names_the_tool_that_is_not_installed_and_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { cargo: "/nonexistent/cargo".into(), rustc: "/nonexistent/rustc".into() };
        for problem in [require_target(&tools, folder.path()).unwrap_err(), run_cargo(&tools, folder.path(), "p", &|_| {}).unwrap_err()] {
            assert_eq!(problem.code, Code::ToolMissing);
            assert!(problem.fix.unwrap().contains("rustup.rs"));
        }
    }

    #[test]
    fn names_the_target_that_is_not_installed_and_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { cargo: "cargo".into(), rustc: "echo".into() };
        let problem = require_target(&tools, folder.path()).unwrap_err();
        assert_eq!((problem.code, problem.fix.as_deref()), (Code::ToolMissing, Some("rustup target add wasm32-wasip2")));
    }

    #[test]
    fn says_how_to_get_a_component_from_a_package_that_gives_none() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { cargo: "echo".into(), rustc: "rustc".into() };
        let problem = run_cargo(&tools, folder.path(), "p", &|_| {}).unwrap_err();
        assert_eq!(problem.code, Code::BuildFailed);
        assert!(problem.fix.unwrap().contains("cdylib"));
    }

    #[test]
    fn keeps_the_last_lines_of_a_build_and_no_more() {
        let text: String = (0..LINES_KEPT + 5).map(|number| format!("line {number}\n")).collect();
        let kept = follow(text.as_bytes(), "p", &|_| {});
        assert_eq!((kept.len(), kept[0].as_str()), (LINES_KEPT, "line 5"));
    }
}
