//! Having releases activated by a running host: sends what it lacks first, and says what it answered. What `deploy`, `promote`, `rollback` and
//! `approve` share.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::output::{self, list, on_one_line, text};
use super::progress::Progress;
use crate::admin::SIGNATURE_HEADER;
use crate::integration::{PinnedPlugin, Release, Trying};
use crate::plugin::signature::Signature;
use crate::problem::{Code, Problem};

/// A host compiles what it has not seen before.
const SWITCHED_WITHIN: Duration = Duration::from_secs(900);
const SENT_WITHIN: Duration = Duration::from_secs(300);
/// A host lacks what it lacks: after it was sent once, it does not again.
const ROUNDS_MAX: usize = 2;

/// A component, for a host that lacks it.
pub struct Sent {
    pub bytes: Bytes,
    pub signature: Option<Signature>,
}

/// Where components come from that a host lacks.
pub trait Components {
    /// The one of this pin.
    async fn component(&self, plugin: &PinnedPlugin) -> Result<Sent, Problem>;
}

/// What is asked of a host.
pub struct Switching<'a> {
    pub client: &'a Client,
    pub releases: Vec<Release>,
    /// `deploy` or `promote`.
    pub how: &'static str,
    /// How the one release is tried; none: it becomes the active one.
    pub trying: Option<Trying>,
    pub progress: Progress,
}

impl Switching<'_> {
    /// Has it done and shows what differs first; with `only_plan` it stays at that.
    pub async fn run(self, components: &impl Components, only_plan: bool, json: bool) -> Result<(), Problem> {
        let plan = self.plan(components).await?;
        if !json {
            tell(&plan);
        }
        let changes = list(&plan["integrations"]).iter().any(|one| one["state"] != "unchanged");
        let goes = changes && !only_plan;
        let answer = if goes { self.go(&plan).await? } else { plan };
        drop(self.progress);
        if json {
            output::json(&answer);
        } else if goes {
            tell_outcome(&answer);
        }
        Ok(())
    }

    /// What would follow: checked, compiled and linked by the host.
    pub async fn plan(&self, components: &impl Components) -> Result<Value, Problem> {
        let asked: Vec<Value> = self.releases.iter().map(|release| json!(release)).collect();
        for _ in 0..ROUNDS_MAX {
            self.progress.detail("the host looks at the releases");
            match self.ask(&asked, true).await? {
                Answer::Done(plan) => return Ok(plan),
                Answer::Refused(problem, body) if problem.code == Code::PluginsLacking => {
                    for plugin in list(&body["lacks"]) {
                        self.send(components, plugin).await?;
                    }
                }
                Answer::Refused(problem, _) => return Err(problem),
            }
        }
        Err(Problem::new(Code::PluginsLacking, "the host lacks plugins that were sent to it just now")
            .fix("try again; its disk may be full"))
    }

    /// Has what `plan` says done, if nobody was faster.
    pub async fn go(&self, plan: &Value) -> Result<Value, Problem> {
        let replaces =
            |name: &str| list(&plan["integrations"]).iter().find(|one| one["integration"] == name).map(|one| one["replaces"].clone());
        let asked = self.releases.iter().map(|release| {
            let mut asked = json!(release);
            asked["replaces"] = replaces(&release.integration).unwrap_or_default();
            asked
        });
        self.ask(&asked.collect::<Vec<_>>(), false).await?.done()
    }

    async fn ask(&self, releases: &[Value], plan: bool) -> Result<Answer, Problem> {
        let mut body = json!({ "releases": releases, "plan": plan, "how": self.how });
        match self.trying {
            Some(Trying::Canary(share)) => body["canary-per-mille"] = share.into(),
            Some(Trying::Shadow) => body["shadow"] = true.into(),
            None => {}
        }
        self.client
            .answer((Method::POST, "/api/v1/releases"), &[("content-type", "application/json")], body.to_string().into(), SWITCHED_WITHIN)
            .await
    }

    async fn send(&self, components: &impl Components, plugin: &Value) -> Result<(), Problem> {
        let plugin: PinnedPlugin = serde_json::from_value(plugin.clone())
            .map_err(|error| Problem::new(Code::Internal, format!("the host names a plugin in a way that is not ours: {error}")))?;
        let Sent { bytes, signature } = components.component(&plugin).await?;
        let size = bytes.len().div_ceil(1024);
        self.progress.step(&format!("Sending {} {} ({size} KiB)", plugin.name, plugin.version));
        let signature = signature.map(|signature| BASE64.encode(signature.bytes()));
        let mut headers = vec![("content-type", "application/wasm")];
        headers.extend(signature.as_deref().map(|signature| (SIGNATURE_HEADER, signature)));
        let path = format!("/api/v1/plugins/{}", plugin.digest);
        self.client.answer((Method::PUT, &path), &headers, bytes, SENT_WITHIN).await?.done().map(drop)
    }
}

/// What became of it, once people have seen what differs.
fn tell_outcome(answer: &Value) {
    for one in list(&answer["integrations"]).iter().filter(|one| one["state"] != "unchanged") {
        let release = short(&one["release"]);
        output::line(state(one, &text(one, "integration"), &release));
    }
}

fn short(id: &Value) -> String {
    id.as_str().map_or("none", |id| id.get(..12).unwrap_or(id)).to_owned()
}

/// What a host says of a switch, for people.
pub fn tell(answer: &Value) {
    for one in list(&answer["integrations"]) {
        tell_one(one);
    }
}

fn tell_one(one: &Value) {
    let name = text(one, "integration");
    if one["state"] == "unchanged" {
        return output::line(format_args!("{name}: release {} is active already", short(&one["release"])));
    }
    output::line(format_args!("{name}: release {} → {}", short(&one["replaces"]), short(&one["release"])));
    for change in list(&one["difference"]["plugins"]) {
        output::line(format_args!("  {}: {} → {}", text(change, "place"), plugin(&change["before"]), plugin(&change["after"])));
    }
    for change in list(&one["difference"]["file"]) {
        output::line(format_args!("  {}: {} → {}", text(change, "key"), text(change, "before"), text(change, "after")));
    }
    for asked in list(&one["asks"]).iter().filter_map(Value::as_str) {
        output::line(format_args!("  asks for more: {}", on_one_line(asked)));
    }
    if !one["ends"].is_null() && one["ends"]["release"] != one["release"] {
        let (how, release) = (text(&one["ends"], "tried-as"), short(&one["ends"]["release"]));
        output::line(format_args!("  ends what is tried: release {release}, as a {how}"));
    }
    if one["reorders"] == true {
        output::line(format_args!(
            "  order: another rule; {} waiting go first, what comes from now on waits for them",
            text(one, "waiting")
        ));
    }
    output::line(format_args!("  {}", state(one, &name, &short(&one["release"]))));
}

fn state(one: &Value, name: &str, release: &str) -> String {
    let approval = &one["approval"];
    let given = list(&approval["given"]).len();
    match one["state"].as_str() {
        Some("activated") => format!("release {release} of {name} is active"),
        Some("would-be-activated") => "would be activated".to_owned(),
        Some("would-be-tried") => "would be tried on a share of the keys".to_owned(),
        Some("tried") => format!("release {release} of {name} is tried on a share of the keys: lockgate releases {name} shows how it does"),
        Some("would-be-shadow") => "would run beside the active release, without effect".to_owned(),
        Some("shadow") => format!("release {release} of {name} runs beside the active one, without effect: lockgate shadow show {name}"),
        Some("would-wait-for-approval") => format!("would wait for approval: {given} of {} given", text(approval, "needed")),
        Some("waits-for-approval") => {
            format!("waits for approval ({given} of {} given): lockgate approve {name} {release} --note TEXT", text(approval, "needed"))
        }
        other => other.unwrap_or("-").to_owned(),
    }
}

/// `shop-order 1.2.0 (0123456789ab)`
fn plugin(pinned: &Value) -> String {
    match pinned["digest"].as_str() {
        Some(digest) => format!("{} {} ({})", text(pinned, "name"), text(pinned, "version"), digest.get(..12).unwrap_or(digest)),
        None => "-".to_owned(),
    }
}
