//! The child's side: links a stage with the interpreter. The plugin is started here, with nothing within reach but its own files, and may
//! loop; so this is a process of its own, under a limit of CPU time.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use lockgate_python_link::{Error, Parts, Source};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::Told;

/// The hidden command that is the child.
pub const COMMAND: &str = "link-python";
/// Several times what the interpreter alone takes.
pub const CPU_S_MAX: u64 = 240;
const FILES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 32;

/// What is linked into what.
#[derive(Clone, Debug)]
pub struct Task {
    /// The program that carries the interpreter.
    pub program: PathBuf,
    pub app: PathBuf,
    pub main: String,
    pub world: String,
    pub worlds: Vec<PathBuf>,
    pub out: PathBuf,
}

/// Links it; where it does not link, why is on standard output as JSON. The exit status.
pub fn run(task: &Task) -> u8 {
    let Err(told) = confine().map_err(|why| Told::of(why.to_string())).and_then(|()| link(task)) else { return 0 };
    // Where it cannot be written there is nobody to tell.
    drop(writeln!(std::io::stdout(), "{}", serde_json::to_string(&told).unwrap_or_default()));
    1
}

fn confine() -> std::io::Result<()> {
    for (resource, bound) in [(Resource::Cpu, CPU_S_MAX), (Resource::Core, 0)] {
        setrlimit(resource, Rlimit { current: Some(bound), maximum: Some(bound.saturating_add(1)) })?;
    }
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

fn link(Task { program, app, main, world, worlds, out }: &Task) -> Result<(), Told> {
    let unreadable = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Told::of(format!("{path}: {error}"))
    };
    let parts = Parts::of_program(&std::fs::read(program).map_err(unreadable(program))?).map_err(|error| told(&error))?;
    let app = tree(app).map_err(unreadable(app))?;
    let wit: Vec<&Path> = worlds.iter().map(PathBuf::as_path).collect();
    let source = Source { app: &app, main, wit: &wit, world };
    let component = lockgate_python_link::component(&parts, &source).map_err(|error| told(&error))?;
    std::fs::write(out, component).map_err(unreadable(out))
}

fn told(error: &Error) -> Told {
    let Some(told) = error.told() else { return Told::of(error.to_string()) };
    let lockgate_python_link::Told { message, file, line, column, text, fix, traceback } = told;
    Told { message, file, line, column, text, fix, traceback }
}

/// Every file below `folder`, by its path with `/` between its steps.
///
/// # Errors
/// What cannot be read, and more than a plugin has.
pub fn tree(folder: &Path) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut open = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                open.push((entry.path(), format!("{name}/"), depth + 1));
            } else {
                files.insert(name, std::fs::read(entry.path())?);
            }
        }
        if files.len() > FILES_MAX || depth > DEPTH_MAX {
            return Err(std::io::Error::other("there is more in it than a plugin has"));
        }
    }
    Ok(files)
}
