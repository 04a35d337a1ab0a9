//! The two sockets of a host: bound first, served last, and stopped together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::SystemClock;
use crate::config::HostConfig;
use crate::ingress::{Handler, ServeLimits, serve};
use crate::problem::{Code, Problem};

/// Bound, not served yet: what connects waits.
pub struct Listeners {
    ingress: TcpListener,
    admin: TcpListener,
}

/// Served.
#[derive(Debug)]
pub struct Serving {
    stop: CancellationToken,
    tasks: [JoinHandle<()>; 2],
}

impl Listeners {
    /// # Errors
    /// LG-7001 for an address that is taken.
    pub async fn bind(config: &HostConfig) -> Result<Self, Problem> {
        Ok(Self { ingress: bind(config.ingress).await?, admin: bind(config.admin).await? })
    }

    /// Of ingress and admin, with the ports the system gave.
    pub fn addresses(&self) -> Result<(SocketAddr, SocketAddr), Problem> {
        Ok((address(&self.ingress)?, address(&self.admin)?))
    }

    /// Requests under way at the stop have `drain` to be answered.
    pub fn serve(self, ingress: Handler, admin: Handler, drain: Duration, clock: &Arc<SystemClock>) -> Serving {
        let stop = CancellationToken::new();
        let limits = ServeLimits { drain, ..ServeLimits::default() };
        let spawn = |listener, handler| tokio::spawn(serve(listener, handler, limits, clock.clone(), stop.clone()));
        let tasks = [spawn(self.ingress, ingress), spawn(self.admin, admin)];
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

async fn bind(address: SocketAddr) -> Result<TcpListener, Problem> {
    TcpListener::bind(address).await.map_err(|error| {
        Problem::new(Code::PortInUse, format!("cannot listen on {address}: {error}"))
            .fix("stop what listens there, or choose another address in lockgate.toml ([host] ingress, admin) or with --ingress, --admin")
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Problem> {
    listener.local_addr().map_err(|error| Problem::new(Code::Internal, format!("a listener has no address: {error}")))
}
