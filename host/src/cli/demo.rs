//! `lockgate demo`: the main job, from nothing.

use std::sync::Arc;

use clap::Args;
use serde_json::json;

use super::example::project;
use super::progress::Progress;
use super::run::prepare_workspace;
use super::signals::Signals;
use super::{Common, Failure, output};
use crate::config::prepare::MissingLock;
use crate::demo::{Story, World, tell};
use crate::telemetry::logging;

/// Where the example is in the project's folder.
const EXAMPLE: &str = "examples/shop-to-crm";

/// See the main job happen, from nothing: examples/shop-to-crm with a scripted CRM beside it
///
/// Posts real-shaped, signed orders, takes the CRM down and up, parks a poison order and replays it after the repair; prints each message's
/// way. Everything happens for real, on loopback, in a folder that is deleted afterwards. What is promised and not seen ends it with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate demo            then look around; Ctrl-C ends it
  lockgate demo --exit     end with 0 after the report, with 1 if a promise was not seen
  lockgate demo --exit --json | jq '.report.messages[] | [.name, .way[].outcome]'

The log is silent unless something is wrong; LOCKGATE_LOG=info shows it.")]
pub struct Demo {
    /// End after the report instead of leaving the host running
    #[arg(long)]
    exit: bool,
}

impl Demo {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        logging::init_quiet()?;
        let example = project(&common.directory, EXAMPLE, "demo")?.join(EXAMPLE);
        let progress = Progress::new(common.json);
        let prepared = prepare_workspace(&example, "dev", MissingLock::Ignore, &progress)?;
        let mut signals = Signals::new()?;
        let step = Arc::new(move |text: &str| progress.step(text));
        let mut world = tokio::select! {
            world = World::start(prepared, step) => world?,
            signal = signals.next() => return Err(Failure::Interrupted(signal)),
        };
        if !common.json {
            output::line("Lockgate demo: web shop → canonical orders → CRM and audit, from examples/shop-to-crm");
        }
        let quiet = common.json;
        let say = move |text: &str| {
            if !quiet {
                output::line(text);
            }
        };
        let story = Story { example: &example, say: &say };
        let told = tokio::select! {
            told = tell(&story, &mut world) => told.map_err(Failure::from),
            signal = signals.next() => Err(Failure::Interrupted(signal)),
        };
        if let (Ok(report), true) = (&told, common.json) {
            output::json(&json!({ "demo": "done", "report": report }));
        }
        if told.is_ok() && !self.exit {
            leave_open(common, &world);
            signals.next().await;
        }
        let World { host, data, .. } = world;
        host.stop().await;
        drop(data);
        told.map(drop)
    }
}

fn leave_open(common: &Common, world: &World) {
    if common.json {
        return;
    }
    let token = world.data.path().join("data/admin-token");
    output::line("\nThe host is still running; Ctrl-C ends it. The console, by a link that works once and for a minute:");
    output::line(format_args!("   {}", world.host.console_link()));
    output::line("In another terminal:");
    output::line(format_args!("   export LOCKGATE_HOST=http://{} LOCKGATE_TOKEN=$(cat {})", world.host.admin, token.display()));
    output::line("   lockgate console");
    output::line("   lockgate status");
    output::line("   lockgate messages --track 'order=#1001'");
    output::line("   lockgate message ID");
    output::line(format_args!("   curl http://{}/metrics", world.host.admin));
}
