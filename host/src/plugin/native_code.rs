//! [`NativeCode`]: what a component was compiled to. The one place that makes something to run of it, and so the one with `unsafe`.
//!
//! Native code does whatever it wants, so that all depends on where it comes from. There are two sources, and both stand behind the
//! same compiler: `compile`, which has just made it, and `cache`, which has checked its seal. Depends on wasmtime only.

use wasmtime::Engine;
use wasmtime::component::Component;

/// Code that this host compiled.
#[derive(Clone)]
pub struct NativeCode(Vec<u8>);

impl std::fmt::Debug for NativeCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NativeCode({} bytes)", self.0.len())
    }
}

impl NativeCode {
    /// For the two that know where `code` comes from: this host's own compiler, or a file under this host's seal.
    pub(super) fn of_this_host(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// What is kept of it on disk.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component, ready to be linked.
    ///
    /// # Errors
    /// That it was compiled by another version or for another configuration.
    #[expect(unsafe_code, reason = "deserialize trusts its bytes; nothing but this host's own compiler makes a NativeCode")]
    pub fn component(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes are what `precompile_component` gave, in this process's own child, over a pipe that nobody else has an
        // end of; or they were, and were sealed with this host's key since. That they fit this engine is checked by wasmtime.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
