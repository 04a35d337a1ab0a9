//! `lockgate token`: who may ask a host for what.

use bytes::Bytes;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::{Common, Failure, moment, output, table};
use crate::admin::Role;
use crate::clock::Timestamp;
use crate::problem::{Code, Problem};

const LISTED: &str = "`lockgate token list` shows the names";
const EXPIRES_DEFAULT: &str = "90d";

#[derive(Debug, Subcommand)]
pub enum Token {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a named token: it is printed once, and the host keeps only a hash of it
///
/// Who has it asks with --token or LOCKGATE_TOKEN, and `lockgate console` opens a session of the same name and role. Roles: a viewer
/// looks at everything, bodies of messages too; an operator also pauses, resumes, replays, edits, discards, sends, and tests aliases; a deployer
/// also deploys and rolls back, retires, applies environments, sets secrets and takes backups; an approver looks, and approves or rejects releases. Tokens are
/// made and revoked with the token in the host's data folder alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate token create --name ci --role deployer --expires 30d
  lockgate token create --name wallboard --role viewer --expires never
  lockgate token create --name anna --role operator --json | jq -r .token")]
pub struct Create {
    /// What the audit trail calls who has it
    #[arg(long)]
    name: String,
    /// What it allows
    #[arg(long, value_parser = PossibleValuesParser::new(Role::GIVEN.iter().map(|role| role.as_str())))]
    role: String,
    /// After how long it is good for nothing: 1m to 366d, or never
    #[arg(long, value_name = "TIME", default_value = EXPIRES_DEFAULT)]
    expires: String,
}

/// List the named tokens, expired ones too; never what opens anything
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate token list
  lockgate token list --json | jq -r '.tokens[] | select(.expired) | .name'")]
pub struct List {}

/// Revoke a token: it is good for nothing from now on, and what was begun with it ends
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate token revoke ci")]
pub struct Revoke {
    /// The token's name
    name: String,
}

impl Token {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        match self {
            Self::Create(asked) => create(&client, common, &asked).await,
            Self::List(_) => show(&client, common).await,
            Self::Revoke(asked) => revoke(&client, common, &asked.name).await,
        }
    }
}

async fn create(client: &Client, common: &Common, asked: &Create) -> Result<(), Failure> {
    let Create { name, role, expires } = asked;
    let body = json!({ "name": name, "role": role, "expires": expires });
    let answer = client.post("/api/v1/tokens", &body).await.map_err(for_local)?;
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    output::line(text(&answer, "token"));
    output::complaint(&format!("{name} is {role}, {}; this is the only time that the token is shown", until(&answer, Timestamp(0))));
    Ok(())
}

async fn show(client: &Client, common: &Common) -> Result<(), Failure> {
    let answer = client.get("/api/v1/tokens").await?;
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    let now = moment::now();
    let row =
        |token: &Value| vec![text(token, "name"), text(token, "role"), moment::short(&text(token, "created-at"), now), until(token, now)];
    table::print(&["TOKEN", "ROLE", "MADE", "GOOD"], &list(&answer["tokens"]).iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn revoke(client: &Client, common: &Common, name: &str) -> Result<(), Failure> {
    let path = format!("/api/v1/tokens/{}", encoded(name));
    let asked = client.ask(Method::DELETE, &path, "application/json", Bytes::new()).await;
    let answer = asked.map_err(|problem| or_fix(for_local(problem), LISTED))?;
    if common.json {
        output::json(&answer);
    } else {
        output::line(format_args!("{name} is revoked; sessions and streams that were opened with it end"));
    }
    Ok(())
}

/// `for ever`, `until 2026-11-20 23:54Z`, `expired since …`.
fn until(token: &Value, now: Timestamp) -> String {
    let at = moment::short(&text(token, "expires-at"), now);
    match (&token["expires-at"], token["expired"] == true) {
        (Value::Null, _) => "for ever".to_owned(),
        (_, false) => format!("until {at}"),
        (_, true) => format!("expired since {at}"),
    }
}

/// Where a named token asks for what only the data folder's own may.
fn for_local(problem: Problem) -> Problem {
    if problem.code == Code::NotAllowed && problem.fix.is_none() {
        return problem
            .fix("run it on the host's machine with -C its workspace, without LOCKGATE_TOKEN, as a user that can read its data folder");
    }
    problem
}
