//! Compiling what nobody trusts: [`Compile`], and [`CompileChild`], which does it in a process of its own under limits.
//!
//! Cranelift is given the component's every function, and a few kilobytes of Wasm can be made to cost it minutes and gigabytes. In a child
//! that is a child that ends. It does not make the code any more trustworthy: what a child gives back is run (see `native_code`), so
//! that what stands between a component and this process is that the compiler is right.
//!
//! `child` is the other side. Depends on the engine's configuration and on `problem`.

pub mod child;
#[cfg(test)]
pub mod in_process;
mod setup;
mod turns;

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::Signal;

use super::native_code::NativeCode;
use crate::config::quantity;
use crate::printable::on_one_line;
use crate::problem::{Code, Problem};
use turns::Turns;

/// The hidden command that is the child.
pub const COMMAND: &str = "compile-plugin";
/// Ended with this status it has said what is wrong with the component.
pub const DOES_NOT_COMPILE: u8 = 10;
/// Its `setup` does not take the configuration, and says why.
pub const DOES_NOT_TAKE_CONFIG: u8 = 11;
/// Its memory cannot be kept, and why.
pub const CANNOT_BE_KEPT: u8 = 12;
/// Threads that one child compiles with: there may be a child on every core.
const THREADS_MAX: usize = 4;
/// Of what a child says of its end.
const SAID_BYTES_MAX: u64 = 4096;
/// Compiled code is no larger; the limit on the child's memory is usually less.
const CODE_BYTES_MAX: u64 = 4 << 30;

/// What the compilation of one component may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompileLimits {
    pub memory_bytes: u64,
    /// Of all its threads together. Whole seconds; parts of one count as one.
    pub cpu: Duration,
    pub wall: Duration,
}

impl Default for CompileLimits {
    /// Several times what an interpreter of JavaScript takes, which is megabytes of Wasm.
    fn default() -> Self {
        Self { memory_bytes: 2 << 30, cpu: Duration::from_secs(120), wall: Duration::from_secs(300) }
    }
}

/// Who compiles: a child process in a host; this process in unit tests, which have no binary to start.
pub trait Compile: Send + Sync {
    /// Compiles a component for the engine of a host. Blocks.
    ///
    /// # Errors
    /// Why there is no code.
    fn compile(&self, component: &[u8]) -> Result<NativeCode, CompileFailure>;

    /// Calls the `setup` of a component with `config`. Blocks.
    ///
    /// # Errors
    /// Why there is nothing to call it on, that it takes `config` for wrong, or does not end.
    fn set_up(&self, component: &[u8], config: &str) -> Result<SetUp, CompileFailure>;
}

/// What came of a component's `setup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetUp {
    /// The component that begins with the memory behind it.
    Kept(Vec<u8>),
    /// That memory cannot be kept, and why: it is called at the start of each call.
    EachCall(String),
}

/// Why a component was not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileFailure {
    #[error("is not valid: {0}")]
    Refused(String),
    #[error("does not take its config: {0}")]
    Config(String),
    #[error("takes more than {} of memory to check or compile, the most it may", quantity::shown_size(*.0))]
    Memory(u64),
    #[error("takes more than {} of CPU time to check or compile, the most it may", quantity::shown(*.0))]
    Cpu(Duration),
    #[error("took more than {} to check or compile, the most it may", quantity::shown(*.0))]
    Wall(Duration),
    #[error("ended its compiler ({0})")]
    Crashed(String),
    #[error("could not be compiled: {0}")]
    NoChild(String),
}

impl CompileFailure {
    /// What a person is told; `name` is what they call the component: `plugin salesforce@1.0.0`, or a file's path.
    pub fn problem(self, name: &str) -> Problem {
        let code = match &self {
            Self::Refused(_) => Code::CompileFailed,
            Self::Config(_) => Code::BadPluginConfig,
            Self::Memory(_) | Self::Cpu(_) | Self::Wall(_) | Self::Crashed(_) => Code::CompileLimit,
            Self::NoChild(_) => Code::Internal,
        };
        let setting = |key: &str| {
            format!(
                "do not use this plugin unless you know why it is so costly; if you do, raise `compile.{key}` under [plugins] in lockgate.toml"
            )
        };
        let fix = match &self {
            Self::Refused(_) => {
                "build it again with a current toolchain; threads, 64-bit memory and component async are not supported".to_owned()
            }
            Self::Config(_) => "change `config` where the plugin is used, or the values it is filled in with".to_owned(),
            Self::Memory(_) => setting("memory"),
            Self::Cpu(_) => setting("cpu"),
            Self::Wall(_) => setting("wall"),
            Self::Crashed(_) => "do not use this plugin; if it is your own, build it again with a current toolchain".to_owned(),
            Self::NoChild(_) => "look whether the machine is out of memory or processes, and start again".to_owned(),
        };
        Problem::new(code, format!("{name} {self}")).fix(fix)
    }
}

/// Compiles in children of this process, at most one for each core at once. Each is this very program, run as [`COMMAND`].
#[derive(Debug)]
pub struct CompileChild {
    /// None for the one that runs.
    program: Option<PathBuf>,
    limits: CompileLimits,
    turns: Turns,
}

impl CompileChild {
    pub fn new(limits: CompileLimits) -> Self {
        Self { program: None, limits, turns: Turns::new(cores()) }
    }

    /// With the `lockgate` at `program`, for programs that are another one.
    #[must_use]
    pub fn run_by(self, program: PathBuf) -> Self {
        Self { program: Some(program), ..self }
    }

    /// Whether `component` is valid, under the same limits: there are components that take hours to be found out.
    ///
    /// # Errors
    /// What is wrong with it, or that it takes too much.
    pub fn validate(&self, component: &[u8]) -> Result<(), CompileFailure> {
        self.run(&["--validate"], component).map(drop)
    }

    fn command(&self) -> std::io::Result<Command> {
        // The program that runs, not whatever stands at its path by now.
        let program = match &self.program {
            Some(program) => program.clone(),
            None if cfg!(target_os = "linux") => "/proc/self/exe".into(),
            None => std::env::current_exe()?,
        };
        let mut command = Command::new(program);
        command.arg0("lockgate").args([COMMAND, "--memory", &self.limits.memory_bytes.to_string()]);
        command.args(["--cpu", &self.limits.cpu.as_millis().div_ceil(1000).to_string()]);
        // Nothing of this process but three pipes: its files are closed on exec, its environment is not passed on, and no signal of
        // its terminal's goes there.
        command.env_clear().env("RAYON_NUM_THREADS", cores().min(THREADS_MAX).to_string());
        // The allocator would take a gigabyte in one piece, most of which nobody uses, and which the limit would count.
        command.env("MIMALLOC_ARENA_EAGER_COMMIT", "0");
        command.current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    /// What ended the child, if it was not its own will.
    fn judged(&self, status: ExitStatus, said: &Said) -> CompileFailure {
        let limits = self.limits;
        let told = String::from_utf8_lossy(&said.stderr);
        match (status.code(), status.signal().and_then(Signal::from_named_raw)) {
            (Some(code), _) if code == i32::from(DOES_NOT_COMPILE) => CompileFailure::Refused(said.on_one_line()),
            (Some(code), _) if code == i32::from(DOES_NOT_TAKE_CONFIG) => CompileFailure::Config(said.on_one_line()),
            (_, Some(Signal::XCPU)) => CompileFailure::Cpu(limits.cpu),
            // Nobody else here sends it but the system, to whoever uses up its memory.
            (_, Some(Signal::KILL)) => CompileFailure::Memory(limits.memory_bytes),
            _ if told.contains("memory allocation of") => CompileFailure::Memory(limits.memory_bytes),
            _ => {
                let first = told.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                CompileFailure::Crashed(on_one_line(&format!("{status}: {first}")))
            }
        }
    }
}

/// Everything a child said.
struct Said {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Said {
    fn on_one_line(&self) -> String {
        on_one_line(String::from_utf8_lossy(&self.stdout).trim())
    }
}

impl Compile for CompileChild {
    fn compile(&self, component: &[u8]) -> Result<NativeCode, CompileFailure> {
        self.run(&[], component).map(NativeCode::of_this_host)
    }

    fn set_up(&self, component: &[u8], config: &str) -> Result<SetUp, CompileFailure> {
        let (said, status) = self.ended(&["--set-up", &config.len().to_string()], &[config.as_bytes(), component])?;
        match status.code() {
            Some(0) => Ok(SetUp::Kept(said.stdout)),
            Some(code) if code == i32::from(CANNOT_BE_KEPT) => Ok(SetUp::EachCall(said.on_one_line())),
            _ => Err(self.judged(status, &said)),
        }
    }
}

impl CompileChild {
    /// A child with these arguments and this component. What it says.
    fn run(&self, arguments: &[&str], component: &[u8]) -> Result<Vec<u8>, CompileFailure> {
        let (said, status) = self.ended(arguments, &[component])?;
        if status.success() { Ok(said.stdout) } else { Err(self.judged(status, &said)) }
    }

    /// The same with one thing behind the other on its standard input; what it says, and how it ends.
    fn ended(&self, arguments: &[&str], input: &[&[u8]]) -> Result<(Said, ExitStatus), CompileFailure> {
        let _turn = self.turns.take();
        let no_child = |why: std::io::Error| CompileFailure::NoChild(why.to_string());
        let child = self.command().and_then(|mut command| command.args(arguments).spawn()).map_err(no_child)?;
        let mut child = Guarded(child);
        std::thread::scope(|scope| {
            let (done, waits) = sync_channel(1);
            let pipes = (child.0.stdin.take(), child.0.stdout.take(), child.0.stderr.take());
            scope.spawn(move || done.send(converse(pipes, input)));
            match waits.recv_timeout(self.limits.wall) {
                Ok(said) => Ok((said.map_err(no_child)?, child.0.wait().map_err(no_child)?)),
                // Its end is the end of its pipes, and so of the thread that reads them.
                Err(why) => {
                    drop(child);
                    Err(match why {
                        RecvTimeoutError::Timeout => CompileFailure::Wall(self.limits.wall),
                        RecvTimeoutError::Disconnected => CompileFailure::NoChild("its pipes could not be read".to_owned()),
                    })
                }
            }
        })
    }
}

type Pipes = (Option<std::process::ChildStdin>, Option<std::process::ChildStdout>, Option<std::process::ChildStderr>);

/// Gives the child its input and reads what it says. It reads all before it says anything, and of its errors it says little.
fn converse((stdin, stdout, stderr): Pipes, input: &[&[u8]]) -> std::io::Result<Said> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else { return Err(std::io::Error::other("no pipes")) };
    // A child that has ended says why by how it ended.
    drop(input.iter().try_for_each(|part| stdin.write_all(part)));
    drop(stdin);
    let mut said = Said { stdout: Vec::new(), stderr: Vec::new() };
    stdout.take(CODE_BYTES_MAX).read_to_end(&mut said.stdout)?;
    stderr.take(SAID_BYTES_MAX).read_to_end(&mut said.stderr)?;
    Ok(said)
}

/// A child that does not outlive who waits for it.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: i32, stdout: &str, stderr: &str) -> CompileFailure {
        let child = CompileChild::new(CompileLimits { memory_bytes: 64 << 20, ..CompileLimits::default() });
        child.judged(ExitStatus::from_raw(status), &Said { stdout: stdout.into(), stderr: stderr.into() })
    }

    #[test]
    fn the_end_of_a_child_says_which_limit_it_was() {
        const ABORTED: i32 = 6;
        assert_eq!(judged(24, "", ""), CompileFailure::Cpu(Duration::from_secs(120)));
        assert_eq!(judged(9, "", ""), CompileFailure::Memory(64 << 20));
        assert_eq!(judged(ABORTED, "", "memory allocation of 99 bytes failed\n"), CompileFailure::Memory(64 << 20));
        assert_eq!(judged(i32::from(DOES_NOT_COMPILE) << 8, "bad magic\n", ""), CompileFailure::Refused("bad magic".to_owned()));
        let crashed = judged(ABORTED, "", "\nthread 'main' has overflowed its stack\x1b[2J\nfatal");
        assert!(
            matches!(&crashed, CompileFailure::Crashed(how) if how.contains("overflowed its stack") && !how.contains('\x1b')),
            "{crashed:?}"
        );
    }

    #[test]
    fn a_failure_names_the_limit_and_the_setting() {
        let problem = CompileFailure::Memory(3 << 19).problem("plugin bomb@1.0.0");
        assert_eq!(problem.message, "plugin bomb@1.0.0 takes more than 1536KiB of memory to check or compile, the most it may");
        assert!(problem.fix.unwrap().contains("`compile.memory` under [plugins]"));
        assert_eq!((problem.code, CompileFailure::Refused(String::new()).problem("x").code), (Code::CompileLimit, Code::CompileFailed));
    }
}
