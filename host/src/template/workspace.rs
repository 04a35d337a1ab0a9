//! A new workspace: one integration that runs as it stands, with its plugin, and room for more.

use std::path::Path;

use super::carried::{filled, template};
use super::files::Files;
use super::{Language, Made, Next, plugin};
use crate::problem::{Code, Problem, Problems};

pub fn make(dir: &Path, language: Language) -> Result<Made, Problems> {
    for mark in ["lockgate.toml", "integrations"] {
        if dir.join(mark).symlink_metadata().is_ok() {
            let message = format!("{} is a workspace already: it has {mark}", dir.display());
            return Err(Problem::new(Code::AlreadyThere, message).fix("name another folder, or add to it: lockgate new plugin").into());
        }
    }
    if dir.exists() && !dir.is_dir() {
        return Err(Problem::new(Code::AlreadyThere, format!("{} is a file", dir.display())).fix("name a folder").into());
    }
    let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let name = whole.file_name().map_or_else(|| "workspace".into(), |name| name.to_string_lossy().into_owned());
    let mut files = Files::default();
    files.file(".gitignore", template("workspace/dot.gitignore"));
    plugin::add(&mut files, dir, Path::new("plugins/hello"), "hello", language, "hello")?;
    for file in ["environments/dev.toml", "integrations/hello.toml", "samples/hello.json", "tests/hello.toml"] {
        files.file(file, template(&format!("workspace/{file}")));
    }
    files.file("README.md", filled("workspace/README.md", &[("name", &name), ("lang", language.as_str())]));
    // The last: what makes it a workspace.
    files.file("lockgate.toml", template("workspace/lockgate.toml"));
    let made = files.write(dir)?;
    let enter = format!("cd {}", dir.strip_prefix(".").unwrap_or(dir).display());
    let next = [
        (enter.as_str(), "the workspace"),
        ("lockgate dev", "the host; it builds and switches what you save"),
        ("lockgate send hello samples/hello.json", "one message through, from another terminal"),
    ];
    let next = next.into_iter().filter(|(command, _)| *command != "cd ");
    Ok(Made { next: next.map(|(command, does)| Next { command: command.into(), does: does.into() }).collect(), ..made })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::workspace::Workspace;

    #[test]
    fn what_it_makes_is_a_workspace_without_a_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("shop");
        let made = make(&dir, Language::Rust).unwrap();
        assert!(made.kept.is_empty() && made.changed.is_empty(), "{made:?}");
        let workspace = Workspace::load(&dir, "dev").unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(workspace.integrations.len(), 1);
        assert!(std::fs::read_to_string(dir.join("README.md")).unwrap().starts_with("# shop\n"));
    }

    #[test]
    fn leaves_what_is_there_and_makes_no_workspace_of_a_workspace() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("README.md"), "mine").unwrap();
        let made = make(folder.path(), Language::Rust).unwrap();
        assert_eq!(made.kept, [Path::new("README.md")]);
        assert_eq!(std::fs::read_to_string(folder.path().join("README.md")).unwrap(), "mine");
        assert_eq!(make(folder.path(), Language::Rust).unwrap_err().0[0].code, Code::AlreadyThere);
        let file = folder.path().join("README.md");
        assert!(make(&file, Language::Rust).unwrap_err().to_string().contains("is a file"));
    }
}
