//! A host with an attacker and an innocent beside it, and what has to be true of it after an attack.

use serde_json::Value;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::request;
use crate::support::shop::accepted;
use crate::support::wat::swallow;
use crate::support::workspace::Workspace;

/// Memory that a host may keep of an attack, once it is over: what its allocators and the pool of instances hold back for the next.
const KEPT_MIB_MAX: u64 = 96;

/// Limits that let an attack end soon.
pub const SHORT: &str = "[limits]\ncpu = \"200ms\"\n";

/// A workspace where `/attack` leads to the component `plugin`, granted all there is that needs no alias, and `/innocent` to a sink.
/// `more` goes into the attacker's integration.
pub fn workspace(plugin: &[u8], more: &str) -> Workspace {
    let workspace = Workspace::empty();
    let folder = workspace.path().join("plugins");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("attack@1.0.0.wasm"), plugin).unwrap();
    std::fs::write(folder.join("swallow@1.0.0.wasm"), swallow()).unwrap();
    let attack = "[[step]]\nplugin = \"attack@1\"\ngrant = [\"key-value\", \"queue\"]\n[sink]\nchannel = \"attack.out\"\n";
    let swallowed = "[sink]\nplugin = \"swallow@1\"\n";
    workspace
        .write("lockgate.toml", "[plugins]\npaths = [\"plugins\"]\n")
        .write("environments/test.toml", "")
        .write("integrations/attack.toml", &flow(&webhook("attack"), &format!("{attack}{more}")))
        .write("integrations/attacked.toml", &flow("channel = \"attack.out\"", swallowed))
        .write("integrations/innocent.toml", &flow(&webhook("innocent"), swallowed));
    workspace
}

/// The text of an integration.
pub fn flow(source: &str, rest: &str) -> String {
    let head = "[integration]\ndescription = \"d\"\nowner = { team = \"t\", contact = \"c\" }\n[[source]]\n";
    format!("{head}{source}\n{rest}")
}

/// A source for everybody.
pub fn webhook(path: &str) -> String {
    format!("webhook = {{ path = \"/{path}\", verify = \"none\" }}")
}

/// A running host under attack.
pub struct Scene {
    pub workspace: Workspace,
    pub host: Host,
    before_mib: u64,
}

impl Scene {
    #[track_caller]
    pub fn start(plugin: &[u8], more: &str) -> Self {
        Self::over(workspace(plugin, more))
    }

    #[track_caller]
    pub fn over(workspace: Workspace) -> Self {
        let host = Host::start(&workspace);
        Self::with(workspace, host)
    }

    /// With the workspace's releases as the active ones.
    #[track_caller]
    pub fn deployed(workspace: Workspace) -> Self {
        let host = Host::start_with(&workspace, &["--deploy"]);
        Self::with(workspace, host)
    }

    #[track_caller]
    fn with(workspace: Workspace, host: Host) -> Self {
        let scene = Self { workspace, host, before_mib: 0 };
        scene.innocent_flows();
        let before_mib = scene.host.resident_mib();
        Self { before_mib, ..scene }
    }

    /// Sends the attacker so many messages; their ids.
    pub fn attack(&self, times: usize, body: &str) -> Vec<String> {
        let send = |n| accepted(&self.host.post("/attack", &[("content-type", "text/plain")], format!("{body}{}", " ".repeat(n))));
        (0..times).map(send).collect()
    }

    /// The dead letters of the attacker, once there are so many.
    #[track_caller]
    pub fn dead_letters(&self, count: usize) -> Vec<Value> {
        eventually("each message of the attack has its dead letter", || {
            let listed = self.host.api("/api/v1/dead-letters?integration=attack");
            listed["dead-letters"].as_array().cloned().filter(|letters| letters.len() >= count)
        })
    }

    /// Whether a message of another integration gets through.
    #[track_caller]
    pub fn innocent_flows(&self) {
        let id = accepted(&self.host.post("/innocent", &[], format!("{{\"n\":\"{:?}\"}}", std::time::SystemTime::now())));
        eventually("a message of another integration is delivered", || {
            let message = self.host.api(&format!("/api/v1/messages/{id}"));
            (message["outcomes"][0]["outcome"] == "delivered").then_some(())
        });
    }

    /// The host is as it was: it says that it is well, other messages get through, and memory is back.
    #[track_caller]
    pub fn is_as_before(&self) {
        for path in ["/healthz", "/readyz"] {
            assert_eq!(request("GET", &format!("{}{path}", self.host.admin), &[], "").unwrap().status, 200, "{path}");
        }
        self.innocent_flows();
        let most = self.before_mib + KEPT_MIB_MAX;
        eventually("memory is back where it was", || (self.host.resident_mib() <= most).then_some(()));
        let logged = self.host.logged();
        assert!(!logged.contains("panicked"), "{logged}");
    }
}
