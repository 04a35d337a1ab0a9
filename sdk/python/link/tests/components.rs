//! Components of the examples: valid, the same every time, asking for nothing they do not use; and what is said of a plugin that does not start.
//!
//! Needs the program of the package `componentize-py`, named by `LOCKGATE_PYTHON_PARTS`, and Python; skipped with a line where they are not there.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use lockgate_python_link::{Error, Parts, Source, Tree, component};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

static PARTS: LazyLock<Option<Parts>> = LazyLock::new(|| {
    let Some(program) = std::env::var_os("LOCKGATE_PYTHON_PARTS").map(PathBuf::from).or_else(installed) else {
        eprintln!("SKIPPED: LOCKGATE_PYTHON_PARTS does not name componentize_py.abi3.so (see sdk/python/BUILDING.md)");
        return None;
    };
    Some(Parts::of_program(&std::fs::read(program).unwrap()).unwrap())
});

/// What builds of the project's other tests have installed, below `target/<profile>`; the latest.
fn installed() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let tools = std::fs::read_dir(this.parent()?.parent()?.join("authors/tools")).ok()?;
    let programs = tools.flatten().map(|tool| tool.path().join("componentize_py/componentize_py.abi3.so")).filter(|path| path.is_file());
    programs.max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
}

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What `lockgate_build` makes of a plugin's folder, and the component of that.
fn built(parts: &Parts, plugin: &Path) -> Result<Vec<u8>, Error> {
    let stage = tempfile::tempdir().unwrap();
    let wit = sdk().join("../../wit/lockgate-plugin-0.1.0");
    let mut build = Command::new("python3");
    build.current_dir(sdk()).args(["-m", "lockgate_build"]).arg(plugin).arg("--wit").arg(&wit).arg("--stage").arg(stage.path());
    let output = build.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut app = Tree::new();
    read(&stage.path().join("stage/app"), "", &mut app);
    let world = stage.path().join("stage/world");
    component(parts, &Source { app: &app, main: "lockgate_main", wit: &[&wit, &world], world: "lockgate:build/plugin" })
}

fn read(folder: &Path, prefix: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap();
        if path.is_dir() {
            read(&path, &format!("{prefix}{name}/"), tree);
        } else {
            tree.insert(format!("{prefix}{name}"), std::fs::read(path).unwrap());
        }
    }
}

/// What a component imports and exports, by name.
fn names(bytes: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    Validator::new_with_features(WasmFeatures::default()).validate_all(bytes).unwrap();
    let (mut imports, mut exports, mut depth) = (BTreeSet::new(), BTreeSet::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.0.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.0.to_owned()));
            }
            _ => {}
        }
    }
    (imports, exports)
}

fn of_lockgate(names: &BTreeSet<String>) -> Vec<&str> {
    names.iter().filter_map(|name| name.strip_prefix("lockgate:plugin/")?.strip_suffix("@0.1.0")).collect()
}

/// A plugin of its own folder; `roles` as `plugin.toml` has them.
fn plugin(folder: &Path, roles: &str, module: &str) -> PathBuf {
    let plugin = folder.join("odd");
    std::fs::create_dir_all(plugin.join("src")).unwrap();
    std::fs::write(plugin.join("plugin.toml"), format!("name = \"odd\"\nroles = {roles}\n")).unwrap();
    std::fs::write(plugin.join("src/odd.py"), module).unwrap();
    plugin
}

#[test]
fn a_component_is_the_same_every_time_and_asks_for_nothing_it_does_not_use() {
    let Some(parts) = PARTS.as_ref() else { return };
    // Of roles that no other test links.
    let module = "import random\nfrom lockgate_sdk import Page, Receipt, batch_sink, http, source\n\nWORDS = {'b', 'a', random.random()}\n\n\
        @batch_sink\ndef deliver(messages, context):\n    return [Receipt() for _ in messages]\n\n\
        @source\ndef poll(cursor):\n    http.get('/').send('shop')\n    return Page([], cursor='')\n";
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let roles = "[\"batch-sink\", \"source\"]";
    let first = built(parts, &plugin(one.path(), roles, module)).unwrap();
    assert!(first == built(parts, &plugin(other.path(), roles, module)).unwrap(), "another component of the same source");
    let (imports, exports) = names(&first);
    assert_eq!(of_lockgate(&imports), ["http", "log", "types"]);
    assert_eq!(of_lockgate(&exports), ["batch-sink", "source"]);
    assert!(!imports.iter().any(|import| import.starts_with("wasi:sockets/")), "{imports:?}");
}

#[test]
fn a_plugin_that_does_not_start_says_why_and_where() {
    let Some(parts) = PARTS.as_ref() else { return };
    // Each takes seconds.
    for (module, message, line, fix) in [
        ("import os\n\nTABLE = {}['key']\n", "KeyError: 'key'", Some(3), None),
        ("import ssl\n", "ModuleNotFoundError: No module named '_ssl'", Some(1), Some("Python in a component lacks")),
        ("A = []\nwhile True: A.append(bytes(10**7))\n", "MemoryError", Some(2), None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = built(parts, &plugin(folder.path(), "[\"sink\"]", module)).unwrap_err();
        let told = error.told().unwrap_or_else(|| panic!("{error}"));
        assert!(told.message.starts_with(message), "{told:?}");
        assert_eq!((told.file.as_deref(), told.line), (Some("src/odd.py"), line), "{told:?}");
        assert_eq!(told.fix.is_some_and(|told| told.starts_with(fix.unwrap_or("-"))), fix.is_some(), "{module}");
    }
}
