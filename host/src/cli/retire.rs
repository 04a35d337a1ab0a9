//! `lockgate retire`: an integration takes nothing new, delivers what waits, and is gone.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::progress::Progress;
use super::signals::Signals;
use super::{Common, Failure, output};
use crate::clock::{Clock, SystemClock};
use crate::problem::{Code, Problem};

/// How often `--wait` looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Take nothing new for an integration, deliver what waits, then deactivate it
///
/// Its webhook answers 404, it is not polled, no schedule fires and no channel feeds it. What waits is delivered, however long the
/// target takes; then its release is active no more. Holds over restarts. Open dead letters stay, and can be replayed until it is
/// retired and discarded afterwards, too. Until it is retired, `lockgate resume NAME` takes it back. Remove its file as well: `run --deploy` activates what
/// the workspace has.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate retire orders-to-crm --reason 'the old CRM goes'
  lockgate retire orders-to-crm --wait
  lockgate resume orders-to-crm")]
pub struct RetireCommand {
    /// The integration
    name: String,
    /// Why: whoever looks next wants to know
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
    /// Return when it is retired; Ctrl-C leaves it draining
    #[arg(long)]
    wait: bool,
    /// Although others write to a channel that nobody else reads: what they write goes to nobody
    #[arg(long)]
    anyway: bool,
}

impl RetireCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let client = Client::find(common)?;
        let mut asked = json!({ "anyway": self.anyway });
        if let Some(reason) = &self.reason {
            asked["reason"] = json!(reason);
        }
        let path = format!("/api/v1/integrations/{}/retire", encoded(&self.name));
        let answer = client.post(&path, &asked).await.map_err(|problem| or_fix(problem, "`lockgate status` shows the names"))?;
        if common.json && !self.wait {
            output::json(&answer);
            return Ok(());
        }
        if !common.json {
            self.tell(&answer);
        }
        if self.wait && answer["retirement"]["done-at"].is_null() {
            let mut signals = Signals::new()?;
            tokio::select! {
                done = self.drained(&client, common.json) => done?,
                signal = signals.next() => {
                    output::complaint(&format!("{} goes on draining; how far it is: lockgate status", self.name));
                    return Err(Failure::Interrupted(signal));
                }
            }
        }
        if common.json {
            output::json(&self.entry(&client).await?);
        } else if self.wait {
            output::line(format_args!("integration {} is retired; remove its file from the workspace, too", self.name));
        }
        Ok(())
    }

    fn tell(&self, answer: &Value) {
        let name = &self.name;
        for note in list(&answer["notes"]).iter().filter_map(Value::as_str) {
            output::line(format_args!("note: {}", output::on_one_line(note)));
        }
        if !answer["retirement"]["done-at"].is_null() {
            if !self.wait {
                output::line(format_args!("integration {name} is retired: nothing waited; remove its file from the workspace, too"));
            }
            return;
        }
        output::line(format_args!("integration {name} takes nothing new; {} waiting are delivered first", text(answer, "waiting")));
        if !self.wait {
            output::line(format_args!("how far it is: lockgate status; to take it back: lockgate resume {name}"));
        }
    }

    /// Until it is retired.
    async fn drained(&self, client: &Client, quiet: bool) -> Result<(), Problem> {
        let progress = Progress::new(quiet);
        let mut told = Value::Null;
        loop {
            let entry = self.entry(client).await?;
            match entry["state"].as_str() {
                Some("inactive") => return Ok(()),
                Some("retiring") => {}
                _ => {
                    let message = format!("{} was taken back from being retired by somebody else", self.name);
                    return Err(Problem::new(Code::Retired, message).fix("ask who, and retire it again"));
                }
            }
            if entry["waiting"] != told {
                progress.step(&format!("{} waiting in {}", text(&entry, "waiting"), self.name));
                told = entry["waiting"].clone();
            }
            SystemClock::new().sleep(LOOK_EVERY).await;
        }
    }

    /// How it stands.
    async fn entry(&self, client: &Client) -> Result<Value, Problem> {
        let status = client.get("/api/v1/status").await?;
        let found = list(&status["integrations"]).iter().find(|entry| entry["name"] == self.name.as_str());
        Ok(found.cloned().unwrap_or_default())
    }
}
