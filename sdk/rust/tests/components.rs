//! What the SDK builds: valid components that ask the host for nothing their code does not use.
//!
//! Builds the first-party plugins and the SDK's example for `wasm32-wasip2`; skipped with a line where that target is missing.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

const PREFIX: &str = "lockgate:plugin/";

/// Builds with the workspace's `plugin` profile and gives the folder of the components; none if the target is not installed.
fn built(what: &[&str]) -> Option<PathBuf> {
    let rustc = Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-wasip2"]).output().unwrap();
    if !Path::new(String::from_utf8(rustc.stdout).unwrap().trim()).is_dir() {
        eprintln!("SKIPPED: the target wasm32-wasip2 is not installed (rustup target add wasm32-wasip2)");
        return None;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    // Beside what `lockgate build` makes, which has the same file's name and is built otherwise.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    build.args(["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2", "--target-dir"]).arg(target).args(what);
    assert!(build.status().unwrap().success(), "{build:?}");
    Some(target.join("wasm32-wasip2/plugin"))
}

/// What a component is made of.
struct Made {
    /// WASI's are left out.
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    wasi: BTreeSet<String>,
    core_modules: usize,
}

fn made(component: &Path) -> Made {
    let bytes = std::fs::read(component).unwrap();
    Validator::new_with_features(WasmFeatures::default()).validate_all(&bytes).unwrap();
    let (mut imports, mut exports, mut core_modules, mut depth) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::Version { encoding, .. } => {
                assert!(depth > 0 || encoding == Encoding::Component, "not a component");
                core_modules += usize::from(encoding == Encoding::Module);
                depth += 1;
            }
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
    let (wasi, imports) = imports.into_iter().partition(|name: &String| name.starts_with("wasi:"));
    Made { imports, exports, wasi, core_modules }
}

fn names(interfaces: &[&str]) -> BTreeSet<String> {
    interfaces.iter().map(|name| format!("{PREFIX}{name}@0.1.0")).collect()
}

#[test]
fn a_component_imports_only_what_its_code_calls() {
    let plugins = ["shop-order", "order-to-opportunity", "order-to-invoice", "salesforce", "http-post"];
    let Some(folder) = built(&plugins.map(|plugin| ["-p", plugin]).concat()) else { return };
    for (file, imports, export) in [
        // `types` holds no function: it gives the exports their shapes. `log` is for the message of a panic.
        ("shop_order.wasm", ["types", "log"].as_slice(), "transformer"),
        ("order_to_opportunity.wasm", &["types", "log", "config"], "transformer"),
        ("order_to_invoice.wasm", &["types", "log"], "transformer"),
        ("salesforce.wasm", &["types", "log", "config", "http"], "sink"),
        ("http_post.wasm", &["types", "log", "config", "http"], "sink"),
    ] {
        let made = made(&folder.join(file));
        assert_eq!((made.imports, made.exports), (names(imports), names(&[export])), "{file}");
    }
}

#[test]
fn a_component_that_only_maps_is_one_module_and_asks_nothing_of_wasi() {
    let Some(folder) = built(&["-p", "order-to-invoice"]) else { return };
    let made = made(&folder.join("order_to_invoice.wasm"));
    assert_eq!((made.core_modules, made.wasi), (1, BTreeSet::new()));
}

#[test]
fn one_component_can_have_every_role_and_use_every_capability() {
    let Some(folder) = built(&["-p", "lockgate-sdk", "--example", "connector"]) else { return };
    let imports = names(&["types", "config", "http", "key-value", "log", "queue"]);
    let made = made(&folder.join("examples/connector.wasm"));
    assert_eq!((made.imports, made.exports), (imports, names(&["batch-sink", "sink", "source", "transformer"])));
}
