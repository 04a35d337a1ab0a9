//! [`load`]: has the engine load a bundle, and keeps what is then in its memory.

use std::time::Duration;

use lockgate_snapshot::{Limits, snapshot};

use crate::Error;

const LIMITS: Limits = Limits {
    // A call has less.
    memory_bytes: 256 << 20,
    wall: Duration::from_secs(60),
};
/// What the engine runs first. It would have types for streams and futures, which no plugin's world has.
const SHIM: &str = "const wit = globalThis.wit = {};";

/// Shim, bundle, where modules are looked for, whether cycles are never collected.
type Arguments<'a> = (&'a str, &'a str, Option<&'a str>, bool);
type Loaded = (Result<(), String>,);

pub fn load(linked: &[u8], bundle: &str) -> Result<Vec<u8>, Error> {
    let done = snapshot(
        linked,
        LIMITS,
        |_| Ok(()),
        async |store, instance| {
            let init = instance.get_typed_func::<Arguments<'_>, Loaded>(&mut *store, "init")?;
            let (loaded,) = init.call_async(&mut *store, (SHIM, bundle, None, false)).await?;
            Ok(loaded)
        },
    );
    done.map_err(|error| match error {
        lockgate_snapshot::Error::Said(text) | lockgate_snapshot::Error::Trapped(text) => Error::Load(text),
        lockgate_snapshot::Error::Endless(most) => Error::Endless(most),
        other => Error::Link(anyhow::anyhow!("{other}")),
    })
}
