//! `lockgate env apply`: a changed environment file to a running host.

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::{Client, encoded};
use super::output::{list, text};
use super::{Common, Failure, output};
use crate::config::workspace::read_environment;

#[derive(Debug, Subcommand)]
pub enum Env {
    Apply(Apply),
}

/// Put the changed file of the environment into the running host, and show what differs
///
/// Aliases take effect at once, while messages flow: requests under way end where they began, an alias that leads to the same URL keeps what is
/// known of its target, one that leads elsewhere starts as healthy. Calls of plugins that begin afterwards have the new values in their
/// config. A file that is wrong, or lacks what runs, changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate env apply --plan    only show what would change
  lockgate env apply
  lockgate env apply --env prod -C /srv/lockgate")]
pub struct Apply {
    /// The environment: environments/<ENV>.toml [default: the one the host runs]
    #[arg(long, value_name = "ENV")]
    env: Option<String>,
    /// Only show what would change
    #[arg(long)]
    plan: bool,
}

impl Env {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let Self::Apply(asked) = self;
        asked.run(common).await
    }
}

impl Apply {
    async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let name = match &self.env {
            Some(name) => name.clone(),
            None => text(&client.get("/api/v1/environment").await?, "name"),
        };
        // Mistakes in the file are told with their places before anybody is asked.
        let file = read_environment(&common.directory, &name)?;
        let path = format!("/api/v1/environment?name={}&plan={}", encoded(&name), self.plan);
        let answer = client.ask(Method::POST, &path, "application/toml", Bytes::copy_from_slice(file.places.text().as_bytes())).await?;
        if common.json {
            output::json(&answer);
        } else {
            tell(&answer);
        }
        Ok(())
    }
}

fn tell(answer: &Value) {
    let changes = list(&answer["changes"]);
    for change in changes {
        output::line(format_args!("{}: {} → {}", text(change, "key"), text(change, "before"), text(change, "after")));
    }
    for note in list(&answer["notes"]) {
        output::line(format_args!("note: {}", output::on_one_line(note.as_str().unwrap_or_default())));
    }
    let name = text(answer, "environment");
    output::line(match (changes.is_empty(), answer["applied"] == true) {
        (true, _) => format!("environment {name} is as the host runs it"),
        (false, true) => format!("environment {name} is applied"),
        (false, false) => format!("environment {name} would change"),
    });
}
