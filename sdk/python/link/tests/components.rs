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
    let Some(program) = std::env::var_os("LOCKGATE_PYTHON_PARTS") else {
        eprintln!("SKIPPED: LOCKGATE_PYTHON_PARTS does not name componentize_py.abi3.so (see sdk/python/BUILDING.md)");
        return None;
    };
    Some(Parts::of_program(&std::fs::read(program).unwrap()).unwrap())
});

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

#[test]
fn a_component_is_the_same_every_time_and_asks_for_nothing_it_does_not_use() {
    let Some(parts) = PARTS.as_ref() else { return };
    let first = built(parts, &sdk().join("examples/shop-order")).unwrap();
    assert!(first == built(parts, &sdk().join("examples/shop-order")).unwrap(), "another component of the same source");
    let (imports, exports) = names(&first);
    assert_eq!(of_lockgate(&imports), ["log", "types"]);
    assert_eq!(of_lockgate(&exports), ["transformer"]);
    assert!(!imports.iter().any(|import| import.starts_with("wasi:sockets/")), "{imports:?}");
    let (imports, exports) = names(&built(parts, &sdk().join("examples/http-post")).unwrap());
    assert_eq!((of_lockgate(&imports), of_lockgate(&exports)), (vec!["config", "http", "log", "types"], vec!["sink"]));
}

#[test]
fn a_plugin_that_does_not_start_says_why_and_where() {
    let Some(parts) = PARTS.as_ref() else { return };
    for (module, message, line, fix) in [
        ("import os\n\nTABLE = {}['key']\n", "KeyError: 'key'", Some(3), None),
        ("import ssl\n", "ModuleNotFoundError: No module named '_ssl'", Some(1), Some("Python in a component lacks")),
        ("import attrs\n", "ModuleNotFoundError: No module named 'attrs'", Some(1), Some("name the package")),
        ("from lockgate_sdk import config\nC = config()\n", "RuntimeError: ", Some(2), Some("ask the host inside")),
        ("", "plugin.toml says that this is a sink: one function needs @sink", None, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let plugin = folder.path().join("odd");
        std::fs::create_dir_all(plugin.join("src")).unwrap();
        std::fs::write(plugin.join("plugin.toml"), "name = \"odd\"\nroles = [\"sink\"]\n").unwrap();
        std::fs::write(plugin.join("src/odd.py"), module).unwrap();
        let error = built(parts, &plugin).unwrap_err();
        let told = error.told().unwrap_or_else(|| panic!("{error}"));
        assert!(told.message.starts_with(message), "{told:?}");
        assert_eq!(told.line, line, "{told:?}");
        if line.is_some() {
            assert_eq!(told.file.as_deref(), Some("src/odd.py"), "{told:?}");
        }
        assert_eq!(told.fix.is_some_and(|told| told.starts_with(fix.unwrap_or("-"))), fix.is_some(), "{module}");
    }
}
