//! A new plugin in a workspace: its folder, and around it what its language needs.

use std::path::{Path, PathBuf};

use super::carried::{filled, template};
use super::files::Files;
use super::{Language, Made, Next, javascript, python, rust, sdk};
use crate::config::is_name;
use crate::config::workspace::{read_host, workspace_above};
use crate::plugin::library::Library;
use crate::plugin::manifest::{Manifest, Role};
use crate::problem::{Code, Problem, Problems};

/// What a plugin's templates are called that is no example of a role.
const KINDS: [&str; 5] = ["transformer", "sink", "batch-sink", "source", "hello"];
/// The version a plugin begins with, and how an integration asks for it.
const VERSION: (&str, &str) = ("0.1.0", "0.1");

pub fn make(dir: &Path, name: &str, language: Language, role: Role) -> Result<Made, Problems> {
    check_name(name)?;
    if language == Language::Python {
        python::check_name(name)?;
    }
    let workspace = workspace_above(dir).ok_or_else(|| {
        Problem::new(Code::NoWorkspace, format!("{} is in no workspace", dir.display()))
            .fix("make one (lockgate new workspace DIR), or name its folder: lockgate -C DIR new plugin …")
    })?;
    let folder = free_folder(&workspace, name)?;
    let mut files = Files::default();
    add(&mut files, &workspace, &folder, name, language, role.as_str())?;
    let made = files.write(&workspace)?;
    Ok(Made { next: next(name, language, &folder), ..made })
}

fn check_name(name: &str) -> Result<(), Problem> {
    if is_name(name) {
        return Ok(());
    }
    let problem = Problem::new(Code::WrongUsage, format!("`{name}` is no name for a plugin: {}", crate::config::NAME_RULE));
    Err(match likely(name) {
        Some(likely) => problem.fix(format!("did you mean `{likely}`?")),
        None => problem.fix("name it after what it does: order-to-invoice"),
    })
}

/// `Order_to CRM` → `order-to-crm`
fn likely(name: &str) -> Option<String> {
    let words: Vec<String> = name.split(|char: char| !char.is_ascii_alphanumeric()).map(str::to_ascii_lowercase).collect();
    let joined = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
    is_name(&joined).then_some(joined)
}

/// Where the plugin is to be, relative to its workspace: below the first of the workspace's own plugin folders.
fn free_folder(workspace: &Path, name: &str) -> Result<PathBuf, Problems> {
    let paths = read_host(workspace)?.unwrap_or_default().plugins.paths;
    let library = Library::scan(&paths)?;
    if library.names().contains(name) {
        let message = format!("there is a plugin `{name}` already");
        return Err(Problem::new(Code::AlreadyThere, message).fix("choose another name, or go on with the one that is there").into());
    }
    let mut own = paths.iter().filter_map(|path| path.strip_prefix(workspace).ok());
    let Some(own) = own.find(|path| path.components().all(|part| matches!(part, std::path::Component::Normal(_)))) else {
        let message = "no folder of [plugins] paths in lockgate.toml is in the workspace";
        return Err(Problem::new(Code::WrongValue, message).fix("add one: paths = [\"plugins\", …]").into());
    };
    let folder = own.join(name);
    if workspace.join(&folder).symlink_metadata().is_ok() {
        let message = format!("{} is there already", workspace.join(&folder).display());
        return Err(Problem::new(Code::AlreadyThere, message).fix("choose another name, or move it away").into());
    }
    Ok(folder)
}

/// The plugin `name` in `folder` from the templates of `kind`, and what its language needs around it.
///
/// # Errors
/// Files around it that cannot have it.
pub fn add(files: &mut Files, workspace: &Path, folder: &Path, name: &str, language: Language, kind: &str) -> Result<(), Problems> {
    debug_assert!(KINDS.contains(&kind));
    sdk::add(files, language);
    let manifest = filled(&format!("plugin/{kind}/plugin.toml"), &[("name", name)]);
    let described = Manifest::parse("plugin.toml", &manifest)?;
    let depth = folder.components().count();
    let mut own = match language {
        Language::Rust => {
            rust::around(files, workspace, &folder.display().to_string())?;
            rust::files(name, &described.description, kind, depth)
        }
        Language::JavaScript | Language::TypeScript => {
            javascript::around(files, workspace, &folder.display().to_string(), language)?;
            javascript::files(name, &described.description, (language, kind), depth)
        }
        Language::Python => python::files(name, &described.description, kind, depth),
    };
    files.shared_file(".gitignore", template("workspace/dot.gitignore"));
    let usage = filled(&format!("plugin/{kind}/use.toml"), &[("name", name), ("version", VERSION.1)]);
    let roles: Vec<_> = described.roles.iter().map(|role| role.as_str()).collect();
    let package = package(name, language);
    let built = folder.with_file_name(format!("{name}@{}.wasm", VERSION.0)).display().to_string();
    let folder_said = folder.display().to_string();
    let words = [
        ("name", name),
        ("description", &described.description),
        ("role", &roles.join(", ")),
        ("use", usage.trim_end()),
        ("package", &package),
        ("module", &package),
        ("built", &built),
        ("folder", &folder_said),
    ];
    own.push(("README.md".into(), filled(&format!("{}/README.md", language.as_str()), &words).into_bytes()));
    own.push(("plugin.toml".into(), manifest.into_bytes()));
    let sample = template(&format!("plugin/{kind}/sample.json"));
    if !sample.is_empty() {
        own.push(("samples/sample.json".into(), sample.into()));
    }
    let scenarios = filled(&format!("plugin/{kind}/scenarios.toml"), &words);
    own.push(("tests/scenarios.toml".into(), scenarios.into_bytes()));
    files.folder(folder, own);
    Ok(())
}

/// What the tools of its language call the plugin.
fn package(name: &str, language: Language) -> String {
    match language {
        Language::Rust => rust::package(name),
        Language::JavaScript | Language::TypeScript => javascript::package(name),
        Language::Python => python::module(name),
    }
}

fn next(name: &str, language: Language, folder: &Path) -> Vec<Next> {
    let built = folder.with_file_name(format!("{name}@{}.wasm", VERSION.0));
    let package = package(name, language);
    let test = match language {
        Language::Rust => format!("cargo test -p {package}"),
        Language::JavaScript | Language::TypeScript => format!("npm install && npm test -w {package}"),
        Language::Python => format!("(cd {} && python3 -m unittest)", folder.display()),
    };
    let next = |command: String, does: &str| Next { command, does: does.to_owned() };
    vec![
        next(test, "its tests, in its own language"),
        next(format!("lockgate test -C {}", folder.display()), "its scenarios, as a host would run them"),
        next(format!("lockgate build {name}"), &format!("{}", built.display())),
        next(format!("lockgate inspect {}", built.display()), "what it would ask for"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lockgate.toml"), "").unwrap();
        folder
    }

    fn refused(dir: &Path, name: &str) -> (Code, String) {
        let problems = make(dir, name, Language::Rust, Role::Sink).unwrap_err();
        (problems.0[0].code, problems.to_string())
    }

    #[test]
    fn refuses_names_that_are_none_and_says_which_would_be() {
        let folder = workspace();
        let (code, text) = refused(folder.path(), "Order_to CRM");
        assert!(code == Code::WrongUsage && text.contains("did you mean `order-to-crm`?"), "{text}");
        for bad in ["", "..", "a/b", "-a", "1a", "é"] {
            assert_eq!(refused(folder.path(), bad).0, Code::WrongUsage, "{bad:?}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn says_how_to_make_a_workspace_where_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (code, text) = refused(folder.path(), "orders");
        assert!(code == Code::NoWorkspace && text.contains("lockgate new workspace DIR"), "{text}");
    }

    #[test]
    fn takes_no_name_and_no_folder_that_is_taken() {
        let folder = workspace();
        let put = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        put("plugins/sources/plugin.toml");
        put("plugins/vendor@2.0.0.wasm");
        put("plugins/notes/todo.txt");
        for name in ["sources", "vendor", "notes"] {
            assert_eq!(refused(folder.path(), name).0, Code::AlreadyThere, "{name}");
        }
        assert!(!folder.path().join("sdk").exists());
    }

    #[test]
    fn makes_a_plugin_from_any_folder_of_the_workspace() {
        let folder = workspace();
        std::fs::create_dir_all(folder.path().join("plugins/other/src")).unwrap();
        let made = make(&folder.path().join("plugins/other/src"), "orders", Language::Rust, Role::Sink).unwrap();
        assert!(made.written.contains(&PathBuf::from("plugins/orders")), "{made:?}");
        let made = make(folder.path(), "more", Language::Rust, Role::Source).unwrap();
        assert_eq!(made.changed, [PathBuf::from("Cargo.toml")]);
        let cargo = std::fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        assert!(cargo.contains("members = [\"plugins/orders\", \"plugins/more\"]"), "{cargo}");
    }

    #[test]
    fn every_template_is_there_and_its_words_are_filled_in() {
        for kind in KINDS {
            for language in Language::ALL {
                let folder = workspace();
                let mut files = Files::default();
                add(&mut files, folder.path(), Path::new("plugins/orders"), "orders", language, kind).unwrap();
                files.write(folder.path()).unwrap();
                let mut open = vec![folder.path().join("plugins")];
                while let Some(path) = open.pop() {
                    if path.is_dir() {
                        open.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                        continue;
                    }
                    let text = std::fs::read_to_string(&path).unwrap();
                    let is_filled = text.split("{{").skip(1).all(|rest| !rest.starts_with(|next: char| next.is_ascii_lowercase()));
                    assert!(!text.is_empty() && is_filled, "{}: {text}", path.display());
                }
            }
        }
    }
}
