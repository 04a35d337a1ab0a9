//! [`set_up`]: a component's `setup`, run once where nothing differs from run to run, and the component that begins with the memory behind it.

use std::time::Duration;

use lockgate_snapshot::{Error, Limits, Quiet, snapshot};
use wasmtime::component::{Linker, Val};

use super::SetUp;
use crate::plugin::bindings::v0_1_0::{PACKAGE, SETUP, VERSION};

const LIMITS: Limits = Limits {
    // A call has less. What the child may use is limited beside that.
    memory_bytes: 256 << 20,
    wall: Duration::from_secs(60),
};
const FUNCTION: &str = "setup";

/// # Errors
/// What is wrong with `config`, as the plugin says it; how its `setup` ended, if it did.
pub fn set_up(component: &[u8], config: &str) -> Result<SetUp, String> {
    let done = snapshot(
        component,
        LIMITS,
        |linker| offer(linker, config),
        async |store, instance| {
            let missing = || wasmtime::Error::msg(format!("there is no {FUNCTION} in {SETUP}"));
            let (_, interface) = instance.get_export(&mut *store, None, SETUP).ok_or_else(missing)?;
            let (_, function) = instance.get_export(&mut *store, Some(&interface), FUNCTION).ok_or_else(missing)?;
            let setup = instance.get_typed_func::<(&str,), (Result<(), String>,)>(&mut *store, function)?;
            let (said,) = setup.call_async(&mut *store, (config,)).await?;
            Ok(said)
        },
    );
    match done {
        Ok(component) => Ok(SetUp::Kept(component)),
        Err(Error::Said(why)) => Err(why),
        Err(Error::Trapped(why)) => Err(format!("its setup ended with a trap: {why}")),
        Err(error @ Error::Endless(_)) => Err(format!("its setup: {error}")),
        Err(error @ (Error::Unsupported(_) | Error::Broken(_) | Error::Open)) => Ok(SetUp::EachCall(error.to_string())),
    }
}

/// What is there of the host: the configuration, and a log that nobody reads.
fn offer(linker: &mut Linker<Quiet>, config: &str) -> wasmtime::Result<()> {
    let config = config.to_owned();
    linker.instance(&format!("{PACKAGE}config{VERSION}"))?.func_new("get", move |_, _, _, results| {
        if let Some(result) = results.first_mut() {
            *result = Val::String(config.clone());
        }
        Ok(())
    })?;
    let mut log = linker.instance(&format!("{PACKAGE}log{VERSION}"))?;
    log.func_new("write", |_, _, _, _| Ok(()))?;
    log.func_new("print", |_, _, _, _| Ok(()))
}
