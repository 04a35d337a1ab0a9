//! Rust: Cargo builds the package for WASI. Cargo knows what is fresh.
//!
//! No path of the machine is in what it builds, so that another checkout gives the same bytes: paths that the compiler writes into
//! messages of panics are written as if everybody's sources lay in the same places.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::super::library::read_component;
use super::Progress;
use super::follow::{Ended, follow, lines};
use crate::problem::{Code, Problem};

/// What plugins are built for.
const TARGET: &str = "wasm32-wasip2";
/// The profile of a plugin workspace that wants another than `release`.
const PROFILE: &str = "plugin";
/// What Cargo says of a workspace.
const METADATA_BYTES_MAX: u64 = 64 << 20;

/// Builds the Cargo package in `folder`; gives the component without a manifest.
///
/// # Errors
/// `LG-7007` if Cargo or the target is not installed, `LG-2007` with the compiler's message if it does not build.
pub fn build(folder: &Path, name: &str, progress: &Progress<'_>) -> Result<Vec<u8>, Problem> {
    let tools = Tools::of_environment();
    require_target(&tools, folder)?;
    let layout = Layout::read(&tools, folder, name, progress)?;
    let artefact = run_cargo(&tools, folder, name, &layout, progress)?;
    read_component(&artefact)
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
    command.current_dir(folder);
    // Meant for the build of the host, not for a plugin's.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WORKSPACE_WRAPPER"] {
        command.env_remove(variable);
    }
    command
}

fn require_target(tools: &Tools, folder: &Path) -> Result<(), Problem> {
    let output = command(&tools.rustc, folder)
        .args(["--print", "target-libdir", "--target", TARGET])
        .stdin(std::process::Stdio::null())
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

fn does_not_build(name: &str, folder: &Path, said: &str) -> Problem {
    Problem::new(Code::BuildFailed, format!("plugin {name} does not build:\n{said}"))
        .fix(format!("mend it until `cargo build --lib --target {TARGET}` passes in {}", folder.display()))
}

/// Where Cargo finds what a package is made of (`cargo metadata`, The Cargo Book, "External tools").
#[derive(Deserialize)]
struct Layout {
    workspace_root: PathBuf,
    target_directory: PathBuf,
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// None for what lies on this machine.
    source: Option<String>,
    manifest_path: PathBuf,
}

impl Layout {
    fn read(tools: &Tools, folder: &Path, name: &str, progress: &Progress<'_>) -> Result<Self, Problem> {
        let mut command = command(&tools.cargo, folder);
        command.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
        let ended = follow(&mut command, name, progress, |stdout| {
            let mut text = Vec::new();
            stdout.take(METADATA_BYTES_MAX).read_to_end(&mut text).map(|_| text)
        });
        let Ended { status, output, said } = ended.map_err(|error| no_tool("cargo", &error))?;
        if !status.success() {
            return Err(does_not_build(name, folder, &said));
        }
        let layout = output.map_err(|error| error.to_string()).and_then(|text| serde_json::from_slice(&text).map_err(|e| e.to_string()));
        layout.map_err(|why| does_not_build(name, folder, &format!("`cargo metadata` says nothing that can be understood: {why}")))
    }

    /// Each folder of this machine that sources lie in, and what is written in place of it.
    fn renamed(&self) -> BTreeMap<PathBuf, String> {
        let mut renamed = BTreeMap::from([(self.workspace_root.clone(), "/workspace".to_owned())]);
        if !self.target_directory.starts_with(&self.workspace_root) {
            renamed.insert(self.target_directory.clone(), "/workspace/target".to_owned());
        }
        for package in &self.packages {
            let Some(folder) = package.manifest_path.parent().filter(|folder| !folder.starts_with(&self.workspace_root)) else { continue };
            let Package { name, version, .. } = package;
            // Those of a registry lie beside one another, so that another dependency changes nothing for the others.
            match (&package.source, folder.parent()) {
                (Some(source), Some(registry)) if source.starts_with("registry+") => {
                    renamed.insert(registry.to_owned(), "/registry".to_owned())
                }
                _ => renamed.insert(folder.to_owned(), format!("/dependency/{name}-{version}")),
            };
        }
        renamed
    }

    /// The same for Cargo's configuration, as one of its lines. It is added to the flags that the package's own configuration has.
    fn config(&self) -> String {
        let flag = |(from, to): (PathBuf, String)| toml::Value::from(format!("--remap-path-prefix={}={to}", from.display()));
        let flags: Vec<_> = self.renamed().into_iter().map(flag).collect();
        format!("target.{TARGET}.rustflags={}", toml::Value::Array(flags))
    }

    /// The profile to build with: a plugin workspace may define one that suits Wasm.
    fn profile(&self) -> &'static str {
        let text = std::fs::read_to_string(self.workspace_root.join("Cargo.toml")).unwrap_or_default();
        let table: toml::Table = text.parse().unwrap_or_default();
        let defined = table.get("profile").and_then(|profiles| profiles.get(PROFILE)).is_some();
        if defined { PROFILE } else { "release" }
    }
}

fn run_cargo(tools: &Tools, folder: &Path, name: &str, layout: &Layout, progress: &Progress<'_>) -> Result<PathBuf, Problem> {
    let mut command = command(&tools.cargo, folder);
    // The component alone, whatever else the package builds of its library: only so does the profile's `lto` hold.
    command.args(["rustc", "--lib", "--crate-type", "cdylib", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    command.args(["--profile", layout.profile(), "--config", &layout.config()]);
    let ended = follow(&mut command, name, progress, |stdout| find_artefact(stdout, folder));
    let Ended { status, output, said } = ended.map_err(|error| no_tool("cargo", &error))?;
    match output {
        Some(artefact) if status.success() => Ok(artefact),
        _ if !status.success() => Err(does_not_build(name, folder, &said)),
        _ => Err(Problem::new(Code::BuildFailed, format!("the package of plugin {name} gives no .wasm"))
            .fix("add to its Cargo.toml: [lib] crate-type = [\"cdylib\"]")),
    }
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

    fn layout(packages: &[(&str, Option<&str>, &str)]) -> Layout {
        let package = |(name, source, manifest): &(&str, Option<&str>, &str)| Package {
            name: (*name).into(),
            version: "1.0.0".into(),
            source: source.map(str::to_owned),
            manifest_path: manifest.into(),
        };
        let packages = packages.iter().map(package).collect();
        Layout { workspace_root: "/home/ada/shop".into(), target_directory: "/home/ada/shop/target".into(), packages }
    }

    // `echo` answers every question with the question: no folder, no JSON, and no failure.

    #[test]
    fn names_the_tool_that_is_not_installed_and_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let tools = Tools { cargo: "/nonexistent/cargo".into(), rustc: "/nonexistent/rustc".into() };
        let problems = [
            require_target(&tools, folder.path()).unwrap_err(),
            Layout::read(&tools, folder.path(), "p", &|_| {}).err().unwrap(),
            run_cargo(&tools, folder.path(), "p", &layout(&[]), &|_| {}).unwrap_err(),
        ];
        for problem in problems {
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
        let problem = run_cargo(&tools, folder.path(), "p", &layout(&[]), &|_| {}).unwrap_err();
        assert_eq!(problem.code, Code::BuildFailed);
        assert!(problem.fix.unwrap().contains("cdylib"));
    }

    #[test]
    fn writes_no_folder_of_the_machine_into_a_component() {
        let (registry, git) = (Some("registry+https://github.com/rust-lang/crates.io-index"), Some("git+https://git.example/x#1"));
        let layout = layout(&[
            ("order", None, "/home/ada/shop/plugins/order/Cargo.toml"),
            ("serde", registry, "/home/ada/.cargo/registry/src/index/serde-1.0.0/Cargo.toml"),
            ("serde_json", registry, "/home/ada/.cargo/registry/src/index/serde_json-1.0.0/Cargo.toml"),
            ("x", git, "/home/ada/.cargo/git/checkouts/x-1/2/Cargo.toml"),
            ("own", None, "/home/ada/it's \"own\"/Cargo.toml"),
        ]);
        let renamed = layout.renamed();
        let renamed: Vec<_> = renamed.iter().map(|(from, to)| (from.to_str().unwrap(), to.as_str())).collect();
        let expected = [
            ("/home/ada/.cargo/git/checkouts/x-1/2", "/dependency/x-1.0.0"),
            ("/home/ada/.cargo/registry/src/index", "/registry"),
            ("/home/ada/it's \"own\"", "/dependency/own-1.0.0"),
            ("/home/ada/shop", "/workspace"),
        ];
        assert_eq!(renamed, expected);
        let config: toml::Table = layout.config().parse().unwrap();
        assert_eq!(config["target"][TARGET]["rustflags"].as_array().unwrap().len(), expected.len());
    }
}
