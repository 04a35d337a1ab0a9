//! Asking a running host over its admin address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::Common;
use super::event_stream::EventStream;
use crate::admin;
use crate::clock::{SystemClock, within};
use crate::config::workspace::read_host;
use crate::problem::{Code, Problem};

/// How long a host may take to answer a command.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const NO_ANSWER: &str = "no answer in 30 s";
/// An answer larger than this is not one of ours.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A host that answers, or did when it was found.
#[derive(Debug)]
pub struct Client {
    base: String,
    token: Option<String>,
}

/// What a host answered, in JSON.
#[derive(Debug)]
pub enum Answer {
    Done(Value),
    /// With the body that says more than a problem has room for.
    Refused(Problem, Value),
}

impl Answer {
    /// What it gave.
    ///
    /// # Errors
    /// Why it did not.
    pub fn done(self) -> Result<Value, Problem> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Refused(problem, _) => Err(problem),
        }
    }
}

impl Client {
    /// The host named by `--host`, or the one that runs on the workspace's data folder.
    pub fn find(common: &Common) -> Result<Self, Problem> {
        // Whoever names the host and a token needs no workspace, whatever is wrong with it.
        let data = match data_folder(common) {
            Err(problem) if common.host.is_none() || common.token.is_none() => return Err(problem),
            found => found.unwrap_or_default(),
        };
        Self::of(common, data)
    }

    /// The host named by `--host`, or the one that runs on the data folder `data`.
    pub fn of(common: &Common, data: Option<PathBuf>) -> Result<Self, Problem> {
        let own = || admin::token::load(data.as_deref()?).ok().flatten().map(|token| String::from_utf8_lossy(token.expose()).into_owned());
        let token = common.token.clone().or_else(own);
        if let Some(host) = &common.host {
            return Ok(Self { base: base(host), token });
        }
        let data = data.ok_or_else(|| no_host("no workspace here", common))?;
        let running = crate::app::running::read(&data).ok_or_else(|| no_host("none runs on this workspace's data folder", common))?;
        Ok(Self { base: running.admin, token })
    }

    /// The address of `path` on the host.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub async fn get(&self, path: &str) -> Result<Value, Problem> {
        self.ask(Method::GET, path, "application/json", Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        self.ask(Method::POST, path, "application/json", Bytes::from(body.to_string())).await
    }

    /// Sends `body` and gives the JSON answered; a problem+json answer becomes a [`Problem`].
    pub async fn ask(&self, method: Method, path: &str, content_type: &str, body: Bytes) -> Result<Value, Problem> {
        let request = Request::builder().method(method).uri(self.url(path)).header("content-type", content_type);
        let answer = async { self.json(self.send(request, body).await?).await };
        within(&SystemClock::new(), ANSWER_WITHIN, answer).await.ok_or_else(|| self.unreachable(NO_ANSWER))?
    }

    /// Sends `body` under `headers`; a problem+json answer comes with all that it says.
    pub async fn answer(
        &self,
        (method, path): (Method, &str),
        headers: &[(&'static str, &str)],
        body: Bytes,
        at_most: Duration,
    ) -> Result<Answer, Problem> {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = async {
            let (status, value) = self.value(self.send(request, body).await?).await?;
            Ok(if status.is_success() { Answer::Done(value) } else { Answer::Refused(refusal(&value, status), value) })
        };
        within(&SystemClock::new(), at_most, answer)
            .await
            .ok_or_else(|| self.unreachable(&format!("no answer in {} s", at_most.as_secs())))?
    }

    /// The whole body of an answer that is not JSON, and its headers.
    pub async fn bytes(&self, path: &str) -> Result<(Bytes, http::HeaderMap), Problem> {
        let response = self.send(Request::builder().uri(self.url(path)), Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(self.json(response).await.err().unwrap_or_else(|| self.unreachable("it gives nothing to download")));
        }
        let headers = response.headers().clone();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok((body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes(), headers))
    }

    /// Opens a stream of server-sent events, after the event `seen` if there is one.
    pub async fn listen(&self, path: &str, seen: Option<&str>) -> Result<EventStream, Problem> {
        let mut request = Request::builder().uri(self.url(path));
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let answer = async {
            let response = self.send(request, Bytes::new()).await?;
            if response.status().is_success() {
                return Ok(EventStream::new(response.into_body()));
            }
            Err(self.json(response).await.err().unwrap_or_else(|| self.unreachable("it does not stream")))
        };
        within(&SystemClock::new(), ANSWER_WITHIN, answer).await.ok_or_else(|| self.unreachable(NO_ANSWER))?
    }

    /// The body of an answer that is not JSON, as it comes. The host may take its time before the first of it.
    pub async fn download(&self, path: &str) -> Result<Incoming, Problem> {
        let response = self.send(Request::builder().uri(self.url(path)), Bytes::new()).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(self.json(response).await.err().unwrap_or_else(|| self.unreachable("it gives nothing to download")))
    }

    /// A download that the host did not finish.
    pub fn broke_off(&self, error: &hyper::Error) -> Problem {
        self.unreachable(&format!("it broke off: {}", root_cause(error)))
    }

    async fn send(&self, mut request: http::request::Builder, body: Bytes) -> Result<Response<Incoming>, Problem> {
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Full::new(body)).map_err(|error| unusable(&self.base, &error))?;
        let client: HyperClient<_, Full<Bytes>> = HyperClient::builder(TokioExecutor::new()).build_http();
        client.request(request).await.map_err(|error| self.unreachable(&root_cause(&error)))
    }

    async fn json(&self, response: Response<Incoming>) -> Result<Value, Problem> {
        let (status, value) = self.value(response).await?;
        if status.is_success() { Ok(value) } else { Err(refusal(&value, status)) }
    }

    async fn value(&self, response: Response<Incoming>) -> Result<(http::StatusCode, Value), Problem> {
        let status = response.status();
        let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(&error.to_string()))?.to_bytes();
        let value: Value = serde_json::from_slice(&body).map_err(|_| self.unreachable(&format!("{status}, and not in JSON")))?;
        Ok((status, value))
    }

    fn unreachable(&self, why: &str) -> Problem {
        Problem::new(Code::HostUnreachable, format!("no host answers at {}: {why}", self.base))
            .fix("start it with `lockgate run`, or name it with --host URL")
    }
}

/// A request cannot even be put together: an argument is not what it should be. Which one `http` does not say.
fn unusable(base: &str, error: &http::Error) -> Problem {
    let argument =
        if error.is::<http::header::InvalidHeaderValue>() { "--token or --content-type".to_owned() } else { format!("--host {base}") };
    Problem::new(Code::WrongUsage, format!("{argument} cannot be used: {error}"))
        .fix("an address looks like http://127.0.0.1:8090; tokens and content types are one line of visible characters")
}

/// An address with or without `http://` in front.
fn base(host: &str) -> String {
    let host = host.trim_end_matches('/');
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}

/// `problem` with a fix, if it has none of its own and is about something that was named wrongly.
pub fn or_fix(problem: Problem, fix: &str) -> Problem {
    let named_wrongly = matches!(problem.code, Code::NotFound | Code::BadRequest);
    if problem.fix.is_none() && named_wrongly { problem.fix(fix) } else { problem }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The problem that a host's answer states.
fn refusal(value: &Value, status: http::StatusCode) -> Problem {
    let stated = value["code"].as_str().and_then(|text| Code::ALL.iter().find(|(_, code, _)| *code == text));
    let code = stated.map_or(Code::Internal, |(code, _, _)| *code);
    let detail = value["detail"].as_str().or(value["title"].as_str()).map_or_else(|| status.to_string(), str::to_owned);
    let problem = Problem::new(code, with_problems(detail, &value["problems"]));
    match (value["fix"].as_str(), code) {
        (Some(fix), _) => problem.fix(fix),
        (None, Code::Unauthorized) => {
            problem.fix("give a token with --token or LOCKGATE_TOKEN, or run on the host's machine with -C its workspace")
        }
        (None, _) => problem,
    }
}

/// `detail`, and each of the host's `problems` on lines of its own.
fn with_problems(mut detail: String, problems: &Value) -> String {
    let text = |problem: &Value, field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    for problem in problems.as_array().into_iter().flatten() {
        let place = problem["file"].as_str().map(|file| format!("{file}:{}:{}: ", problem["line"], problem["column"]));
        detail += &format!("\n  {}{} {}", place.unwrap_or_default(), text(problem, "code"), text(problem, "message"));
        detail += &problem["fix"].as_str().map(|fix| format!("\n    fix: {fix}")).unwrap_or_default();
    }
    detail
}

/// Where the workspace's host keeps its data; none if the folder is no workspace.
///
/// # Errors
/// The first mistake in lockgate.toml; those of other files are not this one's to tell.
fn data_folder(common: &Common) -> Result<Option<PathBuf>, Problem> {
    let internal = || Problem::new(Code::Internal, "lockgate.toml cannot be read");
    let host = read_host(&common.directory).map_err(|problems| problems.0.into_iter().next().unwrap_or_else(internal))?;
    Ok(host.map(|host| host.data))
}

/// `path`, which has a query, with those of `filters` that have a value.
pub fn filtered<'f>(mut path: String, filters: impl IntoIterator<Item = (&'f str, Option<String>)>) -> String {
    for (name, value) in filters {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(&value)));
        }
    }
    path
}

/// Text as part of a query.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn no_host(why: &str, common: &Common) -> Problem {
    Problem::new(Code::HostUnreachable, format!("no host to ask: {why} ({})", Path::new(&common.directory).display()))
        .fix("start one with `lockgate run DIR --env ENV`, name the workspace with -C DIR, or the host with --host URL")
}
