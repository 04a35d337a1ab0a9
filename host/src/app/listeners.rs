//! The two sockets of a host: bound first, served last, and stopped together. Webhooks may come in over TLS; the admin listener speaks
//! plain HTTP, so that it belongs on loopback or behind something that does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::alias::secret::{SecretRef, SecretSource};
use crate::clock::{Clock, SystemClock};
use crate::config::{HostConfig, HostTls};
use crate::ingress::{Door, Handler, ServeLimits, Tls, TlsFiles, serve};
use crate::problem::{Code, Problem};

/// Bound, not served yet: what connects waits.
pub struct Listeners {
    ingress: Door,
    admin: TcpListener,
}

/// Served.
#[derive(Debug)]
pub struct Serving {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// # Errors
    /// LG-7001 for an address that is taken, LG-4012 for a certificate that cannot be used.
    pub async fn bind(config: &HostConfig, secrets: &Arc<dyn SecretSource>, clock: &SystemClock) -> Result<Self, Problem> {
        let tls = config.tls.as_ref().map(|tls| certificate(tls, secrets, clock)).transpose()?;
        let admin = bind(config.admin).await?;
        if !config.admin.ip().is_loopback() {
            let address = config.admin;
            tracing::warn!(%address, "the admin listener can be reached from other machines and speaks plain HTTP: tokens go in clear; let it listen on 127.0.0.1 and reach it through a tunnel");
        }
        Ok(Self { ingress: Door { listener: bind(config.ingress).await?, tls }, admin })
    }

    /// `https` where webhooks come in over TLS.
    pub fn ingress_scheme(&self) -> &'static str {
        if self.ingress.tls.is_some() { "https" } else { "http" }
    }

    /// Of ingress and admin, with the ports the system gave.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), Problem> {
        Ok((address(&self.ingress.listener)?, address(&self.admin)?))
    }

    /// Requests under way at the stop have `drain` to be answered.
    pub fn serve(self, ingress: Handler, admin: Handler, drain: Duration, clock: &Arc<SystemClock>) -> Serving {
        let stop = CancellationToken::new();
        let limits = ServeLimits { drain, ..ServeLimits::default() };
        let watch = self.ingress.tls.clone().map(|tls| {
            let (stop, clock) = (stop.clone(), clock.clone());
            tokio::spawn(async move {
                stop.run_until_cancelled(tls.watch(clock)).await;
            })
        });
        let spawn = |door, handler| tokio::spawn(serve(door, handler, limits, clock.clone(), stop.clone()));
        let tasks = [spawn(self.ingress, ingress), spawn(self.admin.into(), admin)].into_iter().chain(watch).collect();
        Serving { stop, tasks }
    }
}

impl Serving {
    /// Takes no connection any more and returns when those there are have ended, at the end of the drain time by force.
    pub async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            if let Err(stopped) = task.await {
                tracing::error!(code = %Code::Internal, %stopped, "a listener's task stopped");
            }
        }
    }
}

fn certificate(tls: &HostTls, secrets: &Arc<dyn SecretSource>, clock: &SystemClock) -> Result<Arc<Tls>, Problem> {
    let key = SecretRef { name: "host.tls.key".to_owned(), place: tls.key.clone() };
    let files = TlsFiles { certificate: tls.certificate.clone(), key };
    Tls::load(files, secrets.clone(), clock.wall()).map(Arc::new)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| {
        Problem::new(Code::PortInUse, format!("cannot listen on {address}: {error}"))
            .fix("stop what listens there, or choose another address in lockgate.toml ([host] ingress, admin) or with --ingress, --admin")
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Problem> {
    listener.local_addr().map_err(|error| Problem::new(Code::Internal, format!("a listener has no address: {error}")))
}
