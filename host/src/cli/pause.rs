//! `lockgate pause` and `lockgate resume`: a person keeps messages back for a while.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, encoded};
use super::output::{list, text};
use super::{Common, Failure, moment, output};
use crate::problem::{Code, Problem};

/// Send nothing through an integration or an alias for now
///
/// Messages are still taken, and wait. What is under way is finished. A pause holds until `lockgate resume`, over restarts too.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate pause orders-to-crm --reason 'new fields in the CRM, back at 14:00'
  lockgate pause crm --alias --reason 'their maintenance window'
  lockgate resume orders-to-crm")]
pub struct PauseCommand {
    #[command(flatten)]
    which: Which,
    /// Why: whoever looks next wants to know
    #[arg(long, value_name = "WHY")]
    reason: String,
}

/// Let an integration or an alias go on that was paused, slowly at first; take back an integration that is being retired
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate resume orders-to-crm
  lockgate resume crm --alias")]
pub struct ResumeCommand {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// The integration or alias
    name: String,
    /// NAME is an alias
    #[arg(long)]
    alias: bool,
    /// NAME is an integration
    #[arg(long, conflicts_with = "alias")]
    integration: bool,
}

impl PauseCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let kind = self.which.kind(&client).await?;
        let answer = self.which.ask(&client, kind, "pause", &json!({ "reason": self.reason })).await?;
        if common.json {
            output::json(&answer);
            return Ok(());
        }
        let since = moment::long(&text(&answer["paused"], "since"));
        output::line(format_args!("{} {} is paused since {since}; messages wait", kind.word(), self.which.name));
        // A name that an alias and an integration share needs the flag again.
        let flag = if self.which.integration { " --integration" } else { kind.flag() };
        output::line(format_args!("to go on: lockgate resume {}{flag}", self.which.name));
        Ok(())
    }
}

impl ResumeCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let kind = self.which.kind(&client).await?;
        let answer = self.which.ask(&client, kind, "resume", &json!({})).await?;
        if common.json {
            output::json(&answer);
        } else if answer["was-paused"] == true {
            output::line(format_args!("{} {} goes on, slowly at first", kind.word(), self.which.name));
            if !answer["retirement"].is_null() {
                output::line(format_args!("it is still being retired: what waits is delivered; once more to take it back"));
            }
        } else if answer["was-retiring"] == true {
            output::line(format_args!("{} {} is taken back: it takes messages again", kind.word(), self.which.name));
        } else {
            output::line(format_args!("{} {} was not paused", kind.word(), self.which.name));
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Thing {
    Integration,
    Alias,
}

impl Thing {
    fn word(self) -> &'static str {
        match self {
            Self::Integration => "integration",
            Self::Alias => "alias",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Integration => "/api/v1/integrations",
            Self::Alias => "/api/v1/aliases",
        }
    }

    fn flag(self) -> &'static str {
        match self {
            Self::Integration => "",
            Self::Alias => " --alias",
        }
    }
}

impl Which {
    /// What is called so; a name that both have is told apart by a flag.
    async fn kind(&self, client: &Client) -> Result<Thing, Problem> {
        if self.alias || self.integration {
            return Ok(if self.alias { Thing::Alias } else { Thing::Integration });
        }
        let has = |answer: &Value, kind: &str| list(&answer[kind]).iter().any(|entry| text(entry, "name") == self.name);
        let integration = has(&client.get(Thing::Integration.path()).await?, "integrations");
        let alias = has(&client.get(Thing::Alias.path()).await?, "aliases");
        match (integration, alias) {
            (true, true) => Err(Problem::new(Code::WrongUsage, format!("both an integration and an alias are called {}", self.name))
                .fix("say which: --integration or --alias")),
            (false, true) => Ok(Thing::Alias),
            (true, false) => Ok(Thing::Integration),
            (false, false) => {
                let message = format!("no integration and no alias is called {}", self.name);
                Err(Problem::new(Code::NotFound, message).fix("`lockgate status` shows the names"))
            }
        }
    }

    async fn ask(&self, client: &Client, thing: Thing, what: &str, body: &Value) -> Result<Value, Problem> {
        client.post(&format!("{}/{}/{what}", thing.path(), encoded(&self.name)), body).await
    }
}
