//! What every build ends with: the manifest goes into the component, and it is looked whether the component is what its manifest says.

use std::collections::BTreeSet;

use super::Language;
use crate::plugin::component::{Facts, ImportKind, embed_description, embed_manifest, exports};
use crate::plugin::manifest::{Manifest, Role};
use crate::problem::{Code, Problem};

/// `component` with its manifest inside, proven to be what the manifest says.
///
/// # Errors
/// `LG-2002` if it is no component, `LG-2006` if it does not export what its manifest promises, `LG-2010` if it imports what no host has.
pub fn finish(language: Language, component: &[u8], (manifest, text): &(Manifest, String)) -> Result<Vec<u8>, Problem> {
    let what = format!("plugin {}", manifest.name);
    let bare = Facts::of(&what, component)?;
    let lacking: BTreeSet<Role> = manifest.roles.difference(&bare.roles).copied().collect();
    if let Some(role) = lacking.first() {
        let exports = exports(&what, component)?;
        let exported = exports.iter().find(|export| export.starts_with(&format!("lockgate:plugin/{role}@")));
        let is = match exported {
            // An SDK that is older or newer than this host.
            Some(export) => format!("the component exports {export}, which is another version of the contract than this lockgate's"),
            None => format!("the component {}", in_words(&bare.roles)),
        };
        let message = format!("{what}: plugin.toml says that it is a {role}, and {is}");
        return Err(Problem::new(Code::BadManifest, message).fix(instead(language, *role, &bare.roles, exported.is_some())));
    }
    if let Some(unknown) = bare.imports(ImportKind::Unknown) {
        let message = format!("{what} imports {}, which no host offers", unknown.name);
        let fix = "leave out what asks for it: a plugin has no files, no sockets, no processes and no threads, and another version of the \
                   contract comes with another SDK (`lockgate update --sdk`)";
        return Err(Problem::new(Code::UnknownImport, message).fix(fix));
    }
    embed_manifest(&what, &embed_description(&what, component, manifest)?, text)
}

fn in_words(roles: &BTreeSet<Role>) -> String {
    let roles: Vec<_> = roles.iter().map(|role| format!("a {role}")).collect();
    if roles.is_empty() { "exports no role".to_owned() } else { format!("is {}", roles.join(" and ")) }
}

/// What to write instead.
fn instead(language: Language, role: Role, roles: &BTreeSet<Role>, is_other_version: bool) -> String {
    if is_other_version {
        return "build it with the SDK of this lockgate: lockgate update --sdk".to_owned();
    }
    let export = match language {
        Language::Rust => format!("add lockgate_sdk::export_{}!(Plugin); to its library", role.as_str().replace('-', "_")),
        Language::JavaScript => format!("have the module's default export be a {role}, as the SDK makes one"),
        Language::Python => format!("decorate a function of the module with @{}", role.as_str().replace('-', "_")),
    };
    let roles: Vec<_> = roles.iter().map(|role| format!("\"{role}\"")).collect();
    if roles.is_empty() { export } else { format!("{export}, or say in plugin.toml what it is: roles = [{}]", roles.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(manifest_roles: &str, exports: &[&str], imports: &[&str]) -> Result<Vec<u8>, Problem> {
        let text = format!("name = \"p\"\nversion = \"1.2.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = {manifest_roles}\n");
        let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
        let exports: String = exports.iter().map(|name| format!("(export \"{name}\" (instance $i))")).collect();
        let component = wat::parse_str(format!("(component {imports} (instance $i) {exports})")).unwrap();
        finish(Language::Rust, &component, &(Manifest::parse("plugin.toml", &text).unwrap(), text))
    }

    #[test]
    fn says_what_to_write_where_a_role_is_not_exported() {
        let none = finished("[\"batch-sink\"]", &[], &[]).unwrap_err();
        assert_eq!(none.code, Code::BadManifest);
        assert_eq!(none.message, "plugin p: plugin.toml says that it is a batch-sink, and the component exports no role");
        assert_eq!(none.fix.unwrap(), "add lockgate_sdk::export_batch_sink!(Plugin); to its library");
        let other = finished("[\"sink\"]", &["lockgate:plugin/source@0.1.0"], &[]).unwrap_err();
        assert!(other.message.ends_with("and the component is a source"), "{other}");
        assert!(other.fix.unwrap().ends_with("or say in plugin.toml what it is: roles = [\"source\"]"));
    }

    #[test]
    fn says_that_a_component_is_of_another_version_of_the_contract() {
        let problem = finished("[\"sink\"]", &["lockgate:plugin/sink@0.2.0"], &[]).unwrap_err();
        assert!(problem.message.contains("exports lockgate:plugin/sink@0.2.0, which is another version"), "{problem}");
        assert!(problem.fix.unwrap().contains("lockgate update --sdk"));
    }

    #[test]
    fn refuses_what_asks_for_more_than_any_host_has() {
        let sink = ["lockgate:plugin/sink@0.1.0"];
        for import in ["wasi:sockets/tcp@0.2.3", "lockgate:plugin/http@0.2.0"] {
            let problem = finished("[\"sink\"]", &sink, &[import]).unwrap_err();
            assert!(problem.code == Code::UnknownImport && problem.message.contains(import), "{problem}");
        }
        assert!(finished("[\"sink\"]", &sink, &["lockgate:plugin/http@0.1.0"]).is_ok());
    }
}
