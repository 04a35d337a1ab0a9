//! `lockgate bench-floor`: the floor as a process of its own. Hidden: `lockgate bench` starts it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::bench::SECRET_VARIABLE;
use crate::problem::{Code, Problem};

/// The floor: what `lockgate bench` measures against. Ends with its standard input
#[derive(Debug, Args)]
pub struct BenchFloor {
    /// Folder of its database
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The file that is told where it listens
    #[arg(long, value_name = "FILE")]
    address_file: PathBuf,
    /// Where invoices go to
    #[arg(long, value_name = "ADDRESS")]
    target: SocketAddr,
    /// Deliveries under way at once
    #[arg(long, value_name = "N")]
    concurrency: usize,
}

impl BenchFloor {
    pub async fn run(self) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Problem::new(Code::BenchFailed, format!("the floor: {error}")).fix("start it with `lockgate bench`")
        };
        let secret = std::env::var(SECRET_VARIABLE).map_err(|error| failed(&error))?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = lockgate_floor::Options { data: self.data, listen, target: self.target, secret, concurrency: self.concurrency };
        let floor = lockgate_floor::start(options).await.map_err(|error| failed(&error))?;
        let partial = self.address_file.with_extension("partial");
        let written = std::fs::write(&partial, floor.ingress.to_string()).and_then(|()| std::fs::rename(&partial, &self.address_file));
        written.map_err(|error| failed(&error))?;
        let end = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        // However it ends, whoever measures is gone.
        drop(end.await);
        Ok(())
    }
}
