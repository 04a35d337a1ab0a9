//! What a newcomer does, in any language: a workspace, a plugin of every role, their own tests, builds, a host, one message through, and all that goes
//! wrong around it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};

use crate::support::build::binary;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::runtime;
use crate::support::shop::accepted;
use crate::support::workspace::Workspace;

pub const ROLES: [&str; 4] = ["transformer", "sink", "batch-sink", "source"];

/// A workspace that `lockgate new` made, in one language.
#[derive(Debug)]
pub struct Newcomer {
    pub workspace: Workspace,
    lang: &'static str,
    /// Folders that builds share, so that each thing is installed and compiled once.
    shared: PathBuf,
}

/// What was built: names, and their digests.
pub type Digests = Vec<(String, String)>;

impl Newcomer {
    /// `new workspace`, and a plugin of every role, called like it.
    pub fn new(lang: &'static str) -> Self {
        let workspace = Workspace::to_make("shop", "dev");
        let newcomer = Self { workspace, lang, shared: binary().parent().unwrap().join("authors") };
        let made = newcomer.json_in(newcomer.workspace.path().parent().unwrap(), &["new", "workspace", "shop", "--lang", lang]);
        assert_eq!(made["kept"], json!([]), "{made}");
        for role in ROLES {
            let name = format!("a-{role}");
            let said = newcomer.said(&["new", "plugin", &name, "--lang", lang, "--role", role]);
            assert!(said.contains(&format!("written  plugins/{name}")), "{said}");
            assert!(said.contains(&format!("lockgate build {name}")), "{said}");
        }
        newcomer
    }

    pub fn path(&self) -> &Path {
        self.workspace.path()
    }

    /// A command of the language's own tools, in the workspace or below it.
    pub fn tool(&self, folder: &str, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.path().join(folder));
        self.sharing(&mut command);
        command
    }

    fn sharing(&self, command: &mut Command) {
        command.env("CARGO_TARGET_DIR", self.shared.join("target")).env("LOCKGATE_TOOLS", self.shared.join("tools"));
    }

    pub fn lockgate(&self, arguments: &[&str]) -> Output {
        let mut command = crate::support::host::lockgate(self.path());
        self.sharing(&mut command);
        command.args(arguments).output().unwrap()
    }

    /// What a command says that succeeds.
    #[track_caller]
    pub fn said(&self, arguments: &[&str]) -> String {
        let output = self.lockgate(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The problem of a command that fails: its code, and all it says.
    #[track_caller]
    pub fn problem(&self, arguments: &[&str]) -> (String, String) {
        let output = self.lockgate(&[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let problem = &told["problems"][0];
        (problem["code"].as_str().unwrap().to_owned(), format!("{}\nfix: {}", problem["message"].as_str().unwrap(), problem["fix"]))
    }

    #[track_caller]
    fn json_in(&self, folder: &Path, arguments: &[&str]) -> Value {
        let mut command = crate::support::host::lockgate(folder);
        self.sharing(&mut command);
        let output = command.args(arguments).arg("--json").output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Builds everything.
    pub fn build_all(&self) -> Digests {
        let digests = self.build(&[]);
        assert_eq!(digests.len(), ROLES.len() + 1, "{digests:?}");
        digests
    }

    /// Builds `plugins`, or all; what was built is what it says it is.
    pub fn build(&self, plugins: &[&str]) -> Digests {
        let built = self.json_in(self.path(), &[&["build"], plugins].concat());
        let built = built["plugins"].as_array().unwrap();
        for one in built {
            let file = one["file"].as_str().unwrap();
            let name = one["plugin"].as_str().unwrap();
            assert_eq!(self.path().join(file), self.path().join(format!("plugins/{name}@0.1.0.wasm")));
            let facts = self.json_in(self.path(), &["inspect", file]);
            assert_eq!((&facts["digest"], &facts["manifest"]["name"]), (&one["digest"], &one["plugin"]));
            assert_eq!(facts["roles"], one["roles"]);
            assert_eq!(facts["urls"], json!([]), "{name} holds URLs");
        }
        digests(built)
    }

    /// Builds `plugins` in a copy of the workspace's sources elsewhere, with nothing that was built before.
    pub fn build_elsewhere(&self, plugins: &[&str]) -> Digests {
        let elsewhere = tempfile::Builder::new().prefix("another place ").tempdir().unwrap();
        let copied = Command::new("cp").arg("-R").arg(self.path()).arg(elsewhere.path().join("copy of shop")).status().unwrap();
        assert!(copied.success());
        let folder = elsewhere.path().join("copy of shop");
        let mut command = crate::support::host::lockgate(&folder);
        command.env("LOCKGATE_TOOLS", self.shared.join("tools")).env("CARGO_TARGET_DIR", elsewhere.path().join("target"));
        let output = command.arg("build").args(plugins).args(["--json", "--out", "built"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let built: Value = serde_json::from_slice(&output.stdout).unwrap();
        digests(built["plugins"].as_array().unwrap())
    }

    /// The scenarios that `new` made pass: those of the workspace where `plugin` is none, else the plugin's.
    pub fn passes(&self, plugin: Option<&str>) {
        let folder = plugin.map(|plugin| format!("plugins/{plugin}"));
        let said = self.said(&folder.as_deref().map_or_else(|| vec!["test"], |folder| vec!["test", "-C", folder]));
        assert!(said.contains("scenarios passed"), "{said}");
    }

    /// The workspace as it was made, in a running host: one message through, and one that is a dead letter.
    pub fn greets(&self) {
        let host = self.start();
        let id = self.said(&["send", "hello", "samples/hello.json"]);
        let id = id.split_whitespace().nth(1).unwrap();
        let message = eventually("the greeting is delivered", || {
            let message = host.api(&format!("/api/v1/messages/{id}"));
            (message["integrations"][0]["state"] == "delivered").then_some(message)
        });
        assert!(message.to_string().contains("Hello, Ada!"), "{message}");
        assert!(self.said(&["logs"]).contains("Hello, Ada!"));
        let nameless = accepted(&host.post("/hello", &[("content-type", "application/json")], "{}"));
        eventually("a message without a name is a dead letter", || {
            let message = host.api(&format!("/api/v1/messages/{nameless}"));
            (message["integrations"][0]["state"] == "dead-lettered").then_some(())
        });
        assert!(self.said(&["dead-letters", "show", "1"]).contains("/name"));
        assert!(host.stop().success());
        self.withstands("hello", &[]);
    }

    /// The plugins that were made, in an integration: an order goes through the transformer and the sink into a system.
    pub fn delivers(&self) {
        let (address, received) = system();
        let step = "[[step]]\nplugin = \"a-transformer@0.1\"\nconfig = { currency = \"CHF\" }\n";
        let sink = "[sink]\nplugin = \"a-sink@0.1\"\nbind = { target = { alias = \"crm\", allow = [\"POST /records\"] } }\n";
        let about = "[integration]\ndescription = \"Orders into the CRM\"\nowner = { team = \"Us\", contact = \"us@example.com\" }\n";
        let source = "[[source]]\nwebhook = { path = \"/orders\", verify = \"none\" }\n";
        self.workspace.write("integrations/orders.toml", &format!("{about}{source}{step}{sink}"));
        let alias = format!("[values]\ngreeting = \"Hello\"\n[alias.crm]\nurl = \"http://{address}\"\nnetwork = [\"127.0.0.0/8\"]\n");
        self.workspace.write("environments/dev.toml", &alias);
        self.said(&["update"]);
        drop(std::fs::remove_dir_all(self.workspace.data()));
        let host = self.start();
        let order = std::fs::read(self.path().join("plugins/a-transformer/samples/sample.json")).unwrap();
        let id = accepted(&host.post("/orders", &[("content-type", "application/json")], order));
        eventually("the order is delivered", || {
            let message = host.api(&format!("/api/v1/messages/{id}"));
            (message["integrations"][0]["state"] == "delivered").then_some(())
        });
        let record = json!({ "externalId": "A-1001", "email": "ada@example.com", "amount": "12.50", "currency": "EUR" });
        assert_eq!(*received.lock().unwrap(), [record]);
        assert!(host.stop().success());
        self.withstands("orders", &["--samples", "plugins/a-transformer/samples"]);
    }

    /// Nothing that goes wrong around an integration is a defect of it.
    pub fn withstands(&self, integration: &str, samples: &[&str]) {
        let said = self.said(&[&["test", "--failures", integration], samples].concat());
        assert!(said.contains(&format!("{integration}: ")) && said.contains(" 0 defects"), "{said}");
    }

    fn start(&self) -> Host {
        let tools = self.shared.join("tools").display().to_string();
        let target = self.shared.join("target").display().to_string();
        let environment = [("LOCKGATE_TOOLS", tools.as_str()), ("CARGO_TARGET_DIR", target.as_str())];
        Host::try_start(&self.workspace, &[], &environment).unwrap_or_else(|status| {
            let log = std::fs::read_to_string(self.path().join("host.log")).unwrap_or_default();
            panic!("{}: the host ended with {status}:\n{log}", self.lang)
        })
    }
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn digests(built: &[Value]) -> Digests {
    let word = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
    built.iter().map(|one| (word(one, "plugin"), word(one, "digest"))).collect()
}

/// A system that takes records, and what it was sent.
fn system() -> (String, Arc<Mutex<Vec<Value>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let kept = received.clone();
    let app = Router::new().route(
        "/records",
        post(move |body: String| {
            kept.lock().unwrap().push(serde_json::from_str(&body).unwrap());
            async { (axum::http::StatusCode::CREATED, r#"{"id":"r-7"}"#) }
        }),
    );
    let listener = runtime().block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    runtime().spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, received)
}
