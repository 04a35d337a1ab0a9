//! JavaScript and TypeScript: the SDK's own builder makes one module of the sources, on Node.js, which is linked with the engine. What that takes
//! is pinned by the SDK (`build/tools`, `build/engine`) and installed by npm, once for a workspace.
//!
//! What the plugin itself depends on is in `node_modules` as npm puts it there; where something is missing, npm is asked for it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::super::library::read_component;
use super::super::manifest::Manifest;
use super::follow::{Ended, follow, lines};
use super::kept::Work;
use super::link::{JavaScriptTask, Task, Why, linked};
use super::told::Told;
use super::tools::{Tool, base, turn, unwritable};
use super::{Event, Progress};
use crate::problem::{Code, Problem};

/// The SDK, as a plugin's `package.json` names it.
const SDK: &str = "@lockgate/sdk";
/// What the SDK's builder needs.
const NODE: (u64, u64) = (20, 11);
/// What npm is told: to install and nothing else. What sources are made of needs no scripts of its own.
const NPM: [&str; 5] = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=error"];
/// One platform's package serves every machine, also where npm says that it does not: nothing of it is run, it carries the engine. So every bit
/// of a component is the same wherever it is built.
const CARRIER: [&str; 1] = ["--force"];
/// The package's only program.
const PROGRAM: &str = "node_modules/@andreiltd/componentize-qjs-binding-linux-x64-gnu/componentize-qjs.linux-x64-gnu.node";
/// What the SDK's builder leaves: the module, the folder with its world, the world.
const BUNDLED: (&str, &str, &str) = ("plugin.js", "wit", "plugin");

/// Builds the package in `folder`; gives the component without its manifest.
///
/// # Errors
/// `LG-7007` if Node.js or npm is not installed, `LG-2007` with what the tools say if it does not build.
pub fn build(folder: &Path, manifest: &Manifest, progress: &Progress<'_>) -> Result<Vec<u8>, Problem> {
    let folder = &std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let plugin = manifest.name.as_str();
    require_node(folder)?;
    install_missing(folder, plugin, progress)?;
    let sdk = found(folder, SDK).filter(|sdk| sdk.join("build/main.js").is_file()).ok_or_else(|| no_sdk(folder))?;
    let tools = installed(&sdk, &TOOLS, (plugin, folder), progress)?;
    let engine = installed(&sdk, &ENGINE, (plugin, folder), progress)?;
    let work = Work::of((plugin, folder), "js", progress)?;
    let between = work.folder.join("work");
    let roles: Vec<_> = manifest.roles.iter().map(|role| role.as_str()).collect();
    let builder = sdk.join("build/main.js");
    let mut node = command("node", folder);
    node.arg(&builder).arg("--bundle").arg("--folder").arg(folder).arg("--roles").arg(roles.join(","));
    node.arg("--tools").arg(&tools).arg("--work").arg(&between);
    std::fs::create_dir_all(&between).map_err(|error| unwritable(&between, &error))?;
    run(&mut node, plugin, progress)?;
    let (bundle, wit, world) = BUNDLED;
    let (program, bundle, wit) = (engine.join(PROGRAM), between.join(bundle), between.join(wit));
    let task = Task::JavaScript(JavaScriptTask { program, bundle, wit, world: world.to_owned() });
    let component = linked(&task, &work, plugin, progress).map_err(|why| match why {
        Why::Told(told) => told.problem(plugin),
        Why::Engine(said) => failed(plugin, &explained(&builder, folder, &between, &said)),
    })?;
    read_component(&component)
}

/// What the engine said, with the author's own places; as it is where nobody can say.
fn explained(builder: &Path, folder: &Path, between: &Path, said: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut node = command("node", folder);
        node.arg(builder).arg("--explain").arg("--work").arg(between);
        let mut child = node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(said.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        Ok(if output.status.success() { String::from_utf8_lossy(&output.stdout).trim().to_owned() } else { String::new() })
    };
    ask().ok().filter(|explained| !explained.is_empty()).unwrap_or_else(|| said.to_owned())
}

/// `program` in `folder`, with nothing that would have it do something else for this machine.
fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_remove("NODE_OPTIONS").env_remove("NODE_PATH").env_remove("NODE_ENV");
    command
}

fn run(command: &mut Command, plugin: &str, progress: &Progress<'_>) -> Result<(), Problem> {
    let program = command.get_program().to_string_lossy().into_owned();
    let ended = follow(command, plugin, progress, |stdout| lines(stdout).last());
    let Ended { status, said, .. } = ended.map_err(|error| no_tool(&program, &error.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(plugin, &said)) }
}

fn failed(plugin: &str, said: &str) -> Problem {
    Told::of(said).problem(plugin)
}

fn no_tool(program: &str, why: &str) -> Problem {
    let (major, minor) = NODE;
    Problem::new(Code::ToolMissing, format!("{program} cannot be run: {why}"))
        .fix(format!("install Node.js {major}.{minor} or later, which comes with npm (https://nodejs.org)"))
}

fn no_sdk(folder: &Path) -> Problem {
    Problem::new(Code::BuildFailed, format!("{} has no {SDK} in its node_modules, nor has a folder above it", folder.display())).fix(
        format!(
            "name it in package.json: \"dependencies\": {{ \"{SDK}\": \"file:../../sdk/js\" }}; `lockgate new plugin --lang js` writes one"
        ),
    )
}

fn require_node(folder: &Path) -> Result<(), Problem> {
    let output = command("node", folder).arg("--version").stdin(std::process::Stdio::null()).output();
    let output = output.map_err(|error| no_tool("node", &error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut parts = said.trim_start_matches('v').split('.').map(|part| part.parse::<u64>().unwrap_or_default());
    let version = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if version >= NODE { Ok(()) } else { Err(no_tool("node", &format!("it is {said}"))) }
}

/// Where `name` is for a module in `folder`: in its `node_modules`, or in those above it (Node.js, "Loading from node_modules folders").
fn found(folder: &Path, name: &str) -> Option<PathBuf> {
    let places = folder.ancestors().map(|above| above.join("node_modules").join(name));
    places.into_iter().find(|place| place.join("package.json").is_file()).and_then(|place| std::fs::canonicalize(place).ok())
}

/// Has npm install what `package.json` depends on where something of it is missing.
fn install_missing(folder: &Path, plugin: &str, progress: &Progress<'_>) -> Result<(), Problem> {
    let text = std::fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    let package: Value = serde_json::from_str(&text).map_err(|error| {
        let place = folder.join("package.json");
        Problem::new(Code::BuildFailed, format!("{} is not JSON: {error}", place.display())).fix("mend it")
    })?;
    let is_missing = || {
        let names = package["dependencies"].as_object().into_iter().flat_map(|dependencies| dependencies.keys());
        names.into_iter().find(|name| found(folder, name).is_none())
    };
    if is_missing().is_none() {
        return Ok(());
    }
    let _turn = turn(&base(folder), "npm", plugin, progress)?;
    // Another build may have installed it meanwhile.
    let Some(missing) = is_missing() else { return Ok(()) };
    progress(Event::Step { plugin, step: &format!("npm install, since {missing} is not there") });
    let mut npm = command("npm", &npm_root(folder));
    run(npm.arg("install").args(NPM), plugin, progress)
}

/// The npm workspace that the package is in, or the package.
fn npm_root(folder: &Path) -> PathBuf {
    let has_workspaces = |above: &&Path| {
        let text = std::fs::read_to_string(above.join("package.json")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).is_ok_and(|package| !package["workspaces"].is_null())
    };
    folder.ancestors().find(has_workspaces).unwrap_or(folder).to_owned()
}

/// What npm installs from a folder of the SDK, at exactly the versions and with the digests that its lock names.
struct Pinned {
    /// In the SDK.
    folder: &'static str,
    name: &'static str,
    says: &'static str,
    /// What npm is told besides.
    more: &'static [&'static str],
}

/// What the SDK's builder takes.
const TOOLS: Pinned = Pinned { folder: "build/tools", name: "js", says: "installing what JavaScript is bundled with", more: &[] };
/// What a bundle is linked with.
const ENGINE: Pinned = Pinned { folder: "build/engine", name: "js-engine", says: "getting the engine for JavaScript", more: &CARRIER };

fn installed(sdk: &Path, pinned: &Pinned, (plugin, folder): (&str, &Path), progress: &Progress<'_>) -> Result<PathBuf, Problem> {
    let read = |name: &str| {
        let path = sdk.join(pinned.folder).join(name);
        std::fs::read(&path)
            .map_err(|error| Problem::new(Code::BuildFailed, format!("{}: {error}", path.display())).fix("lockgate update --sdk"))
    };
    let (package, lock) = (read("package.json")?, read("package-lock.json")?);
    let both = [package.as_slice(), &lock].concat();
    let tool = Tool { name: pinned.name, pinned: &both, says: pinned.says };
    tool.installed((plugin, folder), progress, |partial| {
        let write = |name: &str, content: &[u8]| std::fs::write(partial.join(name), content);
        write("package.json", &package)
            .and_then(|()| write("package-lock.json", &lock))
            .map_err(|error| failed(plugin, &error.to_string()))?;
        run(command("npm", partial).arg("ci").args(NPM).args(pinned.more), plugin, progress)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_packages_as_node_does() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("plugins/p");
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("plugins/p/package.json", "{}");
        assert_eq!((found(&folder, SDK), npm_root(&folder)), (None, folder.clone()));
        put("node_modules/@lockgate/sdk/package.json", "{}");
        assert!(found(&folder, SDK).unwrap().ends_with("node_modules/@lockgate/sdk"));
        put("plugins/p/node_modules/@lockgate/sdk/package.json", "{}");
        assert!(found(&folder, SDK).unwrap().ends_with("p/node_modules/@lockgate/sdk"));
        put("package.json", "{\"workspaces\": [\"plugins/*\"]}");
        assert_eq!(npm_root(&folder), root.path());
    }
}
