//! WASI 0.2 as plugins get it: clocks, random bytes and standard output, all of them repeatable; an empty environment; a file
//! system without a single folder; no sockets.
//!
//! What `wasmtime-wasi` does the same for every host is linked from there; clocks, chance and output are our own, since its
//! own sleep through tokio, ask the machine and cost a call microseconds to set up.

mod clocks;
mod random;
mod stdio;

pub use clocks::VirtualClock;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemCtx, WasiFilesystemCtxView};
use wasmtime_wasi::p2::bindings::{cli, clocks as wasi_clocks, filesystem, io, random as wasi_random};

use super::limits::Limits;
use super::state::{CallState, Shared};
use crate::alias::secret::Secret;
use random::CallRandom;

/// What a call's WASI imports work on.
pub struct Wasi {
    table: ResourceTable,
    shared: Arc<Shared>,
    random: CallRandom,
    files: WasiFilesystemCtx,
}

impl std::fmt::Debug for Wasi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wasi").finish_non_exhaustive()
    }
}

impl Wasi {
    /// Random bytes follow from the host's key and the place of the call.
    pub fn new(shared: Arc<Shared>, host_key: Arc<Secret>, limits: &Limits) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self { table, shared, random: CallRandom::new(host_key), files: WasiFilesystemCtx::default() }
    }
}

/// Says to the linker that our own implementations work on [`Wasi`].
struct Ours;

impl HasData for Ours {
    type Data<'a> = &'a mut Wasi;
}

/// The same for `wasi:io`, which needs the table only.
struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

/// Interfaces of WASI that are linked for every plugin, without their versions.
pub const INTERFACES: &[&str] = &[
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
];

/// Links all of [`INTERFACES`].
pub fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    io::error::add_to_linker::<_, Table>(linker, |state| &mut state.wasi.table)?;
    io::poll::add_to_linker::<_, Table>(linker, |state| &mut state.wasi.table)?;
    io::streams::add_to_linker::<_, Table>(linker, |state| &mut state.wasi.table)?;
    wasi_clocks::wall_clock::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    wasi_clocks::monotonic_clock::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    wasi_random::random::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    wasi_random::insecure::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    wasi_random::insecure_seed::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::environment::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::exit::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::stdin::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::stdout::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::stderr::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::terminal_input::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::terminal_output::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::terminal_stdin::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::terminal_stdout::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    cli::terminal_stderr::add_to_linker::<_, Ours>(linker, |state| &mut state.wasi)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, files)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, files)
}

/// There is no folder in it, so nothing of it can be opened.
fn files(state: &mut CallState) -> WasiFilesystemCtxView<'_> {
    WasiFilesystemCtxView { ctx: &mut state.wasi.files, table: &mut state.wasi.table }
}
