//! `lockgate bench`: the performance table, and the floor that it is measured against.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Common, Failure, output};
use crate::bench::{self, EXAMPLE, Plan};
use crate::problem::{Code, Problem};

/// Measure this machine: the performance table, with ratios
#[derive(Debug, Args)]
pub struct Bench {
    /// How long each measurement loads, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
    /// How many rounds of each
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

impl Bench {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let example = common.directory.join(EXAMPLE);
        let folder = tempfile::Builder::new()
            .prefix("lockgate-bench-")
            .tempdir()
            .map_err(|error| Problem::new(Code::DataFolderUnwritable, format!("no temporary folder: {error}")))?;
        let plan = Plan { lasts: Duration::from_secs(self.seconds), rounds: self.rounds, warm_up: Duration::from_secs(2) };
        let at = folder.path().to_owned();
        let measured = tokio::task::spawn_blocking(move || bench::run(&plan, &example, &at, &output::complaint)).await;
        let rows = measured.map_err(|error| Problem::new(Code::Internal, error.to_string()))??;
        output::json(&rows);
        Ok(())
    }
}

/// The floor, as a process of its own. Ends with its standard input.
#[derive(Debug, Args)]
pub struct BenchFloor {
    #[arg(long)]
    data: PathBuf,
    /// The file that is told where it listens
    #[arg(long)]
    address_file: PathBuf,
    #[arg(long)]
    target: SocketAddr,
    #[arg(long)]
    concurrency: usize,
}

impl BenchFloor {
    pub async fn run(self) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Problem::new(Code::Internal, format!("the floor: {error}"));
        let secret = std::env::var(bench::SECRET_VARIABLE).map_err(|error| failed(&error))?;
        let listen = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
        let options = lockgate_floor::Options { data: self.data, listen, target: self.target, secret, concurrency: self.concurrency };
        let floor = lockgate_floor::start(options).await.map_err(|error| failed(&error))?;
        let partial = self.address_file.with_extension("partial");
        let written = std::fs::write(&partial, floor.ingress.to_string()).and_then(|()| std::fs::rename(&partial, &self.address_file));
        written.map_err(|error| failed(&error))?;
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        // However it ends, whoever measured is gone.
        drop(ended.await);
        Ok(())
    }
}
