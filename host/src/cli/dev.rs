//! `lockgate dev`: the host, which runs what the workspace says as it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::output::list;
use super::progress::Progress;
use super::run::{At, prepare_workspace};
use super::signals::Signals;
use super::switching::tell;
use super::{Common, Failure, output};
use crate::alias::secret::MachineSecrets;
use crate::app::{Host, Start, TakenUp};
use crate::clock::{Clock, SystemClock};
use crate::config::prepare::{MissingLock, Prepared, update};
use crate::config::watch::{Glimpse, glimpse};
use crate::problem::Problems;
use crate::telemetry::events::Events;

/// How often it is looked whether something is another.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// Run the host, and have it run what the workspace says as it changes
///
/// Integrations, the environment, plugin files and plugin sources are watched. What changes is resolved (lockgate.lock is brought up to
/// date), built, checked, linked and switched while messages flow, and what is another is shown. An error leaves the last good releases
/// running. What a change of lockgate.toml says counts at the next start.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate dev                         the workspace in this folder, environment dev
  lockgate dev examples/shop-to-crm
  lockgate dev --env test --ingress 127.0.0.1:0 --admin 127.0.0.1:0")]
pub struct Dev {
    /// The workspace folder [default: that of -C]
    dir: Option<PathBuf>,
    /// The environment: environments/<ENV>.toml
    #[arg(long, value_name = "ENV", default_value = "dev")]
    env: String,
    #[command(flatten)]
    at: At,
}

impl Dev {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let clock = Arc::new(SystemClock::new());
        let events = Events::new(clock.clone());
        self.at.log(&events)?;
        let dir = self.dir.clone().unwrap_or_else(|| common.directory.clone());
        let mut signals = Signals::new()?;
        let mut seen = glimpse(&dir, &self.env);
        let host = loop {
            tokio::select! {
                started = self.start(common, &dir, (&clock, &events)) => match started {
                    Ok(host) => break host,
                    Err(problems) => {
                        output::problems(common.json, &problems);
                        output::complaint("nothing runs yet; waiting for a change");
                    }
                },
                _ = signals.next() => return Ok(()),
            }
            tokio::select! {
                next = changed(&*clock, &dir, &self.env, &seen) => seen = next,
                _ = signals.next() => return Ok(()),
            }
        };
        self.at.tell(common, &host);
        // What differs already has to be asked for: a start takes over nothing where releases have to be approved.
        let mut another = !host.differing.is_empty();
        loop {
            if another {
                // Whoever ends it need not wait for a build; a switch that has begun comes to its end.
                let prepared = tokio::select! {
                    prepared = self.prepared(common, &dir) => prepared,
                    _ = signals.next() => break,
                };
                take_up(common, prepared, &host).await;
            }
            tokio::select! {
                next = changed(&*clock, &dir, &self.env, &seen) => {
                    if next.host != seen.host {
                        output::complaint("lockgate.toml is another: what it says counts at the next start");
                    }
                    seen = next;
                    another = true;
                }
                _ = signals.next() => break,
            }
        }
        tokio::select! {
            () = host.stop() => {}
            // A second signal: everything that was acknowledged is on disk, so ending now loses nothing.
            _ = signals.next() => std::process::exit(0),
        }
        Ok(())
    }

    async fn start(&self, common: &Common, dir: &Path, (clock, events): (&Arc<SystemClock>, &Arc<Events>)) -> Result<Host, Problems> {
        let progress = Progress::new(common.json);
        let mut prepared = self.prepared(common, dir).await?;
        self.at.override_addresses(&mut prepared);
        let secrets = Arc::new(MachineSecrets::new(dir));
        // Where releases have to be approved, they are asked for once it runs.
        let deploy = prepared.workspace.host.approval.is_none();
        let start = Start { prepared, secrets, deploy, clock: clock.clone(), events: events.clone() };
        Host::start(start, Arc::new(move |text: &str| progress.step(text))).await
    }

    /// The workspace as it is now. Builds plugins, beside who looks for a signal.
    async fn prepared(&self, common: &Common, dir: &Path) -> Result<Prepared, Problems> {
        let (dir, env, quiet) = (dir.to_owned(), self.env.clone(), common.json);
        let work = move || {
            update(&dir)?;
            prepare_workspace(&dir, &env, MissingLock::Write, &Progress::new(quiet))
        };
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
            let message = format!("the workspace could not be read: {stopped}");
            Err(crate::problem::Problem::new(crate::problem::Code::Internal, message).into())
        })
    }
}

/// Has the host run what the workspace says by now, and says what became of it.
async fn take_up(common: &Common, prepared: Result<Prepared, Problems>, host: &Host) {
    let taken_up = match prepared {
        Ok(prepared) => host.take_up(&prepared).await,
        Err(problems) => Err(problems),
    };
    match taken_up {
        Ok(taken_up) => show(common, &taken_up),
        Err(problems) => {
            output::problems(common.json, &problems);
            output::complaint("what ran before runs on; waiting for a change");
        }
    }
}

fn show(common: &Common, TakenUp { environment, releases }: &TakenUp) {
    if common.json {
        return output::json(&serde_json::json!({ "environment": environment, "integrations": releases["integrations"] }));
    }
    for change in environment {
        let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        output::line(format_args!("environment: {}: {} → {}", change.key, side(&change.before), side(&change.after)));
    }
    let changed: Vec<_> = list(&releases["integrations"]).iter().filter(|one| one["state"] != "unchanged").cloned().collect();
    let changed = serde_json::json!({ "integrations": changed });
    tell(&changed);
    if environment.is_empty() && list(&changed["integrations"]).is_empty() {
        output::line("nothing that runs is another");
    }
}

/// The workspace once it is another than `seen`, and has been the same for two looks: somebody may be in the middle of saving.
async fn changed(clock: &dyn Clock, dir: &Path, env: &str, seen: &Glimpse) -> Glimpse {
    loop {
        clock.sleep(LOOK_EVERY).await;
        let next = glimpse(dir, env);
        if next == *seen {
            continue;
        }
        clock.sleep(LOOK_EVERY).await;
        let settled = glimpse(dir, env);
        if settled == next {
            return settled;
        }
    }
}
