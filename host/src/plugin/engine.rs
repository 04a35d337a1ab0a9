//! [`PluginEngine`]: the one wasmtime `Engine` of a host, and the thread that ticks its epochs.
//!
//! Owns every setting that decides what code a plugin may hold and what it costs to instantiate one. Depends on nothing
//! but [`Limits`].

use std::sync::mpsc;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

use super::limits::{CALLS_BESIDE, Limits};
use crate::problem::{Code, Problem};

/// How often running guests are looked at.
pub const TICK: Duration = Duration::from_millis(10);
/// Stack of the guest's own frames; the rest of the fiber is for host calls made from it.
const WASM_STACK_BYTES: usize = 512 * 1024;
const FIBER_STACK_BYTES: usize = 2 * 1024 * 1024;
/// Memory of a slot that stays resident between two calls and is wiped by `memset`: what a small guest touches.
const MEMORY_KEPT_BYTES: usize = 256 * 1024;
const TABLE_KEPT_BYTES: usize = 16 * 1024;
/// The most elements one table may have.
const TABLE_ELEMENTS_MAX: usize = 20_000;

/// How instances get their memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Slots reserved at the start: the fast way.
    Pooled,
    /// Memory mapped for every instance, where the address space is too small for slots.
    OnDemand,
}

/// The engine and its ticking thread, which ends when this is dropped.
pub struct PluginEngine {
    engine: Engine,
    allocation: Allocation,
    /// Held for its drop: the ticker waits on the other end.
    _ticker: mpsc::Sender<()>,
}

impl std::fmt::Debug for PluginEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginEngine").field("allocation", &self.allocation).finish_non_exhaustive()
    }
}

impl PluginEngine {
    /// An engine whose pool holds the calls that `limits` let run at once; without a pool where it does not fit.
    ///
    /// # Errors
    /// LG-7999 if this machine can run no Wasm at all.
    pub fn new(limits: &Limits) -> Result<Self, Problem> {
        let pooled = Engine::new(&config(Allocation::Pooled, limits));
        let (engine, allocation) = match pooled {
            Ok(engine) => (engine, Allocation::Pooled),
            Err(why) => {
                tracing::warn!(%why, "no pool of instances: the address space does not allow it; calls will be slower");
                (Engine::new(&config(Allocation::OnDemand, limits)).map_err(unusable)?, Allocation::OnDemand)
            }
        };
        let ticker = start_ticker(&engine)?;
        Ok(Self { engine, allocation, _ticker: ticker })
    }

    /// The engine itself.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How instances get their memory.
    pub fn allocation(&self) -> Allocation {
        self.allocation
    }
}

/// An engine that only compiles: it reserves no address space for instances and ticks for nobody.
pub fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&config(Allocation::OnDemand, &Limits::default()))
}

/// The same code for every host of one version and machine: allocation is no part of what is compiled.
fn config(allocation: Allocation, limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(false)
        .wasm_memory64(false)
        // A call can be repeated bit for bit.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .memory_init_cow(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        // Names of functions are enough for people; reading a plugin's DWARF at a trap is work a plugin could make expensive.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    if allocation == Allocation::Pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    }
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let calls = limits.calls_at_once.saturating_add(CALLS_BESIDE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(limits.core_instances))
        .total_memories(calls.saturating_mul(limits.memories))
        .total_tables(calls.saturating_mul(limits.tables))
        .total_stacks(calls)
        .max_core_instances_per_component(limits.core_instances)
        .max_memories_per_component(limits.memories)
        .max_tables_per_component(limits.tables)
        .max_memory_size(limits.memory_bytes)
        .table_elements(limits.table_elements.min(TABLE_ELEMENTS_MAX))
        .linear_memory_keep_resident(MEMORY_KEPT_BYTES)
        .table_keep_resident(TABLE_KEPT_BYTES)
        // Linux 6.7 and later: only the pages a call touched are wiped.
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Ticks until the sender is dropped.
fn start_ticker(engine: &Engine) -> Result<mpsc::Sender<()>, Problem> {
    let (alive, ended) = mpsc::channel();
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch-ticker".to_owned())
        .spawn(move || {
            while ended.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let Some(engine) = engine.upgrade() else { return };
                engine.increment_epoch();
            }
        })
        .map_err(|why| Problem::new(Code::Internal, format!("no thread for the plugins' clock: {why}")))?;
    Ok(alive)
}

fn unusable(why: wasmtime::Error) -> Problem {
    Problem::new(Code::Internal, format!("the Wasm engine does not start: {why}")).fix("run on 64-bit Linux or macOS, x86-64 or ARM")
}
