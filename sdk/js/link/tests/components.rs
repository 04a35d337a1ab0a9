//! Components of bundles: valid, the same every time, asking for nothing they do not use; and what is said of a bundle that does not load.
//!
//! Needs the native library of the package in `build/engine`, named by `LOCKGATE_JS_ENGINE`, and for the examples Node.js and `npm ci` in `sdk/js`;
//! skipped with a line where they are not there.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use lockgate_js_link::{Engine, Error, Source, component};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

static ENGINE: LazyLock<Option<Engine>> = LazyLock::new(|| {
    let Some(program) = std::env::var_os("LOCKGATE_JS_ENGINE").map(PathBuf::from).or_else(installed) else {
        eprintln!("SKIPPED: LOCKGATE_JS_ENGINE does not name componentize-qjs.linux-x64-gnu.node (see sdk/js/BUILDING.md)");
        return None;
    };
    Some(Engine::of_package(&std::fs::read(program).unwrap()).unwrap())
});

/// A transformer by hand, in the shapes of the engine's glue, behind `top`.
fn linked(engine: &Engine, top: &str) -> Result<Vec<u8>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let deps = folder.path().join("deps/lockgate-plugin");
    std::fs::create_dir_all(&deps).unwrap();
    for entry in std::fs::read_dir(sdk().join("../../wit/lockgate-plugin-0.1.0")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, deps.join(path.file_name().unwrap())).unwrap();
    }
    let world =
        "package lockgate:build;\nworld plugin {\n  import lockgate:plugin/log@0.1.0;\n  export lockgate:plugin/transformer@0.1.0;\n}\n";
    std::fs::write(folder.path().join("world.wit"), world).unwrap();
    let bundle = format!(
        "import log from \"lockgate:plugin/log@0.1.0\";\n{top}\nexport const transformer = {{ transform: () => ({{ tag: \"drafts\", val: [] }}) }};\n"
    );
    component(engine, &Source { bundle: &bundle, wit: folder.path(), world: "plugin" })
}

/// What builds of the project's other tests have installed, below `target/<profile>`; the latest.
fn installed() -> Option<PathBuf> {
    let this = std::env::current_exe().ok()?;
    let tools = std::fs::read_dir(this.parent()?.parent()?.join("authors/tools")).ok()?;
    let engines = tools.flatten().filter(|tool| tool.file_name().to_string_lossy().starts_with("js-engine-"));
    let package = "node_modules/@andreiltd/componentize-qjs-binding-linux-x64-gnu/componentize-qjs.linux-x64-gnu.node";
    let programs = engines.map(|tool| tool.path().join(package)).filter(|path| path.is_file());
    programs.max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok())
}

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// What a component imports and exports, by name, without WASI.
fn names(bytes: &[u8]) -> (BTreeSet<String>, BTreeSet<String>) {
    Validator::new_with_features(WasmFeatures::default()).validate_all(bytes).unwrap();
    let (mut imports, mut exports, mut depth) = (BTreeSet::new(), BTreeSet::new(), 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.unwrap() {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            _ => {}
        }
    }
    imports.retain(|name| !name.starts_with("wasi:"));
    (imports, exports)
}

fn of_host(interfaces: &[&str]) -> BTreeSet<String> {
    interfaces.iter().map(|interface| format!("lockgate:plugin/{interface}@0.1.0")).collect()
}

#[test]
fn a_bundle_that_does_not_load_is_told_in_the_engines_words() {
    let Some(engine) = ENGINE.as_ref() else { return };
    for (top, said) in [
        ("undefined.name;", "cannot read property 'name' of undefined\n    at <anonymous> (componentize-qjs:user.js:2:"),
        ("throw new Error(\"own\");", "Error: own"),
        ("let x = (", "Failed to declare JavaScript module"),
        ("function f() { f() } f();", "call stack exhausted"),
        ("const all = []; for (;;) all.push(\"x\".repeat(1e6) + all.length);", "out of memory"),
        ("log.write(\"info\", \"early\", []);", "there is no host yet"),
        // A bundle has no other modules.
        ("import \"./other.js\";", "unreachable"),
    ] {
        match linked(engine, top) {
            Err(Error::Load(text)) => assert!(text.contains(said), "{top}: {text}"),
            other => panic!("{top}: {other:?}"),
        }
    }
}

#[test]
fn a_world_that_is_not_there_is_named() {
    let Some(engine) = ENGINE.as_ref() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("world.wit"), "package lockgate:build;\nworld other {}\n").unwrap();
    let error = component(engine, &Source { bundle: "", wit: folder.path(), world: "plugin" }).unwrap_err();
    assert!(matches!(&error, Error::Link(_)) && error.to_string().contains("plugin"), "{error}");
}

#[test]
fn the_same_bundle_gives_the_same_component_also_where_it_asks_for_time_and_chance() {
    let Some(engine) = ENGINE.as_ref() else { return };
    let top = "globalThis.early = [Date.now(), new Date().toISOString(), Math.random(), performance.now(), performance.timeOrigin];";
    let [first, second] = [(), ()].map(|()| linked(engine, top).unwrap());
    assert!(first == second, "two components of one bundle differ");
    assert_eq!(names(&first).0, of_host(&["log", "types"]));
}

#[test]
fn the_examples_ask_for_what_they_call() {
    let Some(engine) = ENGINE.as_ref() else { return };
    if !sdk().join("node_modules/esbuild").is_dir() {
        eprintln!("SKIPPED: sdk/js/node_modules has no esbuild (npm ci in sdk/js)");
        return;
    }
    for (example, role, imports) in
        [("shop-order", "transformer", ["types", "log"].as_slice()), ("http-post", "sink", &["types", "log", "config", "http"])]
    {
        let work = tempfile::tempdir().unwrap();
        let mut node = Command::new("node");
        node.current_dir(sdk()).args(["build/main.js", "--bundle", "--folder"]).arg(format!("examples/{example}"));
        assert!(node.args(["--roles", role, "--tools", ".", "--work"]).arg(work.path()).status().unwrap().success());
        let bundle = std::fs::read_to_string(work.path().join("plugin.js")).unwrap();
        let made = || component(engine, &Source { bundle: &bundle, wit: &work.path().join("wit"), world: "plugin" }).unwrap();
        let component = made();
        assert!(component == made(), "two components of {example} differ");
        let (asked, exported) = names(&component);
        assert_eq!(asked, of_host(imports), "{example}");
        assert!(exported.is_superset(&of_host(&[role])), "{example}: {exported:?}");
    }
}
