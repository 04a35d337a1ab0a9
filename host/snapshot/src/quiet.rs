//! [`Quiet`]: what a component finds around it while it runs once. The same every time.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use wasmtime::component::ResourceTable;
use wasmtime::{StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// When it is: 2026-01-01T00:00:00Z. Who asks for the time learns of no other.
const NOW: Duration = Duration::from_secs(1_767_225_600);

/// Clocks that stand still, random bytes that are the same ones every time, and no files.
#[derive(Debug)]
pub struct Quiet {
    wasi: Wasi,
    table: ResourceTable,
    pub(crate) limits: StoreLimits,
}

struct Wasi(WasiCtx);

impl std::fmt::Debug for Wasi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wasi")
    }
}

impl Quiet {
    pub(crate) fn new(memory_bytes: usize) -> Self {
        let mut wasi = WasiCtxBuilder::new();
        wasi.wall_clock(Still).monotonic_clock(Still);
        wasi.secure_random(ChaCha20Rng::from_seed([0; 32])).insecure_random(ChaCha20Rng::from_seed([1; 32])).insecure_random_seed(0);
        let limits = StoreLimitsBuilder::new().memory_size(memory_bytes).build();
        Self { wasi: Wasi(wasi.build()), table: ResourceTable::new(), limits }
    }

    /// Whether nothing is open any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.table.is_empty()
    }
}

impl WasiView for Quiet {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi.0, table: &mut self.table }
    }
}

/// A clock that stands still.
struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        NOW
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}
