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
/// How long `--wait` looks again where the host cannot be reached: a restart takes less.
const UNREACHABLE_MAX: Duration = Duration::from_secs(60);

/// Take nothing new for an integration, deliver what waits, then deactivate it
///
/// Its webhook answers 404, it is not polled, no schedule fires and no channel feeds it. What waits is delivered, however long the
/// target takes; then its release is active no more. Holds over restarts. Open dead letters stay, and can be replayed until it is
/// retired and discarded afterwards, too. Until it is retired, `lockgate resume NAME` takes it back. Remove its file as well: `lockgate deploy` activates what
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
    /// Return when it is retired; Ctrl-C leaves it draining, and a host that is restarted is waited for
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
            // The first ends the pause.
            let twice = if answer["paused"].is_null() { "" } else { ", twice" };
            output::line(format_args!("how far it is: lockgate status; to take it back: lockgate resume {name}{twice}"));
        }
    }

    /// Until it is retired.
    async fn drained(&self, client: &Client, quiet: bool) -> Result<(), Problem> {
        let progress = Progress::new(quiet);
        let clock = SystemClock::new();
        let (mut told, mut seen_at) = (Value::Null, clock.now());
        loop {
            let entry = match self.entry(client).await {
                // It goes on draining, whoever looks: the host may be restarting.
                Err(problem) if problem.code == Code::HostUnreachable && clock.now().since(seen_at) < UNREACHABLE_MAX => {
                    progress.detail("the host cannot be reached; looking again");
                    clock.sleep(LOOK_EVERY).await;
                    continue;
                }
                entry => entry?,
            };
            seen_at = clock.now();
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
            clock.sleep(LOOK_EVERY).await;
        }
    }

    /// How it stands.
    async fn entry(&self, client: &Client) -> Result<Value, Problem> {
        let status = client.get("/api/v1/status").await?;
        let found = list(&status["integrations"]).iter().find(|entry| entry["name"] == self.name.as_str());
        Ok(found.cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_host_that_does_not_answer_for_a_moment_is_asked_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Some(format!("http://{}", listener.local_addr().unwrap()));
        let common = Common { directory: ".".into(), json: true, host, token: Some("x".into()) };
        let host = async {
            drop(listener.accept().await.unwrap());
            let (mut asking, _) = listener.accept().await.unwrap();
            let _ = asking.read(&mut [0; 4096]).await.unwrap();
            let body = r#"{"integrations":[{"name":"orders","state":"inactive"}]}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            asking.write_all(answer.as_bytes()).await.unwrap();
        };
        let retire = RetireCommand { name: "orders".into(), reason: None, wait: true, anyway: false };
        let client = Client::find(&common).unwrap();
        let (done, ()) = tokio::join!(retire.drained(&client, true), host);
        done.unwrap();
    }
}
