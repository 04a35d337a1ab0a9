//! [`link`]: the engine and what a world imports and exports, as one component that has not started yet.

use anyhow::Result;
use wit_component::{Linker, StringEncoding};
use wit_parser::Resolve;

use crate::{Engine, Source};

// What the engine imports beside WASI 0.2 is given to it here, as the linker's adapters, so that no component asks a host for it.

/// WASI 0.1 is nowhere, so that there is nothing to reset of it: `(module (func (export "reset_adapter_state")))`.
const NO_ADAPTER: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x17\x01\x13reset_adapter_state\0\0\x0a\x04\x01\x02\0\x0b";
/// A bundle has no modules to load: `(module (func (export "resolve") (param i32 i32 i32 i32 i32) unreachable)
/// (func (export "load") (param i32 i32 i32) unreachable))`.
const NO_LOADER: &[u8] = b"\0asm\x01\0\0\0\x01\x0f\x02\x60\x05\x7f\x7f\x7f\x7f\x7f\0\x60\x03\x7f\x7f\x7f\0\x03\x03\x02\0\x01\
    \x07\x12\x02\x07resolve\0\0\x04load\0\x01\x0a\x09\x02\x03\0\0\x0b\x03\0\0\x0b";

pub fn link(engine: &Engine, source: &Source<'_>) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(source.wit)?;
    let world = resolve.select_world(&[package], Some(source.world))?;
    let (mut glue, _) = wit_dylib::create_with_metadata(&resolve, world, None);
    wit_component::embed_component_metadata(&mut glue, &resolve, world, StringEncoding::UTF8)?;
    let mut linker = Linker::default();
    linker.library("engine.wasm", engine.library(), false)?.library("glue.wasm", &glue, false)?;
    linker.encoder().adapter("wasi_snapshot_preview1", NO_ADAPTER)?;
    linker.encoder().adapter("local:init/module-loader", NO_LOADER)?;
    linker.encode()
}
