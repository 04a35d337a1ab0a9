//! `lockgate secret`: what is in the secrets store, of a host that runs or of one that is stopped. Never a value.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::{Args, Subcommand};
use http::Method;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Client, encoded, or_fix};
use super::output::{list, text};
use super::signals::Signals;
use super::{Common, Failure, moment, output, table};
use crate::alias::secret::Secret;
use crate::alias::vault::SECRET_BYTES_MAX;
use crate::app::secrets;
use crate::config::workspace::{environment_names, read_environment, read_files};
use crate::config::{HostConfig, secret_names};
use crate::message_store::sqlite::DATABASE_FILE;
use crate::problem::{Code, Problem};

/// What is typed is seldom longer, and then its buffer grows and leaves copies behind. A terminal's own line is no longer.
const TYPED_BYTES: usize = 4096;
const LISTED: &str = "`lockgate secret list` shows the names";

#[derive(Debug, Args)]
pub struct SecretCommand {
    #[command(subcommand)]
    what: What,
    /// Data folder, of a host that is started with `run --data` [default: that of lockgate.toml, else DIR/data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    Set(Set),
    List(List),
    Unset(Unset),
}

/// Set a secret: sealed in the data folder, it goes before what the environment's file refers to
///
/// NAME is the alias and the key of its `auth`, such as crm.client-secret, or with `verify` between them what checks webhooks:
/// shop.verify.secret. The value is asked for at a terminal, without showing it, and read from standard input otherwise; a trailing line break
/// is cut. An alias that was refused goes on by itself. Works with a host that runs, and with one that is stopped.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate secret set crm.client-secret
  cat key.pem | lockgate secret set crm.private-key
  lockgate secret set crm.client-secret --data /var/lib/lockgate     where the host is started with that, too")]
pub struct Set {
    /// The secret's name
    name: String,
}

/// List the secrets of the environment: which are set, and since when; never a value
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate secret list
  lockgate secret list --json | jq -r '.secrets[] | select(.\"set-at\" != null) | .name'")]
pub struct List {}

/// Forget a secret that was set: what the environment's file refers to counts again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate secret unset crm.client-secret
  lockgate secret unset --all    of a stopped host whose key is lost")]
pub struct Unset {
    /// The secret's name
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// All of them and all tokens, of a stopped host; the key is not needed
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

impl SecretCommand {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let place = Place { common, data: self.data };
        match self.what {
            What::Set(asked) => set(&place, &asked.name).await,
            What::List(_) => show(&place).await,
            What::Unset(Unset { name: Some(name), .. }) => unset(&place, &name).await,
            What::Unset(_) => unset_all(&place).await,
        }
    }
}

/// Whose secrets.
struct Place<'a> {
    common: &'a Common,
    /// None: that of the workspace.
    data: Option<PathBuf>,
}

async fn set(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let secret = value(name).await?;
    let body = Bytes::from_owner(Zeroizing::new(secret.expose().to_vec()));
    let common = place.common;
    let asked = place.ask(Method::PUT, &format!("/api/v1/secrets/{}", encoded(name)), body).await;
    let answer = match asked.map_err(|problem| or_fix(problem, LISTED))? {
        Some(answer) => answer,
        None => {
            let config = place.stopped()?;
            check_name(&common.directory, name)?;
            if !common.json {
                output::complaint(&format!("no host runs on {}: it is kept there for the next start", config.data.display()));
            }
            let set_at = secrets::set_stopped(&config, name, secret).await?;
            json!({ "name": name, "set-at": set_at.to_string(), "released": [] })
        }
    };
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    output::line(format_args!("{name} is set"));
    for alias in list(&answer["released"]) {
        output::line(format_args!("alias {} goes on", alias.as_str().unwrap_or_default()));
    }
    Ok(())
}

async fn show(place: &Place<'_>) -> Result<(), Failure> {
    let common = place.common;
    let answer = match place.ask(Method::GET, "/api/v1/secrets", Bytes::new()).await? {
        Some(answer) => answer,
        None if !place.stopped()?.data.join(DATABASE_FILE).exists() => json!({ "secrets": [] }),
        None => {
            let (store, vault) = secrets::open_stopped(&place.stopped()?).await?;
            let set = vault.list().into_iter().map(|set| json!({ "name": set.name, "set-at": set.set_at.to_string(), "otherwise": null }));
            let answer = json!({ "secrets": set.collect::<Vec<_>>() });
            drop(vault);
            store.close().await;
            answer
        }
    };
    if common.json {
        output::json(&answer);
        return Ok(());
    }
    let now = moment::now();
    let set = |secret: &Value| if secret["set-at"].is_null() { "-".to_owned() } else { moment::short(&text(secret, "set-at"), now) };
    let row = |secret: &Value| vec![text(secret, "name"), set(secret), text(secret, "otherwise")];
    table::print(&["SECRET", "SET", "OTHERWISE"], &list(&answer["secrets"]).iter().map(row).collect::<Vec<_>>());
    Ok(())
}

async fn unset(place: &Place<'_>, name: &str) -> Result<(), Failure> {
    let asked = place.ask(Method::DELETE, &format!("/api/v1/secrets/{}", encoded(name)), Bytes::new()).await;
    let answer = match asked.map_err(|problem| or_fix(problem, LISTED))? {
        Some(answer) => answer,
        None if !place.stopped()?.data.join(DATABASE_FILE).exists() => return Err(none_is_set().into()),
        None if !secrets::unset_stopped(&place.stopped()?, name).await? => return Err(none_is_set().into()),
        None => json!({ "name": name, "left-without": null }),
    };
    tell(place.common, &answer, &format!("{name} is not set any more"));
    if let Some(warning) = left_without(name, &answer["left-without"])
        && !place.common.json
    {
        output::complaint(&warning);
    }
    Ok(())
}

fn none_is_set() -> Problem {
    Problem::new(Code::NotFound, "no secret of that name is set").fix(LISTED)
}

/// What waits for the secret now, where there is no other value of it.
fn left_without(name: &str, left: &Value) -> Option<String> {
    let alias = left["alias"].as_str().map(output::on_one_line)?;
    let integrations: Vec<String> = list(&left["integrations"]).iter().filter_map(Value::as_str).map(output::on_one_line).collect();
    let by = match integrations.as_slice() {
        [] => "no integration uses it".to_owned(),
        names => format!("{} waiting in {}, and what comes for it waits or is refused", left["waiting"], names.join(", ")),
    };
    Some(format!("warning: alias {alias} has no {name} now: {by}; to set it: lockgate secret set {name}"))
}

async fn unset_all(place: &Place<'_>) -> Result<(), Failure> {
    if place.ask(Method::GET, "/api/v1/secrets", Bytes::new()).await?.is_some() {
        return Err(Problem::new(Code::WrongUsage, "the host runs").fix("stop it first, or: lockgate secret unset NAME").into());
    }
    secrets::forget_all(&place.stopped()?).await?;
    tell(place.common, &json!({}), "no secret is set any more");
    Ok(())
}

fn tell(common: &Common, answer: &Value, line: &str) {
    if common.json { output::json(answer) } else { output::line(line) }
}

impl Place<'_> {
    /// What the host says; none if there is none on this data folder, and so nobody else has it.
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Option<Value>, Problem> {
        let found = match &self.data {
            Some(data) => Client::of(self.common, Some(data.clone())),
            None => Client::find(self.common),
        };
        let client = match found {
            Err(problem) if problem.code == Code::HostUnreachable => return Ok(None),
            found => found?,
        };
        match client.ask(method, path, "application/octet-stream", body).await {
            // One that was killed leaves its address behind. If it only does not answer, the data folder is its own all the same.
            Err(problem) if problem.code == Code::HostUnreachable && self.common.host.is_none() => Ok(None),
            answer => answer.map(Some),
        }
    }

    /// The workspace, for a host that does not run.
    fn stopped(&self) -> Result<HostConfig, Failure> {
        let mut config = read_files(&self.common.directory)?.0;
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        Ok(config)
    }
}

/// That some environment of the workspace has a secret of this name.
fn check_name(dir: &Path, name: &str) -> Result<(), Problem> {
    let read = environment_names(dir).into_iter().filter_map(|environment| read_environment(dir, &environment).ok());
    let names: BTreeSet<String> = read.flat_map(|file| secret_names(&file.environment)).collect();
    if names.contains(name) {
        return Ok(());
    }
    let known = names.into_iter().collect::<Vec<_>>().join(", ");
    Err(Problem::new(Code::NotFound, format!("no environment of {} has a secret {name:?}", dir.display()))
        .fix(format!("it is one of: {known}")))
}

/// From a person who types, or from standard input. Never from an argument, which everybody on the machine can see.
async fn value(name: &str) -> Result<Secret, Failure> {
    let mut bytes = if std::io::stdin().is_terminal() { typed(name).await? } else { piped()? };
    if matches!(bytes.last(), Some(b'\n')) {
        bytes.pop();
        if matches!(bytes.last(), Some(b'\r')) {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        let fix = "type it, or pipe it in: lockgate secret set NAME < file";
        return Err(Problem::new(Code::WrongUsage, "no secret was given").fix(fix).into());
    }
    Ok(Secret::new(&**bytes))
}

fn piped() -> Result<Zeroizing<Vec<u8>>, Problem> {
    let unread = |error: std::io::Error| Problem::new(Code::FileUnreadable, format!("standard input: {error}"));
    // With room for all of it: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 4));
    std::io::stdin().take(SECRET_BYTES_MAX as u64 + 3).read_to_end(&mut bytes).map_err(unread)?;
    Ok(bytes)
}

/// A line that is not shown while it is typed. Whoever is interrupted gets the terminal back as it was.
async fn typed(name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut signals = Signals::new()?;
    let silence = Silence::begin()?;
    {
        use std::io::Write;
        // Who cannot read the question is waited for all the same.
        drop(write!(std::io::stderr(), "{name} (not shown): ").and_then(|()| std::io::stderr().flush()));
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut line = Zeroizing::new(String::with_capacity(TYPED_BYTES));
        std::io::stdin().read_line(&mut line).map(|_| Zeroizing::new(line.as_bytes().to_vec()))
    });
    let line = unless(signals.next(), async { read.await.ok().and_then(Result::ok) }).await;
    drop(silence);
    output::complaint("");
    line
}

/// What was `read`, if no `signal` came first.
async fn unless<L>(signal: impl Future<Output = u8>, read: impl Future<Output = Option<L>>) -> Result<L, Failure> {
    tokio::select! {
        line = read => line.ok_or_else(|| Problem::new(Code::WrongUsage, "nothing was typed; nothing was set").into()),
        signal = signal => Err(Failure::Interrupted(signal)),
    }
}

/// A terminal that shows nothing of what is typed, until it is dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> Result<Self, Problem> {
        let cannot = |error: rustix::io::Errno| {
            Problem::new(Code::WrongUsage, format!("the terminal cannot be kept from showing what is typed: {error}"))
                .fix("pipe the secret in: lockgate secret set NAME < file")
        };
        let before = tcgetattr(std::io::stdin()).map_err(cannot)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &silent).map_err(cannot)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_signal_at_the_prompt_ends_the_command_as_a_shell_has_it() {
        assert!(matches!(unless(ready(2), pending::<Option<()>>()).await, Err(Failure::Interrupted(2))));
        assert!(matches!(unless(pending(), ready(Some(7))).await, Ok(7)));
        assert!(matches!(unless(pending(), ready(None::<()>)).await, Err(Failure::Problems(_))));
    }

    #[test]
    fn warns_of_what_waits_for_a_secret_that_has_no_other_value() {
        assert_eq!(left_without("crm.password", &Value::Null), None);
        let left = json!({ "alias": "crm", "integrations": ["orders-to-crm", "b"], "waiting": 12 });
        let told = left_without("crm.password", &left).unwrap();
        assert!(told.contains("12 waiting in orders-to-crm, b") && told.contains("lockgate secret set crm.password"), "{told}");
    }

    #[test]
    fn a_data_folder_that_is_named_is_the_one_that_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lockgate.toml"), "").unwrap();
        let common = Common { directory: folder.path().to_owned(), json: false, host: None, token: None };
        let of = |data: Option<&str>| Place { common: &common, data: data.map(PathBuf::from) }.stopped().unwrap().data;
        assert_eq!(of(None), folder.path().join("data"));
        assert_eq!(of(Some("/var/lib/elsewhere")), PathBuf::from("/var/lib/elsewhere"));
    }
}
