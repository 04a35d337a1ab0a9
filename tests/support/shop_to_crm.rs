//! The project's example with a CRM and an audit service of the test's own.

use std::path::Path;

use lockgate::demo::audit::Audit;
use lockgate::demo::crm::{CLIENT_ID, CLIENT_SECRET, Crm};

use super::build::{plugin_files, root};
use super::http::runtime;
use super::workspace::{CRM_SECRET_FILE, Workspace};

/// The outside world of the example.
#[derive(Debug)]
pub struct Outside {
    pub crm: Crm,
    pub audit: Audit,
}

impl Outside {
    pub fn start() -> Self {
        runtime().block_on(async { Self { crm: Crm::start().await.unwrap(), audit: Audit::start().await.unwrap() } })
    }

    pub fn crm_down(&mut self) {
        runtime().block_on(self.crm.down());
    }

    pub fn crm_up(&mut self) {
        runtime().block_on(self.crm.up()).unwrap();
    }
}

/// The example's integrations with an environment `test` that leads to `outside`, plugins as built files.
/// Retries come quickly, so that tests do not wait.
pub fn workspace(outside: &Outside) -> Workspace {
    let workspace = Workspace::empty();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [{:?}]\n", plugin_files().display().to_string()));
    copy_integrations(&workspace, &root().join("examples/shop-to-crm/integrations"));
    workspace.write(CRM_SECRET_FILE, CLIENT_SECRET);
    workspace.write("audit.secret", lockgate::demo::audit::TOKEN);
    workspace.write("environments/test.toml", &environment(outside));
    workspace
}

fn copy_integrations(workspace: &Workspace, from: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let quick = text.replace("base = \"1s\", cap = \"5m\"", "base = \"20ms\", cap = \"200ms\"");
        workspace.write(&format!("integrations/{name}"), &quick);
    }
}

fn environment(outside: &Outside) -> String {
    let (crm, audit) = (outside.crm.address(), outside.audit.address());
    format!(
        r#"
[values]
new-order-stage = "Prospecting"

[alias.shop]
verify = {{ shopify = {{ secret = {{ env = "SHOP_SECRET" }} }} }}

[alias.crm]
owner = {{ contact = "crm-team@acme.example" }}
url = "http://{crm}/services/data/v60.0"
auth = {{ oauth2-client-credentials = {{ token-url = "http://{crm}/token", client-id = "{CLIENT_ID}", client-secret = {{ file = "{CRM_SECRET_FILE}" }} }} }}
network = ["127.0.0.0/8"]

[alias.audit]
url = "http://{audit}"
auth = {{ bearer = {{ token = {{ file = "audit.secret" }} }} }}
network = ["127.0.0.0/8"]
"#
    )
}
