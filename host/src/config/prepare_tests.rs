//! Plugins and integrations together, on a workspace on disk with real (empty) components.

use std::sync::Mutex;

use super::*;
use crate::plugin::build::Event;
use crate::plugin::component::embed_manifest;
use crate::problem::{Code, Problem};

const HOOK: &str = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\nwebhook = { path = \"/a\", verify = \"none\" }\n";

/// A component that exports `role` and imports `imports` of the package.
fn component(role: &str, imports: &[&str]) -> Vec<u8> {
    let imports: String = imports.iter().map(|name| format!("(import \"{name}\" (instance))")).collect();
    wat::parse_str(format!("(component {imports} (instance $i) (export \"lockgate:plugin/{role}@0.1.0\" (instance $i)))")).unwrap()
}

fn with_manifest(role: &str, imports: &[&str], name: &str, version: &str, rest: &str) -> Vec<u8> {
    let manifest =
        format!("name = \"{name}\"\nversion = \"{version}\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"{role}\"]\n{rest}");
    embed_manifest(name, &component(role, imports), &manifest).unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// A workspace with one integration `a`, whose head is there already, and an alias `crm`.
    fn new(integration: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.put("integrations/a.toml", format!("{HOOK}{integration}"));
        folder.put("environments/dev.toml", "[values]\nn = 5\n[alias.crm]\nurl = \"https://crm.example\"\n");
        folder
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn prepare(&self) -> Result<Prepared, Problems> {
        prepare(self.0.path(), "dev", MissingLock::Ignore, &|_| {})
    }

    /// Everything that is wrong, the folder left out.
    fn problems(&self) -> String {
        self.prepare().unwrap_err().to_string().replace(&format!("{}/", self.0.path().display()), "")
    }

    fn versions(&self) -> Vec<String> {
        self.prepare()
            .unwrap()
            .components
            .iter()
            .map(|component| format!("{} {}", component.pinned.name, component.pinned.version))
            .collect()
    }

    fn update(&self) -> Vec<String> {
        update(self.0.path()).unwrap().changes.iter().map(Change::to_string).collect()
    }
}

fn single(problems: Result<impl std::fmt::Debug, Problems>) -> Problem {
    let problems = problems.unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn names_plugins_that_are_missing_and_those_there_are() {
    let folder = Folder::new("[[step]]\nplugin = \"shop-ordr@1\"\n[[step]]\nplugin = \"crm@2\"\n[sink]\nplugin = \"other\"\n");
    folder.put("plugins/shop-order@1.0.0.wasm", component("transformer", &[]));
    folder.put("plugins/crm@1.0.0.wasm", component("sink", &[]));
    folder.put("plugins/crm@1.1.0.wasm", component("sink", &[]));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:7:10: LG-2001 no plugin matches shop-ordr@^1 (integration a, step 1)\n  \
         fix: did you mean `shop-order`? Plugins there: crm, shop-order\n\
         integrations/a.toml:9:10: LG-2001 no plugin matches crm@^2 (integration a, step 2)\n  \
         fix: ask for a version that is there: 1.1.0, 1.0.0\n\
         integrations/a.toml:11:10: LG-2001 no plugin matches other (integration a, sink)\n  \
         fix: put other@<version>.wasm or the folder other with its plugin.toml into plugins"
    );
}

#[test]
fn denies_imports_that_are_not_granted_with_the_line_to_add() {
    let folder = Folder::new("[[step]]\nplugin = \"t\"\ngrant = [\"queue\"]\n[sink]\nplugin = \"s\"\n");
    let imports = ["lockgate:plugin/key-value@0.1.0", "lockgate:plugin/queue@0.1.0", "wasi:sockets/tcp@0.2.0"];
    folder.put("plugins/t@1.0.0.wasm", component("transformer", &imports));
    folder.put("plugins/s@1.0.0.wasm", component("sink", &["lockgate:plugin/http@0.1.0"]));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:7:10: LG-2003 integration a, step 1: plugin t imports lockgate:plugin/key-value@0.1.0, which is not granted\n  \
         fix: add `grant = [\"key-value\", \"queue\"]` to [[step]] 1 of integrations/a.toml\n\
         integrations/a.toml:7:10: LG-2010 integration a, step 1: plugin t imports wasi:sockets/tcp@0.2.0, which this host does not offer\n  \
         fix: build it against lockgate:plugin@0.1.0; this host offers http, key-value, queue, log, config and WASI 0.2 without files and sockets\n\
         integrations/a.toml:10:10: LG-2003 integration a, sink: plugin s imports lockgate:plugin/http@0.1.0, and no slot is bound\n  \
         fix: add `bind = { target = \"<alias>\" }` to [sink] of integrations/a.toml"
    );
}

#[test]
fn names_slots_configs_and_roles_that_do_not_fit() {
    let folder = Folder::new(
        "[[step]]\nplugin = \"s\"\nbind = { target = \"crm\", tax = \"crm\", odd = \"crm\" }\n[sink]\nplugin = \"s\"\nconfig = { n = \"{values.n}\", x = 1 }\n",
    );
    let rest = "[slots.target]\ndescription = \"The CRM\"\n[slots.tax]\ndescription = \"Rates\"\n[config]\nadditionalProperties = false\n[config.properties.n]\ntype = \"integer\"\n";
    folder.put("plugins/s@1.0.0.wasm", with_manifest("sink", &["lockgate:plugin/http@0.1.0"], "s", "1.0.0", rest));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:7:10: LG-2005 integration a, step 1: plugin s is a sink, and a transformer is needed here\n  \
         fix: a [[step]] needs a plugin that exports lockgate:plugin/transformer@0.1.0\n\
         integrations/a.toml:8:45: LG-2011 integration a, step 1: plugin s has no slot `odd`\n  \
         fix: its slots are `target`, `tax`\n\
         integrations/a.toml:10:10: LG-2003 integration a, sink: plugin s imports lockgate:plugin/http@0.1.0, and no slot is bound\n  \
         fix: add `bind = { target = \"<alias>\", tax = \"<alias>\" }` to [sink] of integrations/a.toml\n\
         integrations/a.toml:10:10: LG-2004 integration a, sink: plugin s needs the slot `target` (The CRM), which is not bound\n  \
         fix: add `bind = { target = \"<alias>\", tax = \"<alias>\" }` to [sink] of integrations/a.toml\n\
         integrations/a.toml:10:10: LG-2004 integration a, sink: plugin s needs the slot `tax` (Rates), which is not bound\n  \
         fix: add `bind = { target = \"<alias>\", tax = \"<alias>\" }` to [sink] of integrations/a.toml\n\
         integrations/a.toml:11:10: LG-2008 integration a, sink: plugin s does not take this config: /n: \"5\" is not of type \"integer\"\n  \
         fix: change `config` in [sink] of integrations/a.toml; `lockgate inspect` shows what the plugin takes\n\
         integrations/a.toml:11:10: LG-2008 integration a, sink: plugin s does not take this config: Additional properties are not allowed ('x' was unexpected)\n  \
         fix: change `config` in [sink] of integrations/a.toml; `lockgate inspect` shows what the plugin takes"
    );
}

#[test]
fn a_sink_takes_batches_if_both_it_and_its_integration_say_so_and_writes_nothing_of_its_own() {
    let folder = Folder::new("[sink]\nplugin = \"s\"\n");
    folder.put("plugins/s@1.0.0.wasm", component("batch-sink", &[]));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:7:10: LG-2005 integration a, sink: plugin s takes messages in batches only, and nothing says how large they may be\n  \
         fix: add `batch = { max = 100, within = \"1s\" }` to [sink] of integrations/a.toml"
    );
    folder.put("integrations/a.toml", format!("{HOOK}[sink]\nplugin = \"s\"\nbatch = {{}}\n"));
    assert!(folder.prepare().is_ok());

    folder.put("plugins/s@1.0.0.wasm", component("sink", &[]));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:8:9: LG-2005 integration a, sink: plugin s is a sink, and a batch-sink is needed here\n  \
         fix: take `batch` away, or use a plugin that exports lockgate:plugin/batch-sink@0.1.0"
    );
    folder.put("plugins/s@1.0.0.wasm", component("batch-sink", &["lockgate:plugin/queue@0.1.0"]));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:7:10: LG-2003 integration a, sink: plugin s imports lockgate:plugin/queue@0.1.0, which is not granted\n  \
         fix: no batch sink is granted it: build the plugin without, or take `batch` away"
    );
    folder.put("integrations/a.toml", format!("{HOOK}[sink]\nplugin = \"s\"\ngrant = [\"queue\"]\nbatch = {{}}\n"));
    assert_eq!(
        folder.problems(),
        "integrations/a.toml:8:9: LG-1005 integration a, sink: plugin s takes batches, and is granted queue: what one call writes could not commit with each of its messages\n  \
         fix: take `grant` away, and let a step do it, or take `batch` away"
    );
}

#[test]
fn refuses_files_that_are_not_what_their_name_says() {
    let folder = Folder::new("[sink]\nplugin = \"s\"\n");
    folder.put("plugins/s.wasm", component("sink", &[]));
    assert_eq!(single(folder.prepare()).code, Code::BadManifest);
    std::fs::remove_file(folder.0.path().join("plugins/s.wasm")).unwrap();

    folder.put("plugins/s@1.0.0.wasm", with_manifest("sink", &[], "s", "1.0.1", ""));
    let problem = single(folder.prepare());
    assert_eq!((problem.code, problem.fix.as_deref()), (Code::BadManifest, Some("rename it to s@1.0.1.wasm")));

    folder.put("plugins/s@1.0.0.wasm", "not wasm");
    assert_eq!(single(folder.prepare()).code, Code::NotAComponent);

    folder.put("plugins/s/plugin.toml", "name = \"s\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
    folder.put("lockgate.toml", "[plugins]\npaths = [\"plugins\", \"vendor\"]\n");
    folder.put("vendor/s@1.0.0.wasm", component("sink", &[]));
    assert!(single(folder.prepare()).message.starts_with("s 1.0.0 is there twice"));
    std::fs::remove_file(folder.0.path().join("vendor/s@1.0.0.wasm")).unwrap();
    folder.put("plugins/s/plugin.toml", "name = \"t\"\nversion = \"2.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
    assert!(single(folder.prepare()).message.ends_with("names the plugin `t`, and its folder is called `s`"));
}

#[test]
fn takes_the_sources_before_the_file_that_was_built_of_them_unless_files_have_to_be_signed() {
    let folder = Folder::new("[sink]\nplugin = \"s\"\n");
    folder.put("plugins/s@1.0.0.wasm", with_manifest("sink", &[], "s", "1.0.0", ""));
    folder.put("plugins/s/plugin.toml", "name = \"s\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
    // There is nothing to build in the folder, and that it is not built says that it was taken.
    assert_eq!(single(folder.prepare()).code, Code::BuildFailed);
    folder.put("lockgate.toml", "[plugins]\nrequire-signed = true\n[plugins.trusted-keys]\nacme = \"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\"\n");
    let problem = single(folder.prepare());
    assert!(problem.code == Code::Unsigned && !problem.message.contains("sources"), "{problem}");
}

#[test]
fn refuses_a_lock_that_does_not_match_until_it_is_updated() {
    let folder = Folder::new("[sink]\nplugin = \"s@1\"\n");
    folder.put("plugins/s@1.0.0.wasm", component("sink", &[]));
    assert_eq!(folder.update(), ["s 1.0.0: added"]);
    assert!(folder.update().is_empty());

    // A newer version changes nothing by itself.
    folder.put("plugins/s@1.2.0.wasm", component("sink", &["lockgate:plugin/log@0.1.0"]));
    assert_eq!(folder.versions(), ["s 1.0.0"]);
    assert_eq!(folder.update(), ["s 1.0.0 → 1.2.0"]);
    assert_eq!(folder.versions(), ["s 1.2.0"]);

    // Other bytes under the same version are noticed.
    folder.put("plugins/s@1.2.0.wasm", component("sink", &[]));
    let problem = single(folder.prepare());
    assert_eq!((problem.code, problem.fix.as_deref()), (Code::LockOutdated, Some("lockgate update")));
    assert_eq!(folder.update(), ["s 1.2.0: content changed"]);

    // So are a version that is gone and a requirement nobody locked.
    std::fs::remove_file(folder.0.path().join("plugins/s@1.2.0.wasm")).unwrap();
    assert_eq!(single(folder.prepare()).code, Code::LockOutdated);
    folder.put("integrations/a.toml", format!("{HOOK}[sink]\nplugin = \"s@=1.0.0\"\n"));
    assert_eq!(single(folder.prepare()).code, Code::LockOutdated);
    assert_eq!(folder.update(), ["s 1.2.0 → 1.0.0"]);
    assert_eq!(folder.versions(), ["s 1.0.0"]);
}

#[test]
fn writes_a_missing_lock_only_when_asked_to() {
    let folder = Folder::new("[sink]\nplugin = \"s@1\"\n");
    folder.put("plugins/s@1.0.0.wasm", component("sink", &[]));
    assert!(!folder.prepare().unwrap().lock_written);
    assert_eq!(Lock::read(folder.0.path()).unwrap(), None);
    let prepared = prepare(folder.0.path(), "dev", MissingLock::Write, &|_| {}).unwrap();
    assert!(prepared.lock_written);
    assert!(Lock::read(folder.0.path()).unwrap().is_some());
}

#[test]
fn pins_each_use_to_the_version_its_own_requirement_picked() {
    let folder = Folder::new("[[step]]\nplugin = \"p@=1.0.0\"\n[[step]]\nplugin = \"p@1\"\n[sink]\nplugin = \"p\"\n");
    for version in ["1.0.0", "1.3.0", "2.0.0"] {
        let both = format!(
            "(component (instance $i) (export \"lockgate:plugin/sink@0.1.0\" (instance $i)) (export \"lockgate:plugin/transformer@0.1.0\" (instance $i)) (@custom \"v\" \"{version}\"))"
        );
        folder.put(&format!("plugins/p@{version}.wasm"), wat::parse_str(both).unwrap());
    }
    let prepared = folder.prepare().unwrap();
    let releases = prepared.releases();
    let versions: Vec<_> = releases[0].plugins.iter().map(|pinned| pinned.version.to_string()).collect();
    assert_eq!(versions, ["1.0.0", "1.3.0", "2.0.0"]);
    assert_eq!(releases[0].file, prepared.workspace.integrations[0].text);
    let summary = serde_json::to_value(prepared.summary()).unwrap();
    assert_eq!((summary["environment"].clone(), summary["plugins"][2]["version"].clone()), ("dev".into(), "2.0.0".into()));
}

#[test]
fn shows_why_a_plugin_does_not_build() {
    let folder = Folder::new("[sink]\nplugin = \"s\"\n");
    folder.put("plugins/s/plugin.toml", "name = \"s\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
    assert!(single(folder.prepare()).message.ends_with("nothing that says what it is written in"));
    folder.put(
        "plugins/s/Cargo.toml",
        "[package]\nname = \"s\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\"]\n[workspace]\n",
    );
    folder.put("plugins/s/src/lib.rs", "this is no Rust");
    let problem = single(folder.prepare());
    assert_eq!(problem.code, Code::BuildFailed);
    assert!(problem.message.contains("plugin s does not build:") && problem.message.contains("src/lib.rs"), "{problem}");
}

#[test]
fn builds_a_source_folder_and_looks_what_came_of_it() {
    let folder = Folder::new("[sink]\nplugin = \"s\"\n");
    folder.put("plugins/s/plugin.toml", "name = \"s\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n");
    folder.put("plugins/s/Cargo.toml", "[package]\nname = \"s\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n[workspace]\n[profile.plugin]\ninherits = \"dev\"\n");
    folder.put("plugins/s/src/lib.rs", "");
    let seen = Mutex::new(Vec::new());
    let progress = |event: Event<'_>| {
        if !matches!(event, Event::Line { .. }) {
            seen.lock().unwrap().push(format!("{event:?}"));
        }
    };
    let problem = single(prepare(folder.0.path(), "dev", MissingLock::Ignore, &progress));
    // It was built, and an empty library is no sink.
    assert!(problem.message.ends_with("plugin.toml says that it is a sink, and the component exports no role"), "{problem}");
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() == 1 && seen[0].starts_with("Building"), "{seen:?}");
    assert!(folder.0.path().join("plugins/s/target/wasm32-wasip2/plugin/s.wasm").exists());
}

#[test]
fn a_known_url_opens_its_host_and_none_that_begins_like_it() {
    for url in
        ["https://docs.acme.example", "https://docs.acme.example/", "https://docs.acme.example:8443/a", "https://docs.acme.example?a"]
    {
        assert!(is_under(url, "https://docs.acme.example"), "{url}");
    }
    for url in ["https://docs.acme.example.evil.example/collect", "https://docs.acme.examples/", "https://docs.acme.example@evil.example/"]
    {
        assert!(!is_under(url, "https://docs.acme.example"), "{url}");
    }
    assert!(is_under("https://docs.acme.example/guide/x", "https://docs.acme.example/gui"));
}

#[test]
fn a_revoked_version_is_passed_over_where_another_fits() {
    let folder = Folder::new("[sink]\nplugin = \"p@1\"\n");
    for version in ["1.0.0", "1.0.1"] {
        folder.put(&format!("plugins/p@{version}.wasm"), with_manifest("sink", &[], "p", version, ""));
    }
    folder.put("lockgate.toml", "[plugins]\nrevoked = [\"p@1.0.1\"]\n");
    let update = update(folder.0.path()).unwrap();
    assert_eq!(update.lock.plugins[0].version, Version::new(1, 0, 0));
    // By what is in it, too.
    let digest = crate::plugin::sha256_hex(&with_manifest("sink", &[], "p", "1.0.1", ""));
    folder.put("lockgate.toml", format!("[plugins]\nrevoked = [\"sha256:{digest}\"]\n"));
    std::fs::remove_file(folder.0.path().join("lockgate.lock")).unwrap();
    let update = super::update(folder.0.path()).unwrap();
    assert_eq!(update.lock.plugins[0].version, Version::new(1, 0, 0));
    // Where nothing else fits it is told.
    folder.put("lockgate.toml", "[plugins]\nrevoked = [\"p@1.0.1\"]\nfloor = { p = \"1.0.1\" }\n");
    let refused = super::update(folder.0.path()).unwrap_err().to_string();
    assert!(refused.contains("LG-2022") && refused.contains("1.0.1"), "{refused}");
}
