//! [`LiveEnvironment`]: the environment that runs, and how another takes its place while messages flow. `GET` and
//! `POST /api/v1/environment`.
//!
//! Requests under way end where they began; calls that begin afterwards are given the configs of plugins with the new values in them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use http::{Response, StatusCode};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, MutexGuard};

use super::api::Api;
use super::configs::{Configs, ReadFacts};
use super::parameters::Parameters;
use super::role::Role;
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::{Ended, Who};
use crate::alias::secret::{SecretPlace, SecretRef, SecretSource};
use crate::alias::vault::Vault;
use crate::alias::{Aliases, Environment};
use crate::clock::Clock;
use crate::config::changes::{Change, changes};
use crate::config::{EnvironmentFile, missing_secrets_of, secret_references, used_aliases_of};
use crate::delivery::Catalog;
use crate::ingress::answer::{self, Refusal};
use crate::ingress::body::BodyLimits;
use crate::ingress::{Intake, Routes};
use crate::message_store::StoreError;
use crate::message_store::audit::{Act, Note, TEXT_BYTES_MAX, cut};
use crate::message_store::sqlite::AuditTrail;
use crate::problem::{Code, Problem, Problems};
use crate::telemetry::events::{Event, Events, Kind, Level};

/// A few thousand aliases. Each changed value is entered in the audit trail, which is never shortened.
const TEXT_LIMITS: BodyLimits = BodyLimits { bytes: 256 * 1024, within: std::time::Duration::from_secs(30) };

/// What an environment is put into.
#[derive(Debug)]
pub struct LiveParts {
    pub aliases: Arc<Aliases>,
    pub intake: Arc<Intake>,
    pub catalog: Arc<Catalog>,
    pub facts: ReadFacts,
    pub vault: Arc<Vault>,
    pub secrets: Arc<dyn SecretSource>,
    pub events: Arc<Events>,
    pub clock: Arc<dyn Clock>,
    pub audit: AuditTrail,
}

/// The environment that runs.
#[derive(Debug)]
pub struct LiveEnvironment {
    name: String,
    /// What the next start reads.
    file: PathBuf,
    running: Mutex<EnvironmentFile>,
    parts: LiveParts,
}

/// What differs between the environment that runs and another, and whether that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    pub environment: String,
    pub applied: bool,
    /// Lines of the file, by where they stand: `alias.crm.url`. Secrets stand there by reference only.
    pub changes: Vec<Change>,
    /// What is to be known beside that.
    pub notes: Vec<String>,
}

/// Why another environment did not take the place of the one that runs.
#[derive(Debug)]
pub enum NotApplied {
    /// What is wrong with it.
    Wrong(Problems),
    /// It could not be entered in the audit trail.
    Store(StoreError),
    /// The token of who asked has ended while others were at work.
    TokenEnded,
}

impl From<Ended> for NotApplied {
    fn from(_: Ended) -> Self {
        Self::TokenEnded
    }
}

impl From<Problems> for NotApplied {
    fn from(problems: Problems) -> Self {
        Self::Wrong(problems)
    }
}

impl LiveEnvironment {
    /// `running` is what runs; a start reads it from `file`.
    pub fn new(running: EnvironmentFile, file: PathBuf, parts: LiveParts) -> Arc<Self> {
        Arc::new(Self { name: running.environment.name.clone(), file, running: Mutex::new(running), parts })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that files named in an environment are relative to.
    fn workspace(&self) -> &Path {
        self.file.parent().and_then(Path::parent).unwrap_or(Path::new(""))
    }

    /// The secrets store.
    pub fn vault(&self) -> &Vault {
        &self.parts.vault
    }

    /// What runs; it stays until the guard is dropped.
    pub async fn running(&self) -> MutexGuard<'_, EnvironmentFile> {
        self.running.lock().await
    }

    /// The alias whose secret this is, if it has no value now.
    pub async fn left_without(&self, secret: &str) -> Option<String> {
        let running = self.running.lock().await;
        let missing = |reference: &&SecretRef| reference.name == secret && self.parts.secrets.read(reference).is_err();
        secret_references(&running.environment).into_iter().find(missing)?;
        secret.split('.').next().map(str::to_owned)
    }

    /// Puts the environment that `text` describes in the place of the one that runs; with `plan` only says what would change.
    ///
    /// # Errors
    /// Everything that is wrong with it, and everything of it that what runs needs and does not find. Nothing is changed then.
    pub async fn apply(&self, text: &str, plan: bool, who: &Who) -> Result<Applied, NotApplied> {
        let mut running = self.running.lock().await;
        who.must_last(self.parts.clock.now())?;
        let next = EnvironmentFile::parse(&self.name, format!("environments/{}.toml", self.name), text)?;
        if !who.may(Role::Local) {
            newly_read(&running.environment, &next.environment).or(())?;
        }
        let next = next.read_authorities(self.workspace())?;
        let (routes, configs) = self.fits(&next)?;
        let configs = configs.set_up(&self.parts.facts).await?;
        let changes = changes(running.places.text(), text);
        let mut applied = Applied { environment: self.name.clone(), applied: false, notes: self.notes(text), changes };
        if plan || applied.changes.is_empty() {
            return Ok(applied);
        }
        // Before it, since what follows cannot fail; and it ends with the process.
        self.parts.audit.append_all(self.entries(&applied.changes, who)).await.map_err(NotApplied::Store)?;
        self.parts.aliases.replace(&next.environment);
        configs.apply();
        self.parts.intake.replace_routes(routes);
        *running = next;
        applied.applied = true;
        self.tell(&applied, who);
        Ok(applied)
    }

    /// What is entered in the audit trail of `changes`.
    fn entries(&self, changes: &[Change], who: &Who) -> Vec<Note> {
        let (pieces, now) = (pieces(changes), self.parts.clock.now());
        let count = pieces.len();
        let subject = |number: usize| match count {
            1 => format!("environment {}", self.name),
            _ => format!("environment {}, part {number} of {count}", self.name),
        };
        let entry = |(index, (before, after))| who.note(now, Act::ApplyEnvironment, subject(index + 1)).before(before).after(after);
        pieces.into_iter().enumerate().map(entry).collect()
    }

    /// Whether what runs finds what it needs in `next`; gives the routes with its rules, and what its values change.
    fn fits(&self, next: &EnvironmentFile) -> Result<(Routes, Configs), Problems> {
        let integrations: Vec<_> = self.parts.intake.routes().integrations().cloned().collect();
        let mut problems = Problems::default();
        let configs = Configs::of(&self.parts.catalog, &integrations, &next.environment, &self.parts.facts);
        let configs = configs.map_err(|more| problems.0.extend(more.0));
        let used = used_aliases_of(integrations.iter().map(|integration| &**integration));
        problems.0.extend(missing_secrets_of(&used, next, &*self.parts.secrets).0);
        if next.environment.aliases.values().any(|alias| alias.auth.token_url().is_some()) {
            problems.0.extend(self.parts.vault.prepare().err());
        }
        let routes = Routes::build(&integrations, &next.environment).map_err(|more| problems.0.extend(more.0));
        match (routes, configs) {
            (Ok(routes), Ok(configs)) => problems.or((routes, configs)),
            _ => Err(problems),
        }
    }

    fn notes(&self, text: &str) -> Vec<String> {
        let mut notes = Vec::new();
        if std::fs::read_to_string(&self.file).is_ok_and(|own| own != text) {
            notes.push(format!("the host's own {} is another: its next start reads that one", self.file.display()));
        }
        notes
    }

    fn tell(&self, applied: &Applied, who: &Who) {
        let keys: Vec<&str> = applied.changes.iter().map(|change| change.key.as_str()).collect();
        tracing::info!(by = who.name(), environment = self.name, changed = keys.join(", "), "another environment was applied");
        let event = who.told(Event::new(Kind::Operator, Level::Info, "another environment was applied"));
        self.parts.events.tell(event.with("environment", self.name.clone()).with("changes", keys.len() as u64));
    }
}

/// What is entered of one value; of a longer one a hash tells whether it is the same.
const VALUE_BYTES_MAX: usize = 200;

/// Files, variables and networks of the machine that `next` names and `running` does not. The host reads what it may read, its own keys and
/// the data folder's token included, reaches what only it can reach, and sends it where the environment says: whoever has a named token has
/// no business there.
fn newly_read(running: &Environment, next: &Environment) -> Problems {
    let known: Vec<&SecretPlace> = secret_references(running).into_iter().map(|reference| &reference.place).collect();
    let secrets = secret_references(next).into_iter().filter(|reference| reference.place != SecretPlace::Store);
    let secrets = secrets.filter(|reference| !known.contains(&&reference.place)).map(|reference| {
        let fix = format!(
            "write `{{ store = true }}` and `lockgate secret set {}`, or apply it with the data folder's own token",
            reference.name
        );
        Problem::new(Code::NotAllowed, format!("{} is to be read from another place of the host's machine", reference.name)).fix(fix)
    });
    let authorities = |environment: &Environment| -> Vec<std::path::PathBuf> {
        environment.aliases.values().filter_map(|alias| alias.ca_file.clone()).collect()
    };
    let read = authorities(running);
    let files = authorities(next).into_iter().filter(|file| !read.contains(file)).map(|file| {
        let message = format!("`ca-file` {} is to be read from the host's machine", file.display());
        Problem::new(Code::NotAllowed, message).fix("apply it with the data folder's own token, where the host runs")
    });
    let open: Vec<IpNet> = running.aliases.values().flat_map(|alias| alias.network.iter().copied()).collect();
    let asked = next.aliases.values().flat_map(|alias| alias.network.iter().map(move |network| (alias, network)));
    let networks = asked.filter(|(_, network)| !open.iter().any(|open| open.contains(*network))).map(|(alias, network)| {
        let message = format!("`alias.{}.network` opens {network}, which the host reaches from where it stands", alias.name);
        Problem::new(Code::NotAllowed, message).fix("apply it with the data folder's own token, where the host runs")
    });
    Problems(secrets.chain(files).chain(networks).collect())
}

/// A value as it is entered: two that differ are entered as different.
fn entered(value: &str) -> String {
    if value.len() <= VALUE_BYTES_MAX {
        return value.to_owned();
    }
    format!("{} (sha256 {})", cut(value, VALUE_BYTES_MAX), crate::plugin::sha256_hex(value.as_bytes()))
}

/// The changed values as they were and as they are, in as many pieces as it takes for each to be entered whole: nobody hides a change among
/// others.
pub(super) fn pieces(changes: &[Change]) -> Vec<(Value, Value)> {
    let entered = |value: &Option<String>| value.as_deref().map_or(Value::Null, |value| entered(value).into());
    let mut pieces: Vec<(Map<String, Value>, Map<String, Value>)> = Vec::new();
    let mut bytes = usize::MAX;
    for change in changes {
        let (key, before, after) = (cut(&change.key, VALUE_BYTES_MAX), entered(&change.before), entered(&change.after));
        // As JSON has it, with what stands between.
        let more = Value::from(key.as_str()).to_string().len() + before.to_string().len().max(after.to_string().len()) + 2;
        if bytes.saturating_add(more) > TEXT_BYTES_MAX - 2 {
            pieces.push(Default::default());
            bytes = 0;
        }
        if let Some((was, is)) = pieces.last_mut() {
            was.insert(key.clone(), before);
            is.insert(key, after);
        }
        bytes += more;
    }
    pieces.into_iter().map(|(was, is)| (Value::Object(was), Value::Object(is))).collect()
}

/// Which environment runs.
pub async fn show(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let live = &api.parts.environment;
    Ok(answer::json(StatusCode::OK, &serde_json::json!({ "name": live.name, "file": live.file })))
}

/// Takes the request's body for the file of the environment `name`, which must be the one that runs.
pub async fn apply(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let mut query = Parameters::parse(request.uri().query());
    let name = query.one("name")?;
    let plan = query.read("plan", "true or false")?.unwrap_or(false);
    query.finish()?;
    let live = &api.parts.environment;
    if let Some(name) = name.filter(|name| *name != live.name) {
        let detail = format!("the host runs the environment {}, not {name}", live.name);
        return Err(Refusal::new(StatusCode::CONFLICT, Code::NoEnvironment, detail));
    }
    let body = api.body(request, TEXT_LIMITS).await?;
    let text = std::str::from_utf8(&body.bytes).map_err(|_| super::parameters::wrong("the file is not UTF-8"))?.to_owned();
    let applied = to_its_end({
        let live = live.clone();
        async move { live.apply(&text, plan, &who).await }
    });
    match applied.await? {
        Ok(applied) => Ok(answer::json(StatusCode::OK, &applied)),
        Err(NotApplied::Store(error)) => Err(refusal(&error)),
        Err(NotApplied::TokenEnded) => Err(Ended.into()),
        Err(NotApplied::Wrong(problems)) => {
            let code = problems.0.first().map_or(Code::Internal, |problem| problem.code);
            let refusal =
                Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, code, "the environment does not fit what runs; nothing was changed");
            let mut body = refusal.body();
            body["problems"] = serde_json::to_value(&problems.0).unwrap_or_default();
            Ok(answer::problem(refusal.status, &body))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_each_value_that_came_went_or_is_another() {
        let before = "[values]\nstage = \"a\"\n[alias.crm]\nurl = \"https://a.example\"\nrate = [\"5/s\"]\nauth = { basic = { username = \"u\", password = { env = \"P\" } } }\n";
        let after = "[alias.crm]\nurl = \"https://b.example\"\nauth = { basic = { username = \"u\", password = { env = \"Q\" } } }\nrate = [ \"5/s\" ]\n[alias.new]\nurl = \"https://c.example\"\n";
        let told: Vec<String> = changes(before, after)
            .into_iter()
            .map(|Change { key, before, after }| format!("{key}: {} → {}", before.unwrap_or_default(), after.unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                "alias.crm.auth.basic.password.env: \"P\" → \"Q\"",
                "alias.crm.url: \"https://a.example\" → \"https://b.example\"",
                "alias.new.url:  → \"https://c.example\"",
                "values.stage: \"a\" → ",
            ]
        );
        assert_eq!(changes(before, before), []);
    }
}
