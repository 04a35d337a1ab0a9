//! What a build of Python takes from the machine, and what it installs for itself: a Python with pip, and the package that carries the interpreter.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::Progress;
use super::super::follow::{follow, lines};
use super::super::told::Told;
use super::super::tools::Tool;
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

/// For whom: a plugin's name, its folder, and who waits.
#[derive(Clone, Copy)]
pub struct For<'a> {
    pub plugin: &'a str,
    pub folder: &'a Path,
    pub progress: &'a Progress<'a>,
}

/// A Python in `folder`, with nothing that would have it do something else for this machine, and no traces left in folders.
pub fn python(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONHASHSEED", "PYTHONOPTIMIZE"] {
        command.env_remove(variable);
    }
    // A module of the plugin is not taken for one of Python's own.
    command.current_dir(folder).env("PYTHONSAFEPATH", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUTF8", "1");
    command.env("PIP_DISABLE_PIP_VERSION_CHECK", "1").env("PIP_ROOT_USER_ACTION", "ignore");
    command
}

pub fn no_python(why: &str) -> Problem {
    let (major, minor) = PYTHON;
    Problem::new(Code::ToolMissing, format!("python3 cannot be run: {why}"))
        .fix(format!("install Python {major}.{minor} or later: https://www.python.org/downloads, or python3 of your system"))
}

/// The machine's, of a version that will do: which one it says it is.
///
/// # Errors
/// `LG-7007` where there is none.
fn require_python(python3: &Path, folder: &Path) -> Result<String, Problem> {
    let output = python(python3, folder).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| no_python(&error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version(&said) >= PYTHON { Ok(said) } else { Err(no_python(&format!("it is {said}"))) }
}

/// `Python 3.11.7` → 3, 11
fn version(said: &str) -> (u64, u64) {
    let mut parts = said.trim_start_matches("Python ").split('.').map(|part| part.parse::<u64>().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// A Python that has pip: the machine's, or where a system keeps pip apart, one made of it in a folder of our own.
///
/// # Errors
/// `LG-7007` where there is none, and none can be made.
pub fn with_pip(whom: For<'_>) -> Result<PathBuf, Problem> {
    let For { plugin, folder, progress } = whom;
    let python3 = Path::new("python3");
    let said = require_python(python3, folder)?;
    let asked = python(python3, folder).args(["-c", "import pip"]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if asked.is_ok_and(|status| status.success()) {
        return Ok(python3.to_owned());
    }
    let tool = Tool { name: "pip", pinned: said.as_bytes(), says: "making a Python with pip, which this machine's has not" };
    let place = tool.installed((plugin, folder), progress, |partial| {
        run(python(python3, folder).args(["-m", "venv"]).arg(partial), whom).map_err(|said| {
            Problem::new(Code::ToolMissing, format!("python3 has no pip, and makes no environment that has it:\n{said}"))
                .fix("install pip: python3-pip or python3-venv of your system, or python3 -m ensurepip")
        })
    })?;
    Ok(place.join("bin/python3"))
}

/// The program that carries the interpreter, of the package at the version and with the digest that the SDK names.
///
/// # Errors
/// `LG-7007` where it cannot be had.
pub fn carrier(sdk: &Path, with_pip: &Path, whom: For<'_>) -> Result<PathBuf, Problem> {
    let For { plugin, folder, progress } = whom;
    let list = sdk.join("requirements.txt");
    let pinned = std::fs::read(&list)
        .map_err(|error| Problem::new(Code::BuildFailed, format!("{}: {error}", list.display())).fix("lockgate update --sdk"))?;
    let tool = Tool { name: "python", pinned: &pinned, says: "getting Python for components (17 MB)" };
    let place = tool.installed((plugin, folder), progress, |partial| {
        let mut pip = python(with_pip, folder);
        pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(partial).args(CARRIER).arg("-r").arg(&list);
        run(&mut pip, whom).map_err(|said| {
            Problem::new(Code::ToolMissing, format!("pip does not get what plugins in Python are linked with:\n{said}"))
                .fix("mend what pip says: it has to reach the package index, or one that has the same package (`pip config`)")
        })?;
        let is_there = partial.join(PROGRAM).is_file();
        if is_there { Ok(()) } else { Err(Told::of(format!("{} names no package that has {PROGRAM}", list.display())).problem(plugin)) }
    })?;
    Ok(place.join(PROGRAM))
}

/// What it says, where it fails.
fn run(command: &mut Command, For { plugin, progress, .. }: For<'_>) -> Result<(), String> {
    let ended =
        follow(command, plugin, progress, |stdout| lines(stdout).collect::<Vec<_>>().join("\n")).map_err(|error| error.to_string())?;
    // `venv` says on standard output what it lacks.
    let said = if ended.said.is_empty() { ended.output } else { ended.said };
    if ended.status.success() { Ok(()) } else { Err(said) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_python_will_do() {
        assert!(version("Python 3.11.7") >= PYTHON && version("Python 3.14.0rc1") >= PYTHON && version("Python 4.0") >= PYTHON);
        assert!(version("Python 3.9.2") < PYTHON && version("Python 2.7.18") < PYTHON && version("") < PYTHON);
    }
}
