//! `lockgate run`: the host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::progress::Progress;
use super::signals::Signals;
use super::{Common, Failure, output};
use crate::alias::secret::MachineSecrets;
use crate::app::{Host, Start};
use crate::clock::SystemClock;
use crate::config::prepare::{MissingLock, Prepared, prepare};
use crate::crash_point;
use crate::problem::{Problem, Problems};
use crate::telemetry::events::Events;
use crate::telemetry::logging::{self, LogFormat};

/// Run the host on a workspace until Ctrl-C or SIGTERM
///
/// The first start fills the data folder with releases of the workspace's integrations; later ones run what is active
/// there, and say where the workspace differs. A signal stops intake and finishes what is in flight; a second one ends at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate run --env dev                            the workspace in this folder
  lockgate run examples/shop-to-crm --env dev
  lockgate run --env dev --deploy                   where it does not start: activate the workspace's
  lockgate run --env dev --ingress 127.0.0.1:0 --admin 127.0.0.1:0

Secrets are read from the secrets store (`lockgate secret set`; with --data
there, too), else from where environments/<ENV>.toml says: environment
variables or files. LOCKGATE_LOG filters the log on standard error: info (the
default), debug, lockgate::ingress=debug,info.")]
pub struct Run {
    /// The workspace folder [default: that of -C]
    dir: Option<PathBuf>,
    /// The environment: environments/<ENV>.toml
    #[arg(long, value_name = "ENV")]
    env: String,
    /// Activate the workspace's releases where they differ from the active ones
    #[arg(long)]
    deploy: bool,
    #[command(flatten)]
    at: At,
}

/// Where a host that runs in this process listens and keeps its data, and how it logs.
#[derive(Debug, Args)]
pub struct At {
    /// Address for webhooks; port 0 takes a free one [default: that of lockgate.toml, else 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    ingress: Option<SocketAddr>,
    /// Address for the API, health and metrics [default: that of lockgate.toml, else 127.0.0.1:8090]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Data folder [default: that of lockgate.toml, else DIR/data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// How log lines look on standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

impl Run {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        crash_point::arm()?;
        let clock = Arc::new(SystemClock::new());
        let events = Events::new(clock.clone());
        self.at.log(&events)?;
        let dir = self.dir.clone().unwrap_or_else(|| common.directory.clone());
        let progress = Progress::new(common.json);
        let mut prepared = prepare_workspace(&dir, &self.env, MissingLock::Write, &progress)?;
        self.at.override_addresses(&mut prepared);
        let secrets = Arc::new(MachineSecrets::new(&dir));
        let mut signals = Signals::new()?;
        let start = Start { prepared, secrets, deploy: self.deploy, clock, events };
        let show = Arc::new(move |text: &str| progress.step(text));
        let host = tokio::select! {
            host = Host::start(start, show) => host.map_err(|why| self.in_its_folder(why))?,
            _ = signals.next() => return Ok(()),
        };
        self.at.tell(common, &host);
        signals.next().await;
        tokio::select! {
            () = host.stop() => {}
            // A second signal: everything that was acknowledged is on disk, so ending now loses nothing.
            _ = signals.next() => std::process::exit(0),
        }
        Ok(())
    }

    /// What is wrong with secrets is mended in the data folder of this host, which `--data` may have named.
    fn in_its_folder(&self, mut problems: Problems) -> Problems {
        let Some(data) = &self.at.data else { return problems };
        let with_data = format!("lockgate secret --data {} ", data.display());
        for fix in problems.0.iter_mut().filter_map(|problem| problem.fix.as_mut()) {
            *fix = fix.replace("lockgate secret ", &with_data);
        }
        problems
    }
}

impl At {
    /// Begins to log.
    pub fn log(&self, events: &Arc<Events>) -> Result<(), Problem> {
        logging::init(if self.log_format == Format::Json { LogFormat::Json } else { LogFormat::Human }, events)
    }

    /// What the command line says goes before what lockgate.toml says.
    pub fn override_addresses(&self, prepared: &mut Prepared) {
        let host = &mut prepared.workspace.host;
        host.ingress = self.ingress.unwrap_or(host.ingress);
        host.admin = self.admin.unwrap_or(host.admin);
        host.data = self.data.clone().unwrap_or_else(|| host.data.clone());
    }

    /// Says where it listens. The host runs on whether or not anybody reads that.
    pub fn tell(&self, common: &Common, host: &Host) {
        let mut lines = Vec::new();
        if common.json {
            lines.push(output::pretty(&serde_json::json!({
                "ingress": host.ingress_url(),
                "admin": format!("http://{}", host.admin),
                "integrations": host.active.iter().map(|active| &active.integration.name).collect::<Vec<_>>(),
                "differing": host.differing,
            })));
        } else {
            lines.push(format!("webhooks  {}", host.ingress_url()));
            lines.push(format!("admin     http://{}  (lockgate -C {} status)", host.admin, host.dir.display()));
            lines.extend(host.active.iter().map(|active| format!("running   {} (release {})", active.integration.name, active.id.short())));
        }
        if let Err(error) = lines.into_iter().try_for_each(output::try_line) {
            tracing::warn!(%error, "standard output cannot be written");
        }
    }
}

/// Reads, resolves, builds and checks a workspace, telling what it is at.
pub fn prepare_workspace(dir: &Path, environment: &str, missing_lock: MissingLock, progress: &Progress) -> Result<Prepared, Problems> {
    prepare(dir, environment, missing_lock, &progress.of_builds())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::problem::Code;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: Run,
    }

    #[test]
    fn what_mends_a_secret_names_the_data_folder_that_was_named() {
        let missing = || Problem::new(Code::MissingSecret, "none").fix("set CRM, or: lockgate secret set crm.token");
        let fix = |arguments: &[&str]| {
            let line = Line::parse_from([&["run", "--env", "dev"], arguments].concat());
            line.run.in_its_folder(missing().into()).0[0].fix.clone().unwrap()
        };
        assert_eq!(fix(&[]), "set CRM, or: lockgate secret set crm.token");
        assert_eq!(fix(&["--data", "/srv/data"]), "set CRM, or: lockgate secret --data /srv/data set crm.token");
    }
}
