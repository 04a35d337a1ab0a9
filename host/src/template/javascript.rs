//! What plugins in JavaScript and TypeScript need around them: an npm workspace at the root, so that `npm install` links the SDK, from no
//! registry; and the SDK's `package.json` without what it is developed with.

use std::path::Path;

use serde_json::{Value, json};

use super::carried::{SDK_JS, filled};
use super::files::Files;
use super::{Language, sdk};
use crate::config::workspace::read_text;
use crate::problem::{Code, Problem, Problems};

/// What npm calls the package of a plugin: of nobody else's name, whatever the plugin is called.
pub fn package(plugin: &str) -> String {
    format!("@plugins/{plugin}")
}

/// The files of a package for `plugin`, whose folder is `depth` folders below the workspace, from the templates of `kind`.
pub fn files(plugin: &str, description: &str, (language, kind): (Language, &str), depth: usize) -> Vec<(String, Vec<u8>)> {
    let lang = language.as_str();
    let words = [("name", plugin)];
    let file = |name: String, path: &str| (name, filled(&format!("{lang}/{path}"), &words).into_bytes());
    vec![
        ("package.json".into(), pretty(&manifest(plugin, description, language, depth)).into_bytes()),
        file("tsconfig.json".into(), "tsconfig.json"),
        file("tests/tsconfig.json".into(), "tests.tsconfig.json"),
        file(format!("src/index.{lang}"), &format!("{kind}/index.{lang}")),
        file(format!("tests/{plugin}.test.{lang}"), &format!("{kind}/test.{lang}")),
    ]
}

fn manifest(plugin: &str, description: &str, language: Language, depth: usize) -> Value {
    let mut package = json!({
        "name": package(plugin),
        "version": "0.1.0",
        "description": description,
        "license": "Apache-2.0",
        "private": true,
        "type": "module",
        "main": format!("src/index.{}", language.as_str()),
        "scripts": { "test": "node --test" },
        // By its place: a name alone would be asked for at the registry, where anybody may have it.
        "dependencies": { "@lockgate/sdk": format!("file:{}{}", "../".repeat(depth), sdk::folder(language)) },
    });
    if language == Language::TypeScript {
        package["scripts"] = json!({
            "check": "tsc && tsc --project tests",
            "test": "node --import @lockgate/sdk/typescript --enable-source-maps --test tests/*.test.ts",
        });
        // Types are looked at by editors and by `npm run check`; esbuild takes them away for tests on Node.js before 22.18.
        let names = ["@types/node", "esbuild", "typescript"];
        let versions = names.map(|name| (name.to_owned(), sdk_package()["devDependencies"][name].clone()));
        package["devDependencies"] = Value::Object(versions.into_iter().collect());
    }
    package
}

/// What a workspace needs for a package in its folder `folder`.
///
/// # Errors
/// A `package.json` that is there and cannot have the package.
pub fn around(files: &mut Files, workspace: &Path, folder: &str, language: Language) -> Result<(), Problems> {
    let plugins = Path::new(folder).with_file_name("*").display().to_string();
    let path = workspace.join("package.json");
    if path.symlink_metadata().is_err() {
        files.file("package.json", pretty(&json!({ "private": true, "workspaces": [sdk::folder(language), plugins] })));
        return Ok(());
    }
    let before = read_text(&path)?;
    if let Some(after) = with_members(&path, &before, &[sdk::folder(language), &plugins])? {
        files.change("package.json", before, after);
    }
    Ok(())
}

/// `text`, a `package.json`, with `folders` among its workspaces; none if it needs nothing.
fn with_members(path: &Path, text: &str, folders: &[&str]) -> Result<Option<String>, Problem> {
    let mut package: Value = serde_json::from_str(text)
        .map_err(|error| Problem::new(Code::FileSyntax, format!("{} is not JSON: {error}", path.display())).fix("mend it first"))?;
    let other = || {
        let problem = Problem::new(Code::AlreadyThere, format!("{} is not that of an npm workspace with a list", path.display()));
        problem.fix("make its `workspaces` a list, or take it away")
    };
    let members = package.as_object_mut().ok_or_else(other)?.entry("workspaces").or_insert_with(|| json!([]));
    let members = members.as_array_mut().ok_or_else(other)?;
    let lacking: Vec<_> = folders.iter().filter(|folder| !members.iter().any(|member| member.as_str() == Some(folder))).collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    members.extend(lacking.into_iter().map(|folder| json!(folder)));
    Ok(Some(pretty(&package)))
}

fn sdk_package() -> Value {
    let text = SDK_JS.iter().find(|(name, _)| *name == "package.json").map(|(_, text)| *text);
    serde_json::from_slice(text.unwrap_or_default()).unwrap_or_default()
}

/// The SDK's `package.json` for those who use it.
pub fn sdk_manifest() -> String {
    let mut package = sdk_package();
    if let Some(package) = package.as_object_mut() {
        for part in ["devDependencies", "scripts", "workspaces", "files"] {
            package.shift_remove(part);
        }
    }
    pretty(&package)
}

/// As npm writes it.
fn pretty(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str) -> Result<Option<String>, Problem> {
        with_members(Path::new("package.json"), text, &["sdk/js", "plugins/*"])
    }

    #[test]
    fn says_what_a_package_json_lacks_that_cannot_have_the_plugin() {
        assert_eq!(changed("{").unwrap_err().code, Code::FileSyntax);
        for text in ["[]", "{\"workspaces\": {\"packages\": []}}"] {
            assert_eq!(changed(text).unwrap_err().code, Code::AlreadyThere);
        }
    }

    #[test]
    fn adds_what_is_missing_and_keeps_the_rest_in_its_order() {
        let text = "{\n  \"name\": \"shop\",\n  \"workspaces\": [\n    \"plugins/*\"\n  ],\n  \"a\": 1.0\n}\n";
        let expected = text.replace("    \"plugins/*\"\n", "    \"plugins/*\",\n    \"sdk/js\"\n");
        assert_eq!(changed(text).unwrap().unwrap(), expected);
        assert_eq!(changed(&expected).unwrap(), None);
    }

    #[test]
    fn asks_no_registry_for_the_sdk_and_for_nothing_without_its_version() {
        let package = manifest("typescript", "d", Language::TypeScript, 2);
        assert_eq!(package["dependencies"]["@lockgate/sdk"], "file:../../sdk/js");
        assert_eq!(package["name"], "@plugins/typescript");
        for (name, version) in package["devDependencies"].as_object().unwrap() {
            assert!(semver::Version::parse(version.as_str().unwrap()).is_ok(), "{name}: {version}");
        }
        let sdk: Value = serde_json::from_str(&sdk_manifest()).unwrap();
        assert!(sdk.get("devDependencies").is_none() && sdk["exports"].is_object(), "{sdk}");
    }
}
