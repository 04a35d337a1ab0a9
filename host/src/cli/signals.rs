//! What a command does when it is told to end.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, output};
use crate::problem::{Code, Problem};

/// SIGINT and SIGTERM.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    pub fn new() -> Result<Self, Problem> {
        let listen = |kind| signal(kind).map_err(|error| Problem::new(Code::Internal, format!("signals cannot be received: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next of either: its number.
    pub async fn next(&mut self) -> u8 {
        let kind = tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        };
        // Numbers of signals are small.
        u8::try_from(kind.as_raw_value()).unwrap_or_default()
    }
}

/// Does `work` on a thread of its own. A signal tells it to stop, and is what comes of it; a second signal does not wait for that.
pub async fn until_a_signal<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> Result<Option<T>, Problem> + Send + 'static,
) -> Result<T, Failure> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let mut working = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || work(&stop)
    });
    let (done, signal) = tokio::select! {
        done = &mut working => (done, 0),
        signal = signals.next() => {
            stop.cancel();
            tokio::select! {
                done = &mut working => (done, signal),
                again = signals.next() => std::process::exit(128 + i32::from(again)),
            }
        }
    };
    let done = done.map_err(|error| Problem::new(Code::Internal, format!("the work panicked: {error}")).fix("report this"))??;
    done.ok_or_else(|| {
        output::complaint("interrupted");
        Failure::Interrupted(signal)
    })
}
