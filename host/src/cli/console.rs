//! `lockgate console`: a link into the console, opened where there is a browser to open it.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use clap::Args;
use serde_json::json;

use super::client::Client;
use super::{Common, Failure, output};

/// Open the console in a browser
///
/// Asks the running host for a link that works once and for one minute, prints it, and opens it where there is a display. The link
/// becomes a session of this browser: it ends after an hour without use, after twelve hours, or when the host restarts.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate console -C examples/shop-to-crm
  lockgate console --no-open
  lockgate console --json | jq -r .url")]
pub struct Console {
    /// Only print the link
    #[arg(long)]
    no_open: bool,
}

impl Console {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let link = client.post("/api/v1/console-links", &json!({})).await?;
        let url = client.url(&output::text(&link, "path"));
        if common.json {
            output::json(&json!({ "url": url, "expires-at": link["expires-at"] }));
            return Ok(());
        }
        output::line(&url);
        if !self.no_open && std::io::stdout().is_terminal() && opens(&url) {
            output::line("Opened in the browser. The link works once and for one minute.");
        } else {
            output::line("Open it in a browser on this machine. It works once and for one minute.");
        }
        Ok(())
    }
}

/// Hands `url` to whatever opens links here. False where there is no display or nothing to hand it to.
fn opens(url: &str) -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let opener = match std::env::consts::OS {
        "macos" => "open",
        _ if is_set("DISPLAY") || is_set("WAYLAND_DISPLAY") => "xdg-open",
        _ => return false,
    };
    let mut command = Command::new(opener);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}
