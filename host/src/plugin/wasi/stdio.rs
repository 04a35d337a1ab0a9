//! The command-line interfaces: no arguments, no environment, nothing to read; lines written go into the log.

use std::sync::Arc;

use bytes::Bytes;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin, terminal_stdout,
};
use wasmtime_wasi::p2::pipe::ClosedInputStream;
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, OutputStream, Pollable, StreamError, StreamResult};

use super::Wasi;
use crate::capability::log::{OpenLine, Output};
use crate::plugin::fault::Stop;
use crate::plugin::state::Shared;

/// What a plugin may write at once.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// A stream whose lines go into the call's log.
struct LogStream {
    shared: Arc<Shared>,
    line: OpenLine,
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.line.end(&self.shared.log, self.shared.speaker());
    }
}

#[async_trait::async_trait]
impl Pollable for LogStream {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for LogStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.shared.meter.host_call().map_err(|stop| StreamError::Trap(stop.into()))?;
        self.line.print(&self.shared.log, self.shared.speaker(), &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.shared.meter.host_call().map_err(|stop| StreamError::Trap(stop.into()))
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl Wasi {
    fn output(&mut self, to: Output) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.shared.meter.host_call()?;
        let stream: DynOutputStream = Box::new(LogStream { shared: self.shared.clone(), line: OpenLine::new(to) });
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Wasi {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Output::Standard)
    }
}

impl stderr::Host for Wasi {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.output(Output::Error)
    }
}

impl stdin::Host for Wasi {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.shared.meter.host_call()?;
        let stream: DynInputStream = Box::new(ClosedInputStream);
        Ok(self.table.push(stream)?)
    }
}

impl environment::Host for Wasi {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        self.shared.meter.host_call()?;
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        self.shared.meter.host_call()?;
        Ok(Vec::new())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.shared.meter.host_call()?;
        Ok(None)
    }
}

impl exit::Host for Wasi {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(Stop::Exited(u8::from(status.is_err())).into())
    }

    fn exit_with_code(&mut self, status_code: u8) -> wasmtime::Result<()> {
        Err(Stop::Exited(status_code).into())
    }
}

impl terminal_input::Host for Wasi {}

impl terminal_input::HostTerminalInput for Wasi {
    fn drop(&mut self, terminal: Resource<terminal_input::TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_output::Host for Wasi {}

impl terminal_output::HostTerminalOutput for Wasi {
    fn drop(&mut self, terminal: Resource<terminal_output::TerminalOutput>) -> wasmtime::Result<()> {
        self.table.delete(terminal)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Wasi {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<terminal_stdin::TerminalInput>>> {
        Ok(None)
    }
}

impl terminal_stdout::Host for Wasi {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<terminal_stdout::TerminalOutput>>> {
        Ok(None)
    }
}

impl terminal_stderr::Host for Wasi {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<terminal_stderr::TerminalOutput>>> {
        Ok(None)
    }
}
