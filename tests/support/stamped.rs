//! A workspace whose one integration stamps each message with its release, and sends it to an audit service; for tests that switch releases.

use std::collections::BTreeMap;

use lockgate::demo::audit::Audit;
use lockgate::plugin::component::embed_manifest;
use serde_json::{Value, json};

use super::build::{plugin_files, stamp_guest};
use super::host::Host;
use super::http::{Answer, runtime};
use super::workspace::Workspace;

/// The workspace and what it sends to.
#[derive(Debug)]
pub struct Stamped {
    pub workspace: Workspace,
    pub audit: Audit,
}

impl Stamped {
    /// Version 1 of everything.
    pub fn new() -> Self {
        let audit = runtime().block_on(Audit::start()).unwrap();
        let workspace = Workspace::empty();
        let paths = format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string());
        workspace.write("lockgate.toml", &paths).write("audit.secret", lockgate::demo::audit::TOKEN);
        let address = audit.address();
        let alias = format!(
            "[alias.audit]\nurl = \"http://{address}\"\nauth = {{ bearer = {{ token = {{ file = \"audit.secret\" }} }} }}\nnetwork = [\"127.0.0.0/8\"]\n"
        );
        workspace.write("environments/test.toml", &alias);
        let stamped = Self { workspace, audit };
        stamped.becomes(1, "");
        stamped
    }

    /// The workspace has version `version` of the plugin and of the integration from now on; `rest` goes into the plugin's config.
    pub fn becomes(&self, version: u32, rest: &str) {
        self.becomes_keyed(version, rest, "json:/key");
    }

    /// The same with another rule for the key.
    pub fn becomes_keyed(&self, version: u32, rest: &str, key: &str) {
        self.plugin(version);
        self.workspace.write("integrations/stamped.toml", &integration(version, rest, key));
    }

    /// A component that is `stamp@<version>.0.0`, with other bytes than those of other versions.
    pub fn plugin(&self, version: u32) {
        let manifest = format!(
            "name = \"stamp\"\nversion = \"{version}.0.0\"\ndescription = \"stamps\"\nlicence = \"Apache-2.0\"\nroles = [\"transformer\"]\n"
        );
        let bytes =
            embed_manifest("stamp", &std::fs::read(stamp_guest()).unwrap(), &manifest).unwrap_or_else(|problem| panic!("{problem}"));
        let folder = self.workspace.path().join("own");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("stamp@{version}.0.0.wasm")), bytes).unwrap();
        // The lock is what `lockgate update` would make of it.
        drop(std::fs::remove_file(self.workspace.path().join("lockgate.lock")));
    }

    /// What arrived, in order.
    pub fn arrived(&self) -> Vec<Value> {
        self.audit.kept().bodies.iter().map(|(_, body)| serde_json::from_slice(body).unwrap()).collect()
    }

    /// What a command says that ends with `status`.
    #[track_caller]
    pub fn said(&self, arguments: &[&str], status: i32) -> String {
        let output = self.workspace.lockgate(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

fn integration(version: u32, rest: &str, key: &str) -> String {
    format!(
        "[integration]\ndescription = \"Stamps what comes\"\nowner = {{ team = \"t\", contact = \"c\" }}\n\
         [[source]]\nwebhook = {{ path = \"/in\", verify = \"none\" }}\nid = [\"json:/id\"]\nkey = \"{key}\"\n\
         [[step]]\nplugin = \"stamp@{version}\"\nconfig = {{ stamp = \"{version}\"{rest} }}\n\
         [sink]\nplugin = \"http-post@1\"\nconfig = {{ path = \"/orders\" }}\nbind = {{ target = \"audit\" }}\n\
         [delivery]\nbackoff = {{ base = \"20ms\", cap = \"200ms\" }}\n"
    )
}

/// Posts the `number`-th message of `key`.
pub fn post(host: &Host, key: &str, number: u64) -> Answer {
    host.post(
        "/in",
        &[("content-type", "application/json")],
        json!({ "id": format!("{key}-{number}"), "key": key, "other": "same", "number": number }).to_string(),
    )
}

/// The numbers that arrived of each key, in the order in which they did.
pub fn by_key(arrived: &[Value]) -> BTreeMap<String, Vec<u64>> {
    let mut keys = BTreeMap::<String, Vec<u64>>::new();
    for message in arrived {
        keys.entry(message["key"].as_str().unwrap().to_owned()).or_default().push(message["number"].as_u64().unwrap());
    }
    keys
}

/// A token of `role`, as a script gets it.
#[track_caller]
pub fn token(workspace: &Workspace, name: &str, role: &str) -> String {
    let output = workspace.lockgate(&["token", "create", "--name", name, "--role", role]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
