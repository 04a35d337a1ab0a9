//! `lockgate alias`: endpoints, and whether they answer and authenticate. Never a secret.

use clap::Subcommand;
use serde_json::json;

use super::client::{Client, encoded};
use super::{Common, Failure, output};

#[derive(Debug, Subcommand)]
pub enum Alias {
    /// List the aliases of the running host with their states
    List,
    /// Ask an alias's endpoint whether it answers and takes the credential; a success releases a refused alias
    Test {
        /// The alias
        name: String,
    },
}

impl Alias {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::List => list(common).await,
            Self::Test { name } => test(common, &name).await,
        }
    }
}

async fn list(common: &Common) -> Result<(), Failure> {
    let answer = Client::find(common)?.get("/api/v1/aliases").await?;
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    let fields = ["name", "state", "since", "auth", "url", "detail"];
    let entries = answer["aliases"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = entries.iter().map(|entry| fields.iter().map(|field| output::text(entry, field)).collect()).collect();
    output::table(&["ALIAS", "STATE", "SINCE", "AUTH", "URL", "DETAIL"], &rows);
    Ok(())
}

async fn test(common: &Common, name: &str) -> Result<(), Failure> {
    let test = Client::find(common)?.post(&format!("/api/v1/aliases/{}/test", encoded(name)), &json!({})).await?;
    let good = test["reachable"] == true && test["authenticated"] != false;
    if common.json {
        output::json(&test);
    } else {
        let authenticated = match test["authenticated"].as_bool() {
            Some(true) => "credential taken",
            Some(false) => "credential refused",
            None => "no word on the credential",
        };
        let reachable = if test["reachable"] == true { "answers" } else { "does not answer" };
        output::line(format_args!("{name} {reachable}, {authenticated}: {}", output::text(&test, "detail")));
    }
    if good { Ok(()) } else { Err(Failure::No) }
}
