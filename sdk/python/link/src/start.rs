//! [`start`]: runs what a component runs once, and puts what is then in its memory into it.
//!
//! Clock, chance and files are the same for every run, and hashes of text are not salted: what a set of texts is gone through in is the
//! same in every component.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use component_init_transform::Invoker;
use futures_util::{FutureExt, pin_mut, select_biased};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::sync::oneshot;
use wasmtime::component::{Component, Instance, Linker, ResourceTable};
use wasmtime::{Config, Engine, OptLevel, Store, StoreLimits, StoreLimitsBuilder, Trap};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use crate::bindings::exports::exports::Symbols;
use crate::bindings::{Imports, InitIndices};
use crate::files::{self, Files};
use crate::link::Linked;
use crate::{Error, Parts, Source};

/// What a plugin prints while it starts is kept up to this length.
const SAID_BYTES_MAX: usize = 64 * 1024;
/// What runs may never end.
const STARTING_MAX: Duration = Duration::from_secs(60);
/// A call has less.
const MEMORY_BYTES_MAX: usize = 512 << 20;
/// More ticks than there are.
const FOR_EVER: u64 = u64::MAX / 2;
/// When a component starts: 2026-01-01T00:00:00Z. A module that asks for the time at its top learns of no other.
const NOW: Duration = Duration::from_secs(1_767_225_600);
/// The version of WASI that wasmtime's linker has; others of 0.2 are found by it.
const WASI_VERSION: &str = "0.2.12";

pub fn start(parts: &Parts, source: &Source<'_>, linked: &Linked) -> Result<Vec<u8>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(|why| Error::Link(why.into()))?;
    let (output, error) = (MemoryOutputPipe::new(SAID_BYTES_MAX), MemoryOutputPipe::new(SAID_BYTES_MAX));
    let state = State {
        wasi: WasiCtxBuilder::new()
            .stdout(output.clone())
            .stderr(error.clone())
            .env("PYTHONHOME", "/python")
            .env("PYTHONPATH", "/python:/world:/0")
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONUNBUFFERED", "1")
            .secure_random(ChaCha20Rng::from_seed([0; 32]))
            .insecure_random(ChaCha20Rng::from_seed([1; 32]))
            .insecure_random_seed(0)
            .wall_clock(Still)
            .monotonic_clock(Still)
            .build(),
        table: ResourceTable::new(),
        limits: StoreLimitsBuilder::new().memory_size(MEMORY_BYTES_MAX).build(),
    };
    let mut files = Files::default();
    files.mount("python", &parts.standard_library);
    files.mount("world", &linked.bindings.modules);
    files.mount("0", source.app);
    let engine = engine().map_err(|why| Error::Link(told(why)))?;
    let (main, symbols, imports) = (source.main.to_owned(), linked.bindings.symbols.clone(), linked.bindings.imports.clone());
    let started = runtime.block_on(component_init_transform::initialize(&linked.component, move |instrumented| {
        async move {
            #[expect(clippy::disallowed_methods, reason = "what is compiled is the interpreter; the plugin is text that it reads")]
            let component = Component::new(&engine, instrumented).map_err(told)?;
            let started = in_time(&engine, instantiate(&engine, &component, state, files, imports, &main, &symbols)).await?;
            Ok(Box::new(started) as Box<dyn Invoker>)
        }
        .boxed()
    }));
    started.map_err(|cause| {
        if cause.is::<Late>() {
            return Error::Endless(STARTING_MAX);
        }
        let said = [output, error].map(|pipe| String::from_utf8_lossy(&pipe.contents()).into_owned()).concat();
        Error::Start { said, cause }
    })
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // It runs once: to compile it well takes longer than to run it.
    config.wasm_component_model(true).epoch_interruption(true).cranelift_opt_level(OptLevel::None);
    Engine::new(&config)
}

/// That the time was over.
#[derive(Debug, thiserror::Error)]
#[error("it was not done in time")]
struct Late;

/// What `starting` gives, unless its time is over before: what runs on `engine` is interrupted then, and what waits is left.
async fn in_time(engine: &Engine, starting: impl Future<Output = wasmtime::Result<Started>>) -> Result<Started> {
    let (_running, ended) = mpsc::channel::<()>();
    let (in_time, is_late) = oneshot::channel::<()>();
    let interrupted = engine.clone();
    std::thread::spawn(move || {
        if ended.recv_timeout(STARTING_MAX) == Err(RecvTimeoutError::Timeout) {
            interrupted.increment_epoch();
        }
        // Who waits learns of it by this.
        drop(in_time);
    });
    let (starting, is_late) = (starting.fuse(), is_late.fuse());
    pin_mut!(starting, is_late);
    select_biased! {
        _ = is_late => Err(Late.into()),
        started = starting => started.map_err(|error| match error.downcast_ref() {
            Some(Trap::Interrupt) => Late.into(),
            _ => told(error),
        }),
    }
}

/// Instantiates, and has the interpreter import the main module.
async fn instantiate(
    engine: &Engine,
    component: &Component,
    state: State,
    files: Files,
    imports: Imports,
    main: &str,
    symbols: &Symbols,
) -> wasmtime::Result<Started> {
    let mut linker = Linker::new(engine);
    linker.allow_shadowing(true);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    files::link(&mut linker, files, WASI_VERSION)?;
    for (interface, functions) in imports {
        // Nothing of the host is there yet: a plugin asks in a call.
        let mut instance = linker.instance(&interface)?;
        for function in functions {
            let asked = format!("{interface} {function} is called while the plugin starts, and there is no host yet");
            instance.func_new(&function, move |_, _, _, _| Err(wasmtime::Error::msg(asked.clone())))?;
        }
    }
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_epoch_deadline(1);
    let prepared = linker.instantiate_pre(component)?;
    let instance = prepared.instantiate_async(&mut store).await?;
    let guest = InitIndices::new(&prepared)?.load(&mut store, &instance)?;
    let done = guest.exports().call_init(&mut store, main, symbols, false).await?;
    done.map_err(wasmtime::Error::msg)?;
    // What is read now is the instrumentation's, and short.
    store.set_epoch_deadline(FOR_EVER);
    Ok(Started { store, instance })
}

/// The same error in the linker's own type.
fn told(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
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

struct Started {
    store: Store<State>,
    instance: Instance,
}

impl Started {
    async fn call<R>(&mut self, function: &str) -> Result<R>
    where
        (R,): wasmtime::component::ComponentNamedList + wasmtime::component::Lift + Send + Sync + 'static,
    {
        let function = self.instance.get_typed_func::<(), (R,)>(&mut self.store, function).map_err(told)?;
        Ok(function.call_async(&mut self.store, ()).await.map_err(told)?.0)
    }
}

#[async_trait]
impl Invoker for Started {
    async fn call_s32(&mut self, function: &str) -> Result<i32> {
        self.call(function).await
    }

    async fn call_s64(&mut self, function: &str) -> Result<i64> {
        self.call(function).await
    }

    async fn call_f32(&mut self, function: &str) -> Result<f32> {
        self.call(function).await
    }

    async fn call_f64(&mut self, function: &str) -> Result<f64> {
        self.call(function).await
    }

    async fn call_list_u8(&mut self, function: &str) -> Result<Vec<u8>> {
        self.call(function).await
    }
}
