//! `lockgate alias`: endpoints, and whether they answer and authenticate. Never a secret.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::clock::Timestamp;

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
    lines(list(&answer["aliases"]), now).iter().for_each(output::line);
    Ok(())
}

/// A table, and below it what ails whom.
fn lines(aliases: &[Value], now: Timestamp) -> Vec<String> {
    let row = |alias: &Value| {
        let since = moment::short(&text(alias, "since"), now);
        vec![text(alias, "name"), text(alias, "state"), since, auth(alias), rate(alias), text(alias, "url")]
    };
    let mut lines = table::text(&["ALIAS", "STATE", "SINCE", "AUTH", "RATE USED", "URL"], &aliases.iter().map(row).collect::<Vec<_>>());
    let ailing: Vec<&Value> = aliases.iter().filter(|alias| !alias["detail"].is_null()).collect();
    lines.extend((!ailing.is_empty()).then(String::new));
    lines.extend(ailing.iter().map(|alias| format!("{}: {}", text(alias, "name"), text(alias, "detail"))));
    lines
}

/// `basic`, `verify: shopify`: how it shows the target who asks, and how senders show it who they are.
fn auth(alias: &Value) -> String {
    let verify = alias["verify"].as_str().map(|kind| format!("verify: {}", output::on_one_line(kind)));
    match (alias["auth"].as_str(), verify) {
        (Some("none") | None, Some(verify)) => verify,
        (_, Some(verify)) => format!("{}, {verify}", text(alias, "auth")),
        (_, None) => text(alias, "auth"),
    }
}

/// `3 of 20/s, 117 of 90000/day`
fn rate(alias: &Value) -> String {
    let used: Vec<String> = list(&alias["rate"]).iter().map(|rate| format!("{} of {}", text(rate, "used"), text(rate, "limit"))).collect();
    if used.is_empty() { "-".to_owned() } else { used.join(", ") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_how_each_authenticates_or_verifies_and_what_is_used_of_its_rates() {
        let since = "2023-11-14T22:13:00.000Z";
        let aliases = [
            json!({ "name": "crm", "state": "throttled", "since": since, "auth": "basic", "verify": null, "url": "http://crm",
                "rate": [{ "limit": "20/s", "used": 20 }, { "limit": "90000/day", "used": 117 }], "detail": "its rate is used up" }),
            json!({ "name": "shop", "state": "healthy", "since": since, "auth": "none", "verify": "shopify", "url": null, "rate": [],
                "detail": null }),
        ];
        let told = [
            "ALIAS  STATE      SINCE      AUTH             RATE USED                     URL",
            "crm    throttled  22:13:00Z  basic            20 of 20/s, 117 of 90000/day  http://crm",
            "shop   healthy    22:13:00Z  verify: shopify  -                             -",
            "",
            "crm: its rate is used up",
        ];
        assert_eq!(lines(&aliases, Timestamp(1_700_000_000_000)), told);
        assert_eq!(auth(&json!({ "auth": "bearer", "verify": "hmac" })), "bearer, verify: hmac");
    }
}
