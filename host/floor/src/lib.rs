//! The floor: what `lockgate bench` measures Lockgate against. A signed order in, five fields mapped, an invoice out, durable in between; written
//! by hand with hyper and SQLite, as simple and as fast as one day's work makes it.
//!
//! It does per message what the host does for `examples/order-to-invoice`: verifies the signature, stores the same rows in the same tables with
//! the same durability (WAL, `synchronous=FULL`, 202 after COMMIT, commits grouped), refuses duplicates, keeps the messages of a customer in
//! order, maps with the same Rust code that the plugin has, sends under an idempotency key, and settles: attempt, outcome, standing, tally.
//!
//! It leaves out all that makes an integration runtime: no sandbox, no retry, no dead letters, no circuit breaker, no rate limit, no
//! time-outs, no limits on headers and bodies, no metrics, no reading of what it wrote, no recovery of what waited when it ended. It keeps in
//! memory what waits, up to [`WAITING_MAX`]. A request that fails ends the program: nothing is measured then.
//!
//! `intake` takes, `delivery` maps and sends, `writer` has the database, `rows` is what it writes; `record` is what travels between them. Depends on nothing of the host.

mod delivery;
mod intake;
mod record;
mod rows;
mod writer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use delivery::invoice;
pub use record::{Order, Settled};
pub use rows::{DATABASE_FILE, Place, Rows};

/// Messages accepted and not settled at most; over it senders get 503.
pub const WAITING_MAX: u64 = 1_000_000;

/// What it is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder of the database; made if need be.
    pub data: PathBuf,
    /// Where orders come in; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where invoices go to.
    pub target: SocketAddr,
    /// What orders are signed with.
    pub secret: String,
    /// Deliveries under way at once.
    pub concurrency: usize,
}

/// What went wrong, for the one who started it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// What intake and the writer count.
#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    settled: AtomicU64,
}

/// A floor that runs until the runtime ends.
#[derive(Debug)]
pub struct Floor {
    /// Where it listens.
    pub ingress: SocketAddr,
}

/// Starts it.
///
/// # Errors
/// A data folder or an address that cannot be used.
pub async fn start(options: Options) -> Result<Floor, Error> {
    let counts = Arc::<Counts>::default();
    let (dealer, queues) = delivery::queues(options.concurrency);
    let writer = writer::start(Rows::create(&options.data)?, dealer, counts.clone())?;
    for queue in queues {
        delivery::spawn(queue, options.target, writer.clone());
    }
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    let ingress = listener.local_addr()?;
    tokio::spawn(intake::serve(listener, intake::Intake::new(&options.secret, writer, counts)?));
    Ok(Floor { ingress })
}

/// Nothing is measured once something has failed.
fn give_up(what: &str, error: &dyn std::fmt::Display) -> ! {
    use std::io::Write;
    drop(writeln!(std::io::stderr(), "the floor gives up: {what}: {error}"));
    std::process::exit(1)
}
