//! [`set_up`]: a component's `setup`, run once where nothing differs from run to run, and the component that begins with the memory behind it.

use std::time::Duration;

use lockgate_snapshot::{Error, Limits, Quiet, snapshot};
use wasmtime::component::{Linker, Val};

use super::SetUp;
use crate::plugin::bindings::v0_1_0::{PACKAGE, SETUP, VERSION};
use crate::plugin::component::COMPONENT_BYTES_MAX;

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
        Ok(component) => Ok(kept(component)),
        Err(Error::Said(why)) => Err(why),
        Err(Error::Trapped(why)) => Err(format!("its setup ended with a trap: {why}")),
        Err(error @ Error::Endless(_)) => Err(format!("its setup: {error}")),
        Err(error @ (Error::Unsupported(_) | Error::Broken(_) | Error::Open)) => Ok(SetUp::EachCall(error.to_string())),
    }
}

/// One that has become larger than any component may be is not compiled.
fn kept(component: Vec<u8>) -> SetUp {
    if component.len() <= COMPONENT_BYTES_MAX {
        return SetUp::Kept(component);
    }
    SetUp::EachCall(format!("with it the component has {} bytes; {COMPONENT_BYTES_MAX} are the most", component.len()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_makes_a_component_too_large_is_made_in_each_call() {
        assert_eq!(kept(vec![1]), SetUp::Kept(vec![1]));
        assert!(matches!(kept(vec![0; COMPONENT_BYTES_MAX + 1]), SetUp::EachCall(why) if why.contains("are the most")));
    }
}
