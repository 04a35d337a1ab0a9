//! Runs a component once, where nothing differs from run to run, and gives back a component that begins with what was then in its memory.
//!
//! Clock and chance are the same for every run ([`Quiet`]). There is nothing else: no files, no environment, and of the host only what whoever
//! calls gives. Over `wasmtime-wizer`, which knows how memories and globals are written into a component again.
//!
//! Depends on wasmtime; knows nothing of plugins.

mod quiet;
mod reader;

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Instance, Linker};
use wasmtime::{Config, Engine, OptLevel, Store, Trap};
use wasmtime_wizer::Wizer;

pub use quiet::Quiet;
use reader::Reader;

/// More ticks than there are.
const FOR_EVER: u64 = u64::MAX / 2;

/// What a run may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub memory_bytes: usize,
    /// What runs may never end.
    pub wall: Duration,
}

/// Why there is no other component. `E` is what the run itself says.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// What is in it cannot be written into a component again: why.
    #[error("{0:#}")]
    Unsupported(wasmtime::Error),
    /// It does not start, or lacks what is to be run.
    #[error("{0:#}")]
    Broken(wasmtime::Error),
    /// The run ended with a trap, or an import's error.
    #[error("{0}")]
    Trapped(String),
    #[error("it does not end within {} s", .0.as_secs())]
    Endless(Duration),
    /// Something of the host is still in use when the run is over: no component could begin with that.
    #[error("it keeps something of the host open: a stream, a clock or a file")]
    Open,
    #[error("the run says no")]
    Said(E),
}

/// The component that `component` is after `run`. What it imports beside WASI traps, saying that `there is no host yet`, but for what `link` gives it.
/// Blocks.
///
/// # Errors
/// See [`Error`].
pub fn snapshot<E>(
    component: &[u8],
    limits: Limits,
    link: impl FnOnce(&mut Linker<Quiet>) -> wasmtime::Result<()>,
    run: impl AsyncFnOnce(&mut Store<Quiet>, &Instance) -> wasmtime::Result<Result<(), E>>,
) -> Result<Vec<u8>, Error<E>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(|why| Error::Broken(why.into()))?;
    runtime.block_on(taken(component, limits, link, run))
}

async fn taken<E>(
    component: &[u8],
    limits: Limits,
    link: impl FnOnce(&mut Linker<Quiet>) -> wasmtime::Result<()>,
    run: impl AsyncFnOnce(&mut Store<Quiet>, &Instance) -> wasmtime::Result<Result<(), E>>,
) -> Result<Vec<u8>, Error<E>> {
    let wizer = Wizer::new();
    // It runs all the same where nothing can be kept: what it says of itself counts.
    let (context, instrumented) = match wizer.instrument_component(component) {
        Ok((context, instrumented)) => (Ok(context), instrumented),
        Err(why) => (Err(Error::Unsupported(why)), component.to_vec()),
    };
    let engine = engine().map_err(Error::Broken)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it runs once, here, and its code is dropped; whoever calls does so where that may go wrong"
    )]
    let instrumented = Component::new(&engine, &instrumented).map_err(Error::Unsupported)?;
    let mut linker = without_host(&engine, &instrumented).map_err(Error::Broken)?;
    link(&mut linker).map_err(Error::Broken)?;
    let mut store = Store::new(&engine, Quiet::new(limits.memory_bytes));
    store.limiter(|quiet| &mut quiet.limits);
    store.set_epoch_deadline(1);
    let in_time = interrupt_after(&engine, limits.wall);
    let ended = |error: wasmtime::Error| ended(&error, limits.wall);
    let instance = linker.instantiate_async(&mut store, &instrumented).await.map_err(ended)?;
    run(&mut store, &instance).await.map_err(ended)?.map_err(Error::Said)?;
    drop(in_time);
    let context = context?;
    if !store.data().is_closed() {
        return Err(Error::Open);
    }
    // What is read now is the instrumentation's, and short.
    store.set_epoch_deadline(FOR_EVER);
    let mut reader = Reader::new(&mut store, instance);
    let component = wizer.snapshot_component(&context, &mut reader).await.map_err(Error::Unsupported)?;
    match reader.failed() {
        None => Ok(component),
        Some(error) => Err(Error::Unsupported(error)),
    }
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // It runs once: to compile it well takes longer than to run it. And it may run where no file may be written, not even one in memory.
    config.wasm_component_model(true).epoch_interruption(true).cranelift_opt_level(OptLevel::None).memory_init_cow(false);
    Engine::new(&config)
}

/// Interrupts what runs on `engine` when the time is over and what is given back is still there.
fn interrupt_after(engine: &Engine, most: Duration) -> mpsc::Sender<()> {
    let (running, ended) = mpsc::channel();
    let engine = engine.clone();
    std::thread::spawn(move || {
        if ended.recv_timeout(most) == Err(RecvTimeoutError::Timeout) {
            engine.increment_epoch();
        }
    });
    running
}

fn ended<E>(error: &wasmtime::Error, wall: Duration) -> Error<E> {
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => Error::Endless(wall),
        Some(trap) => Error::Trapped(trap.to_string()),
        None => Error::Trapped(error.root_cause().to_string()),
    }
}

fn without_host(engine: &Engine, component: &Component) -> wasmtime::Result<Linker<Quiet>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        if name.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (function, item) in interface.exports(engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                let asked = format!("{name} {function} is called, and there is no host yet");
                instance.func_new(function, move |_, _, _, _| Err(wasmtime::Error::msg(asked.clone())))?;
            }
        }
    }
    linker.allow_shadowing(true);
    Ok(linker)
}
