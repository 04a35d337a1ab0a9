//! [`InProcess`]: the compiler for unit tests, whose own program is no `lockgate` to be started as a child.

use std::sync::Arc;

use super::child::compile;
use super::{Compile, CompileFailure, SetUp, setup};
use crate::plugin::engine::PluginEngine;
use crate::plugin::native_code::NativeCode;

/// Compiles where it is, under no limit.
#[derive(Debug)]
pub struct InProcess(pub Arc<PluginEngine>);

impl Compile for InProcess {
    fn compile(&self, component: &[u8]) -> Result<NativeCode, CompileFailure> {
        compile(self.0.engine(), component).map(NativeCode::of_this_host).map_err(CompileFailure::Refused)
    }

    fn set_up(&self, component: &[u8], config: &str) -> Result<SetUp, CompileFailure> {
        // Tests call it where a runtime is, in which no other can start.
        let done = std::thread::scope(|scope| scope.spawn(|| setup::set_up(component, config)).join());
        done.unwrap_or_else(|_panic| Err("it panicked".to_owned())).map_err(CompileFailure::Config)
    }
}
