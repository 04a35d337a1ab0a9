//! Plugins from people nobody trusts, before any of them runs: what they cost to compile, who signed them, which of them are revoked, and what
//! they carry. Whatever is tried, what ran before runs on.

mod carried;
mod compiling;
mod manifests;
mod signed;

use std::path::PathBuf;
use std::process::{Output, Stdio};

use lockgate::plugin::component::embed_manifest;

use crate::support::build::plugin_files;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::http::request;
use crate::support::shop::{accepted, order, post_order};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;

/// The example, with room in the folder `own` for plugins of the test's.
struct Place {
    outside: Outside,
    workspace: Workspace,
    orders: u64,
}

impl Place {
    fn new() -> Self {
        let outside = Outside::start();
        let place = Self { workspace: workspace(&outside), outside, orders: 0 };
        place.rules("");
        place
    }

    fn own(&self, file: &str) -> PathBuf {
        let folder = self.workspace.path().join("own");
        std::fs::create_dir_all(&folder).unwrap();
        folder.join(file)
    }

    /// What `[plugins]` says beside where plugins are.
    fn rules(&self, rules: &str) {
        let paths = format!("[plugins]\npaths = [\"own\", {:?}]\n{rules}\n", plugin_files().display().to_string());
        self.own("");
        self.workspace.write("lockgate.toml", &paths);
    }

    /// An integration that uses the plugin `hostile`, whose component this is.
    fn with_hostile(&self, component: &[u8]) {
        std::fs::write(self.own("hostile@1.0.0.wasm"), component).unwrap();
        self.workspace.write(
            "integrations/hostile.toml",
            "[integration]\ndescription = \"hostile\"\nowner = { team = \"t\", contact = \"c\" }\n\
             [[source]]\nwebhook = { path = \"/hostile\", verify = \"none\" }\n[sink]\nplugin = \"hostile@1\"\n",
        );
        drop(std::fs::remove_file(self.workspace.path().join("lockgate.lock")));
    }

    /// A start that is expected to fail: what it says.
    #[track_caller]
    fn refused_start(&self, arguments: &[&str]) -> String {
        let mut command = self.workspace.command("run");
        command.args(["--ingress", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(arguments);
        told(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// What `check` says that is not in order.
    #[track_caller]
    fn refused_check(&self) -> String {
        told(&self.workspace.lockgate(&["check", "--env", "test"]))
    }

    #[track_caller]
    fn checks(&self) {
        let output = self.workspace.lockgate(&["check", "--env", "test"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The host answers, and an order makes its whole way.
    #[track_caller]
    fn goes_on(&mut self, host: &Host) {
        assert_eq!(request("GET", &format!("{}/healthz", host.admin), &[], "").unwrap().status, 200);
        self.orders += 1;
        let before = self.outside.crm.received().requests.len();
        accepted(&post_order(host, &format!("evt-{}", self.orders), &order(self.orders, self.orders, "1.00")));
        eventually("the order is in the CRM", || (self.outside.crm.received().requests.len() > before).then_some(()));
    }
}

/// What a command said that ended with 1.
#[track_caller]
fn told(output: &Output) -> String {
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}");
    told
}

/// A component that says it is `hostile@1.0.0`, a sink, around a core module in text form.
fn component(module: &str) -> Vec<u8> {
    let text = format!("(component (core module {module}) (instance $i) (export \"lockgate:plugin/sink@0.1.0\" (instance $i)))");
    let manifest = "name = \"hostile\"\nversion = \"1.0.0\"\ndescription = \"d\"\nlicence = \"MIT\"\nroles = [\"sink\"]\n";
    embed_manifest("hostile", &wat::parse_str(text).unwrap(), manifest).unwrap()
}
