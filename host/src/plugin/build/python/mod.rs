//! Python: the SDK's `lockgate_build` gathers everything a component is made of, the stage, which is linked with the interpreter.
//! `sdk/python/BUILDING.md` says what each does.

mod tools;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::library::read_component;
use super::super::manifest::Manifest;
use super::follow::{Ended, follow, lines};
use super::kept::Work;
use super::link::{PythonTask, Task, Why, linked};
use super::told::Told;
use super::{Event, Progress};
use crate::problem::{Code, Problem};
use tools::{For, carrier, no_python, python, with_pip};

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
    let whom = For { plugin, folder, progress };
    let sdk = sdk(folder).ok_or_else(|| no_sdk(folder))?;
    let python3 = with_pip(whom)?;
    let program = carrier(&sdk, &python3, whom)?;
    let work = Work::of((plugin, folder), "python", progress)?;
    let stage = staged(&sdk, &work.folder, &python3, whom)?;
    let Stage { app, main, worlds, world } = stage;
    let task = Task::Python(PythonTask { program, app, main, worlds, world });
    let component = linked(&task, &work, plugin, progress).map_err(|why| match why {
        Why::Told(told) => told.problem(plugin),
        Why::Engine(said) => Told::of(said).problem(plugin),
    })?;
    read_component(&component)
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

fn staged(sdk: &Path, work: &Path, with_pip: &Path, whom: For<'_>) -> Result<Stage, Problem> {
    let For { plugin, folder, progress } = whom;
    let wit = sdk.join("../../wit/lockgate-plugin-0.1.0");
    let mut command = python(with_pip, folder);
    command.env("PYTHONPATH", sdk).args(["-m", "lockgate_build"]).arg(folder).arg("--wit").arg(wit).arg("--stage").arg(work);
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
    let Ended { output, said, .. } = ended.map_err(|error| no_python(&error.to_string()))?;
    match output {
        (_, Some(told)) => Err(told.problem(plugin)),
        (Some(stage), None) => Ok(stage),
        (None, None) => Err(Told::of(said).problem(plugin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
