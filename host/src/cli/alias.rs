//! `lockgate alias`: endpoints, and whether they answer and authenticate. Never a secret.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};

#[derive(Debug, Subcommand)]
pub enum Alias {
    List(List),
    Test(Test),
}

/// List the aliases of the running host: state, since when, how it authenticates, where it leads
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate alias list
  lockgate alias list --json | jq -r '.aliases[] | select(.state != \"healthy\") | .name'")]
pub struct List {}

/// Ask an alias's endpoint whether it answers and takes the credential
///
/// An answer releases an alias whose target was down or had asked to wait, and one that takes the credential an alias that was refused:
/// what waited goes on, slowly at first. A test is a request: it is not sent where the alias's rate is used up. Ends with 1 if it was
/// not sent, there is no answer, or the credential is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  lockgate alias test crm")]
pub struct Test {
    /// The alias, as environments/<ENV>.toml names it
    name: String,
}

impl Alias {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        match self {
            Self::List(_) => show(common).await,
            Self::Test(asked) => test(common, &asked.name).await,
        }
    }
}

async fn show(common: &Common) -> Result<(), Failure> {
    let answer = Client::find(common)?.get("/api/v1/aliases").await?;
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    let now = moment::now();
    let aliases = list(&answer["aliases"]);
    let row = |alias: &Value| {
        vec![text(alias, "name"), text(alias, "state"), moment::short(&text(alias, "since"), now), text(alias, "auth"), text(alias, "url")]
    };
    table::print(&["ALIAS", "STATE", "SINCE", "AUTH", "URL"], &aliases.iter().map(row).collect::<Vec<_>>());
    for alias in aliases.iter().filter(|alias| !list(&alias["rate"]).is_empty()) {
        let used: Vec<String> =
            list(&alias["rate"]).iter().map(|rate| format!("{} of {}", text(rate, "used"), text(rate, "limit"))).collect();
        output::line(format_args!("{}: used {}", text(alias, "name"), used.join(", ")));
    }
    for alias in aliases.iter().filter(|alias| !alias["detail"].is_null()) {
        output::line(format_args!("{}: {}", text(alias, "name"), text(alias, "detail")));
    }
    Ok(())
}

async fn test(common: &Common, name: &str) -> Result<(), Failure> {
    let asked = Client::find(common)?.post(&format!("/api/v1/aliases/{}/test", encoded(name)), &json!({})).await;
    let test = asked.map_err(|problem| or_fix(problem, "`lockgate alias list` shows the names"))?;
    let reachable = test["reachable"].as_bool();
    if common.json {
        output::json(&test);
    } else {
        let standing = match (reachable, test["authenticated"].as_bool()) {
            (None, _) => "not asked",
            (Some(false), _) => "no answer",
            (Some(true), Some(true)) => "answers, credential taken",
            (Some(true), Some(false)) => "answers, credential refused",
            (Some(true), None) => "answers; it says nothing about the credential",
        };
        output::line(format_args!("{name}: {standing} ({})", text(&test, "detail")));
    }
    if reachable == Some(true) && test["authenticated"] != false { Ok(()) } else { Err(Failure::No) }
}
