//! What plugins in Rust need around them: a Cargo workspace at the root with a line for each, the versions that the SDK is made with, and
//! the SDK's own `Cargo.toml` without the project around it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, value};

use super::carried::{CARGO_LOCK, CARGO_TOML, SDK_RUST, filled, template};
use super::files::Files;
use crate::config::workspace::read_text;
use crate::problem::{Code, Problem, Problems};

/// Names a package cannot have, or should not: the language's words, its own crates, and what Cargo uses.
const RESERVED: &str = "abstract alloc as async await become box break build const continue core crate deps do dyn else enum examples extern \
    false final fn for gen if impl in incremental let loop macro match mod move mut override priv proc-macro pub ref return self static std \
    struct super test trait true try type typeof unsafe unsized use virtual where while yield";

/// The name of the Cargo package of a plugin: the plugin's, where Cargo takes it.
pub fn package(plugin: &str) -> String {
    let taken = RESERVED.split_whitespace().any(|word| word == plugin) || locked().contains_key(&plugin.replace('-', "_"));
    if taken || plugin == "lockgate-sdk" { format!("{plugin}-plugin") } else { plugin.to_owned() }
}

/// The files of a package for `plugin`, whose folder is `depth` folders below the workspace, from the templates of `kind`.
pub fn files(plugin: &str, description: &str, kind: &str, depth: usize) -> Vec<(String, Vec<u8>)> {
    let package = package(plugin);
    let library = package.replace('-', "_");
    let sdk = format!("{}sdk/rust", "../".repeat(depth));
    // As TOML writes it, without the quotes of the template.
    let description = toml::Value::from(description).to_string();
    let words = [("name", plugin), ("package", &package), ("crate", &library), ("sdk", &sdk), ("description", &description)];
    let file = |name: &str, path: &str| (name.to_owned(), filled(path, &words).into_bytes());
    let test = format!("tests/{library}.rs");
    vec![
        file("Cargo.toml", "rust/Cargo.toml"),
        file("src/lib.rs", &format!("rust/{kind}/lib.rs")),
        file(&test, &format!("rust/{kind}/test.rs")),
    ]
}

/// What a workspace needs for a package in its folder `folder`.
///
/// # Errors
/// A `Cargo.toml` that is there and cannot have the package.
pub fn around(files: &mut Files, workspace: &Path, folder: &str) -> Result<(), Problems> {
    let path = workspace.join("Cargo.toml");
    if path.symlink_metadata().is_ok() {
        let before = read_text(&path)?;
        if let Some(after) = with_member(&path, &before, folder)? {
            files.change("Cargo.toml", before, after);
        }
    } else if let Some(text) = with_member(&path, template("rust/workspace/Cargo.toml"), folder)? {
        files.file("Cargo.toml", text);
        files.shared_file("Cargo.lock", lock());
    }
    files.shared_file("rust-toolchain.toml", template("rust/workspace/rust-toolchain.toml"));
    files.shared_file(".cargo/config.toml", template("rust/workspace/dot.cargo-config.toml"));
    Ok(())
}

/// `text`, a `Cargo.toml`, with `folder` among its members; none if it needs nothing.
fn with_member(path: &Path, text: &str, folder: &str) -> Result<Option<String>, Problem> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        let why = error.message().lines().next().unwrap_or_default().to_owned();
        Problem::new(Code::FileSyntax, format!("{} is not valid TOML: {why}", path.display())).fix("mend it first")
    })?;
    let alone = || {
        let message = format!("{} is a package's own, and plugins in Rust have to be in a Cargo workspace with it", path.display());
        Problem::new(Code::AlreadyThere, message).fix("add to it: [workspace] members = [] exclude = [\"sdk\"]")
    };
    let workspace = document.get_mut("workspace").and_then(Item::as_table_like_mut).ok_or_else(alone)?;
    let mut changed = false;
    for (key, entry) in [("members", folder), ("exclude", "sdk")] {
        let list = workspace.entry(key).or_insert_with(|| value(Array::new())).as_array_mut().ok_or_else(alone)?;
        if !list.iter().filter_map(|member| member.as_str()).any(|member| covers(member, entry)) {
            add(list, entry);
            changed = true;
        }
    }
    Ok(changed.then(|| document.to_string()))
}

/// Whether `member` of a Cargo workspace is `folder`, or a pattern that it fits.
fn covers(member: &str, folder: &str) -> bool {
    let member = member.trim_end_matches('/');
    let mut parts = member.split('/').zip(folder.split('/'));
    member.split('/').count() == folder.split('/').count() && parts.all(|(member, part)| member == part || member == "*")
}

/// In the list's own style: on a line of its own where the others are.
fn add(list: &mut Array, entry: &str) {
    let prefix = list.iter().last().and_then(|last| last.decor().prefix()).and_then(|prefix| prefix.as_str()).map(str::to_owned);
    list.push(entry);
    let last = list.len().saturating_sub(1);
    // Without a comment that stands before the break.
    let indent = prefix.as_deref().and_then(|prefix| prefix.rfind('\n').and_then(|at| prefix.get(at..)));
    if let (Some(indent), Some(added)) = (indent, list.get_mut(last)) {
        added.decor_mut().set_prefix(indent);
    }
}

/// The SDK's `Cargo.toml` with what it takes from the project's workspace written out, and without what is for its own tests.
pub fn sdk_manifest() -> String {
    let own = SDK_RUST.iter().find(|(name, _)| *name == "Cargo.toml").and_then(|(_, text)| std::str::from_utf8(text).ok());
    let mut own: toml::Table = own.unwrap_or_default().parse().unwrap_or_default();
    let project: toml::Table = CARGO_TOML.parse().unwrap_or_default();
    let of_project = |section: &str, name: &str| project.get("workspace")?.get(section)?.get(name).cloned();
    for part in ["lints", "dev-dependencies", "example"] {
        own.remove(part);
    }
    each_inherited(&mut own, "package", &|name| of_project("package", name));
    each_inherited(&mut own, "dependencies", &|name| of_project("dependencies", name));
    for target in own.get_mut("target").and_then(toml::Value::as_table_mut).into_iter().flat_map(|targets| targets.iter_mut()) {
        if let Some(target) = target.1.as_table_mut() {
            each_inherited(target, "dependencies", &|name| of_project("dependencies", name));
        }
    }
    own.to_string()
}

/// Puts in place of each `name.workspace = true` of a section what the workspace says.
fn each_inherited(table: &mut toml::Table, section: &str, of_project: &dyn Fn(&str) -> Option<toml::Value>) {
    let entries = table.get_mut(section).and_then(toml::Value::as_table_mut).into_iter().flat_map(|entries| entries.iter_mut());
    for (name, entry) in entries.filter(|(_, entry)| entry.get("workspace").is_some()) {
        if let Some(inherited) = of_project(name) {
            *entry = inherited;
        }
    }
}

/// What the project's lock file has of the SDK's dependencies, by their names as crates: so that a plugin starts with versions that are known
/// to work together.
fn locked() -> BTreeMap<String, toml::Value> {
    let lock: toml::Table = CARGO_LOCK.parse().unwrap_or_default();
    let packages: Vec<&toml::Value> = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten().collect();
    // `name`, or `name version` where there are several.
    let find = |wanted: &str| {
        let (name, version) = wanted.split_once(' ').unwrap_or((wanted, ""));
        packages.iter().find(|one| text(one, "name") == name && (version.is_empty() || text(one, "version") == version)).copied()
    };
    let sdk: toml::Table = sdk_manifest().parse().unwrap_or_default();
    let of_targets = sdk.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|targets| targets.values());
    let tables = std::iter::once(sdk.get("dependencies")).chain(of_targets.map(|target| target.get("dependencies")));
    let direct: BTreeSet<&str> =
        tables.flatten().filter_map(toml::Value::as_table).flat_map(|table| table.keys()).map(String::as_str).collect();
    let of_sdk: Vec<&str> = find("lockgate-sdk").map(dependencies).unwrap_or_default();
    let mut open: Vec<&str> = of_sdk.into_iter().filter(|name| direct.contains(name.split(' ').next().unwrap_or_default())).collect();
    let mut seen = BTreeMap::new();
    while let Some(package) = open.pop().and_then(find) {
        let key = text(package, "name").replace('-', "_");
        if seen.insert((key, text(package, "version").to_owned()), package.clone()).is_none() {
            open.extend(dependencies(package));
        }
    }
    seen.into_iter().map(|((name, _), package)| (name, package)).collect()
}

fn text<'a>(package: &'a toml::Value, key: &str) -> &'a str {
    package.get(key).and_then(toml::Value::as_str).unwrap_or_default()
}

fn dependencies(package: &toml::Value) -> Vec<&str> {
    package.get("dependencies").and_then(toml::Value::as_array).into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

/// A `Cargo.lock` with the versions that the SDK is made with. Cargo adds the workspace's own packages.
fn lock() -> String {
    let packages = toml::Value::Array(locked().into_values().collect());
    let table = toml::Table::from_iter([("version".to_owned(), toml::Value::Integer(4)), ("package".to_owned(), packages)]);
    format!("# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> Result<Option<String>, Problem> {
        with_member(Path::new("Cargo.toml"), text, "plugins/orders")
    }

    #[test]
    fn says_what_a_cargo_toml_lacks_that_cannot_have_the_plugin() {
        assert_eq!(changed("[workspace\n").unwrap_err().code, Code::FileSyntax);
        for text in ["[package]\nname = \"x\"\n", "[workspace]\nmembers = 1\n"] {
            let problem = changed(text).unwrap_err();
            assert_eq!(problem.code, Code::AlreadyThere);
            assert!(problem.fix.unwrap().contains("[workspace]"));
        }
    }

    #[test]
    fn adds_one_line_and_leaves_the_rest_as_it_is() {
        let text = "# mine\n[workspace]\nmembers = [\n    \"a\", # first\n    \"b\",\n]\nexclude = [\"sdk\"]\n";
        let expected = text.replace("    \"b\",\n", "    \"b\",\n    \"plugins/orders\",\n");
        assert_eq!(changed(text).unwrap().unwrap(), expected);
        assert_eq!(changed("[workspace]\n").unwrap().unwrap(), "[workspace]\nmembers = [\"plugins/orders\"]\nexclude = [\"sdk\"]\n");
        for there in ["plugins/orders", "plugins/*", "plugins/orders/"] {
            assert_eq!(changed(&format!("[workspace]\nmembers = [\"{there}\"]\nexclude = [\"sdk\"]\n")).unwrap(), None);
        }
    }

    #[test]
    fn gives_no_package_a_name_that_cargo_or_the_compiler_takes_for_something_else() {
        for plugin in ["test", "core", "async", "serde-json", "serde", "lockgate-sdk"] {
            assert_eq!(package(plugin), format!("{plugin}-plugin"));
        }
        assert_eq!(package("orders"), "orders");
    }

    #[test]
    fn the_sdk_stands_on_its_own_with_the_versions_of_the_project() {
        let manifest: toml::Table = sdk_manifest().parse().unwrap();
        let text = manifest.to_string();
        assert!(!text.contains("workspace") && !text.contains("dev-dependencies"), "{text}");
        assert_eq!(manifest["dependencies"]["serde_json"]["features"].as_array().unwrap().len(), 3, "{text}");
        let (locked, lock) = (locked(), lock());
        for name in ["serde_json", "httpdate", "wit_bindgen", "serde_derive", "itoa"] {
            assert!(locked.contains_key(name), "{name} is not in {:?}", locked.keys());
        }
        assert!(!lock.contains("\"tokio\"") && lock.contains("checksum = "), "{lock}");
    }
}
