//! The examples in every language whose tools the machine has, as components; a visible line for a language it lacks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use lockgate::bench::copy_example;

use super::stage::Stage;
use crate::support::build::{binary, plugin_files, root};
use crate::support::skipped;

/// Their files, which every language calls alike.
const PLUGINS: [(&str, &str); 3] = [("shop-order", "1.2.0"), ("http-post", "1.0.0"), ("code-names", "1.0.0")];

/// The plugins in one language.
#[derive(Debug)]
pub struct Spoken {
    pub language: &'static str,
    folder: PathBuf,
    stage: OnceLock<Stage>,
}

impl Spoken {
    fn new(language: &'static str, folder: PathBuf) -> Self {
        Self { language, folder, stage: OnceLock::new() }
    }

    /// What they run on.
    pub fn stage(&self) -> &Stage {
        self.stage.get_or_init(|| {
            Stage::new(
                PLUGINS
                    .into_iter()
                    .map(|(name, version)| (name, std::fs::read(self.folder.join(format!("{name}@{version}.wasm"))).unwrap())),
            )
        })
    }
}

/// Every language there is here, Rust first. Built once.
pub fn spoken() -> &'static [Spoken] {
    static ALL: LazyLock<Vec<Spoken>> = LazyLock::new(|| {
        let rust = Spoken::new("Rust", plugin_files().to_owned());
        [
            Some(rust),
            other("JavaScript", "js", "sdk/js/examples", &["node", "npm"]),
            other("Python", "python", "sdk/python/examples", &["python3"]),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &ALL
}

/// Builds the examples of a language as an author does: in a workspace, with `lockgate build`.
fn other(language: &'static str, lang: &str, examples: &str, tools: &[&str]) -> Option<Spoken> {
    let lacks = tools.iter().find(|tool| !Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()));
    if let Some(tool) = lacks {
        skipped(&format!("conformance: {language}"), &format!("{tool} is not installed"));
        return None;
    }
    let shared = binary().parent().unwrap().join("authors");
    let workspace = tempfile::Builder::new().prefix("lockgate-test-").tempdir().unwrap();
    lockgate(workspace.path(), &shared, &["new", "workspace", "shop", "--lang", lang]).unwrap();
    let shop = workspace.path().join("shop");
    for (name, _) in PLUGINS {
        copy_example(&root().join(examples).join(name), &shop.join("plugins").join(name)).unwrap();
    }
    if let Err(why) = lockgate(&shop, &shared, &["build", "shop-order", "http-post", "code-names"]) {
        // Tools come from a registry, and there may be none.
        assert!(why.contains("pip does not get") || why.contains("npm does not get"), "{language}: {why}");
        skipped(&format!("conformance: {language}"), why.lines().next().unwrap_or_default());
        return None;
    }
    let folder = binary().parent().unwrap().join("test-plugins").join(lang);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, version) in PLUGINS {
        let file = format!("{name}@{version}.wasm");
        std::fs::copy(shop.join("plugins").join(&file), folder.join(&file)).unwrap();
    }
    Some(Spoken::new(language, folder))
}

/// What a command says where it fails.
fn lockgate(folder: &Path, shared: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = crate::support::host::lockgate(folder);
    command.env("CARGO_TARGET_DIR", shared.join("target")).env("LOCKGATE_TOOLS", shared.join("tools"));
    let output = command.args(arguments).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()) }
}
