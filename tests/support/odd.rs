//! A workspace with the guest that does what a message's body says: traps, floods, fails, logs.

use super::build::{odd_guest, plugin_files};
use super::shop_to_crm::{Outside, workspace};
use super::workspace::Workspace;

/// An integration over the odd guest, which does what a message's body says; its output goes nowhere but to a channel.
pub fn odd_workspace(outside: &Outside) -> Workspace {
    let workspace = workspace(outside);
    let folder = workspace.path().join("own");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(odd_guest(), folder.join("odd@1.0.0.wasm")).unwrap();
    let paths = format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string());
    let flow = |source: &str, rest: &str| {
        format!("[integration]\ndescription = \"odd\"\nowner = {{ team = \"t\", contact = \"c\" }}\n[[source]]\n{source}\n{rest}")
    };
    let odd =
        "[[step]]\nplugin = \"odd@1\"\ngrant = [\"key-value\", \"queue\"]\nbind = { target = \"crm\" }\n[sink]\nchannel = \"odd.out\"\n";
    let reader = "[sink]\nplugin = \"http-post@1\"\nconfig = { path = \"/orders\" }\nbind = { target = \"audit\" }\n";
    workspace
        .write("lockgate.toml", &paths)
        .write("integrations/odd.toml", &flow("webhook = { path = \"/odd\", verify = \"none\" }", odd))
        .write("integrations/reader.toml", &flow("channel = \"odd.out\"", reader));
    workspace
}
