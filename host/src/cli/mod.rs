//! The commands: one file each. They parse, ask and print; they decide nothing.
//!
//! Knows `app` for what runs in this process and `client` for what a running host answers.

mod alias;
mod audit;
mod backup;
mod bench;
mod bench_floor;
mod bench_load;
mod bodies;
mod build;
mod check;
mod client;
mod compile_plugin;
mod console;
mod dead_letters;
mod demo;
mod deploy;
mod dev;
mod edit;
mod editor;
mod env;
mod event_stream;
mod example;
mod inspect;
mod link_plugin;
mod logs;
mod mapping;
mod message;
mod messages;
mod new;
mod output;
mod pause;
mod progress;
mod promote;
mod rehearse;
mod releases;
mod report;
mod retire;
mod run;
mod screen;
mod secret;
mod send;
mod shadow;
mod sign;
mod signals;
mod status;
mod switching;
mod table;
mod test;
#[cfg(test)]
mod tests;
mod token;
mod update;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::moment;
use crate::problem::{Code, Problem, Problems};

/// Moves messages between business systems without losing, duplicating or silently bending one.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  lockgate demo                  see the main job happen, from nothing
  lockgate new workspace DIR     a workspace with an integration that runs as it stands
  lockgate check DIR --env dev   everything that can be known before running
  lockgate run DIR --env dev     run the host
  lockgate dev DIR               the same, and what changes is built and switched
  lockgate deploy                have it run what the workspace says by now
  lockgate status                what waits and why, and what needs a person
  lockgate console               the same and more, in the browser
  lockgate logs -f               what happens, as it happens

Exit status: 0 done, 1 the answer is no or it could not be done, 2 wrong usage,
3 the host cannot be reached, 130 or 143 ended by Ctrl-C or SIGTERM before it
was done (`run`, and what is watched or followed, is done then: 0).
Error codes (LG-…): docs/errors.md";

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Common {
    /// The workspace folder
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true, default_value = ".")]
    pub directory: PathBuf,
    /// Print JSON for scripts instead of text for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Admin address of a running host [default: of the one on the workspace's data folder]
    #[arg(long = "host", value_name = "URL", env = "LOCKGATE_HOST", hide_env_values = true, global = true)]
    pub host: Option<String>,
    /// Token for the host [default: the data folder's own]
    #[arg(long, value_name = "TOKEN", env = "LOCKGATE_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Run(run::Run),
    Dev(dev::Dev),
    Check(check::Check),
    /// Make a workspace or a plugin that works as it stands, to begin with
    #[command(subcommand)]
    New(new::New),
    Build(build::Build),
    Inspect(inspect::Inspect),
    Sign(sign::Sign),
    Test(test::Test),
    /// What of a message becomes what: observe it, of a plugin whose source nobody has
    #[command(subcommand)]
    Mapping(mapping::Mapping),
    Update(update::Update),
    Send(send::Send),
    Messages(messages::Messages),
    Message(message::Message),
    /// List, show, edit, replay or discard what could not be delivered
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    Rehearse(rehearse::Rehearse),
    Status(status::Status),
    Logs(logs::Logs),
    /// List or test aliases: endpoints, and whether they answer and authenticate
    #[command(subcommand)]
    Alias(alias::Alias),
    /// Set, list or forget secrets that are kept sealed in the data folder
    Secret(secret::SecretCommand),
    /// Put a changed environment file into the running host
    #[command(subcommand)]
    Env(env::Env),
    Deploy(deploy::Deploy),
    Releases(releases::ReleasesCommand),
    Rollback(releases::Rollback),
    /// End what is tried on a share of the keys: make it the active release, or give it up
    #[command(subcommand)]
    Canary(releases::CanaryCommand),
    /// What a release that runs beside the active one would make otherwise; end it: make it the active one, or give it up
    #[command(subcommand)]
    Shadow(shadow::ShadowCommand),
    Approve(releases::Approve),
    Reject(releases::Reject),
    Promote(promote::Promote),
    Pause(pause::PauseCommand),
    Resume(pause::ResumeCommand),
    Retire(retire::RetireCommand),
    /// Make, list or revoke named tokens: who may ask a host for what
    #[command(subcommand)]
    Token(token::Token),
    Audit(audit::Audit),
    Backup(backup::BackupCommand),
    Restore(backup::RestoreCommand),
    Console(console::Console),
    Bench(bench::Bench),
    #[command(hide = true)]
    CompilePlugin(compile_plugin::CompilePlugin),
    #[command(hide = true)]
    LinkPlugin(link_plugin::LinkPlugin),
    #[command(hide = true)]
    BenchFloor(bench_floor::BenchFloor),
}

/// Why a command did not end with 0.
#[derive(Debug)]
pub enum Failure {
    /// The answer is no: what was asked for was printed, and it is not good.
    No,
    /// It could not be done.
    Problems(Problems),
    /// It was told to end, by the signal of this number, before it was done.
    Interrupted(u8),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(problem.into())
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

/// Runs the command line and says how the process ends.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    // Before there is a runtime: its limits come first, and it needs none.
    if let Command::CompilePlugin(child) = &cli.command {
        return child.run();
    }
    if let Command::LinkPlugin(child) = &cli.command {
        return child.run();
    }
    let common = cli.common.clone();
    // Every scenario has a runtime of its own, in a time of its own.
    let cli = match cli.command {
        Command::Test(test) => return ended(&common, test.run(&common)),
        Command::Mapping(mapping) => return ended(&common, mapping.run(&common)),
        command => Cli { common: common.clone(), command },
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&common, &Problem::new(Code::Internal, format!("no runtime: {error}")).into()),
    };
    let done = runtime.block_on(cli.run());
    runtime.shutdown_background();
    ended(&common, done)
}

fn ended(common: &Common, done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::No) => ExitCode::from(1),
        // What a shell says of a command that a signal ended.
        Err(Failure::Interrupted(signal)) => ExitCode::from(128_u8.saturating_add(signal)),
        Err(Failure::Problems(problems)) => fail(common, &problems),
    }
}

/// What the arguments were parsed into is not there to say whether a script asks, so the arguments themselves are.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let asked_for_json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() || !asked_for_json {
        // Where it cannot be written there is nobody to tell.
        drop(error.print());
        return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
    }
    let told = error.to_string();
    let message = told.trim().trim_start_matches("error: ").split("\n\n").next().unwrap_or_default();
    let problem = Problem::new(Code::WrongUsage, message).fix("see `lockgate --help`, or --help of the command");
    output::problems(true, &problem.into());
    ExitCode::from(2)
}

fn fail(common: &Common, problems: &Problems) -> ExitCode {
    output::problems(common.json, problems);
    let is = |code: Code| problems.0.iter().any(|problem| problem.code == code);
    ExitCode::from(if is(Code::HostUnreachable) {
        3
    } else if is(Code::WrongUsage) || is(Code::BadRequest) {
        // The host found an argument wrong that was passed on to it.
        2
    } else {
        1
    })
}

impl Cli {
    async fn run(self) -> Result<(), Failure> {
        let common = self.common;
        match self.command {
            Command::Demo(demo) => demo.run(&common).await,
            Command::Run(run) => run.run(&common).await,
            Command::Dev(dev) => dev.run(&common).await,
            Command::Check(check) => check.run(&common),
            Command::New(new) => new.run(&common),
            Command::Build(build) => build.run(&common),
            Command::Inspect(inspect) => inspect.run(&common),
            Command::Sign(sign) => sign.run(&common),
            Command::Update(update) => update.run(&common),
            Command::Send(send) => send.run(&common).await,
            Command::Messages(messages) => messages.run(&common).await,
            Command::Message(message) => message.run(&common).await,
            Command::DeadLetters(dead_letters) => dead_letters.run(&common).await,
            Command::Rehearse(rehearse) => rehearse.run(&common).await,
            Command::Status(status) => status.run(&common).await,
            Command::Logs(logs) => logs.run(&common).await,
            Command::Alias(alias) => alias.run(&common).await,
            Command::Secret(secret) => secret.run(&common).await,
            Command::Env(env) => env.run(&common).await,
            Command::Deploy(deploy) => deploy.run(&common).await,
            Command::Releases(releases) => releases.run(&common).await,
            Command::Rollback(rollback) => rollback.run(&common).await,
            Command::Canary(canary) => canary.run(&common).await,
            Command::Shadow(shadow) => shadow.run(&common).await,
            Command::Approve(approve) => approve.run(&common).await,
            Command::Reject(reject) => reject.run(&common).await,
            Command::Promote(promote) => promote.run(&common).await,
            Command::Pause(pause) => pause.run(&common).await,
            Command::Resume(resume) => resume.run(&common).await,
            Command::Retire(retire) => retire.run(&common).await,
            Command::Token(token) => token.run(&common).await,
            Command::Audit(audit) => audit.run(&common).await,
            Command::Backup(backup) => backup.run(&common).await,
            Command::Restore(restore) => restore.run(&common).await,
            Command::Console(console) => console.run(&common).await,
            Command::Bench(bench) => bench.run(&common).await,
            Command::BenchFloor(floor) => floor.run().await,
            Command::CompilePlugin(_) | Command::Mapping(_) | Command::LinkPlugin(_) | Command::Test(_) => {
                Err(Problem::new(Code::Internal, "it does not run beside anything").into())
            }
        }
    }
}
