//! Releases in the API: one of them (`GET /api/v1/releases/{id}`), and how another becomes the active one while messages flow
//! (`POST /api/v1/releases`, `POST /api/v1/integrations/{name}/rollback`).
//!
//! What somebody wants is considered first, whole: with `plan` it stays at that.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::approving::{self, ApprovalState};
use super::known;
use super::parameters::{Parameters, named, wrong};
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::{Ended, Who};
use crate::config::EnvironmentFile;
use crate::delivery::{Beside, WHOLE};
use crate::ingress::answer::{self, Refusal};
use crate::ingress::body::BodyLimits;
use crate::integration::{PinnedPlugin, Release, ReleaseId, Trying};
use crate::message_store::audit::{Act, Note};
use crate::message_store::sqlite::How;
use crate::problem::{Code, Problem, Problems};
use crate::releases::consider::{Considered, Switch, Wanted};
use crate::releases::difference::Difference;
use crate::releases::live::{Changing, NotSwitched};
use crate::releases::trying::{command, how, start_act};

/// A whole workspace at once.
const RELEASES_LIMITS: BodyLimits = BodyLimits { bytes: 16 * 1024 * 1024, within: Duration::from_secs(60) };
const RELEASES_MAX: usize = 4096;
/// As of a file in a workspace.
const FILE_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct DeployRequest {
    releases: Vec<Asked>,
    /// Only say what would follow.
    #[serde(default)]
    plan: bool,
    /// `deploy`, or `promote` for what came from another host.
    #[serde(default)]
    how: Option<String>,
    /// Of the keys, in thousandths: the one release is tried on them.
    #[serde(default)]
    canary_per_mille: Option<u32>,
    /// The one release is shown what the active one has settled, and delivers nothing.
    #[serde(default)]
    shadow: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Asked {
    integration: String,
    file: String,
    plugins: Vec<PinnedPlugin>,
    /// The release that was active when somebody looked; null for none, absent where nobody looked.
    #[serde(default, deserialize_with = "given")]
    replaces: Option<Option<ReleaseId>>,
}

/// `null` is something else than nothing.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<ReleaseId>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RollbackRequest {
    /// The beginning of a release's id; none: the one before the active one.
    release: Option<String>,
    #[serde(default)]
    plan: bool,
}

/// What became of one integration.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    pub integration: String,
    pub release: ReleaseId,
    /// The release that was active before.
    pub replaces: Option<ReleaseId>,
    pub state: OutcomeState,
    pub difference: Difference,
    /// What it newly asks for, in words.
    pub asks: Vec<String>,
    /// Another rule for the order: what waits goes first.
    pub reorders: bool,
    pub waiting: u64,
    /// How it has to be approved; null where it has not.
    pub approval: Option<ApprovalState>,
    /// What is tried of the integration now, which ends where another release is activated.
    pub ends: Option<Ends>,
}

/// A trial that ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ends {
    pub release: ReleaseId,
    /// `canary` or `shadow`.
    pub tried_as: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeState {
    Unchanged,
    WouldBeActivated,
    Activated,
    WouldWaitForApproval,
    WaitsForApproval,
    WouldBeTried,
    Tried,
    WouldBeShadow,
    Shadow,
}

impl OutcomeState {
    /// Where what is asked for is done, and where it would be.
    fn done(trying: Option<Trying>) -> Self {
        match trying {
            None => Self::Activated,
            Some(Trying::Canary(_)) => Self::Tried,
            Some(Trying::Shadow) => Self::Shadow,
        }
    }

    fn would_be(trying: Option<Trying>) -> Self {
        match trying {
            None => Self::WouldBeActivated,
            Some(Trying::Canary(_)) => Self::WouldBeTried,
            Some(Trying::Shadow) => Self::WouldBeShadow,
        }
    }
}

/// Makes releases the active ones.
pub async fn deploy(State(api): State<Arc<Api>>, who: Who, request: Request) -> Result<Response<Body>, Refusal> {
    let body = api.body(request, RELEASES_LIMITS).await?;
    let asked: DeployRequest = serde_json::from_slice(&body.bytes).map_err(|error| wrong(format!("the body: {error}")))?;
    drop(body);
    let how = match asked.how.as_deref() {
        None => How::Deploy,
        Some(word) => How::parse(word).filter(|how| *how != How::Rollback).ok_or_else(|| wrong("`how`: deploy or promote"))?,
    };
    if asked.releases.is_empty() || asked.releases.len() > RELEASES_MAX {
        return Err(wrong(format!("`releases`: from 1 to {RELEASES_MAX}")));
    }
    let mut wanted = Vec::with_capacity(asked.releases.len());
    for Asked { integration, file, plugins, replaces } in asked.releases {
        if wanted.iter().any(|other: &Wanted| other.release.integration == integration) {
            return Err(wrong(format!("`releases`: {integration} is there twice")));
        }
        if file.len() > FILE_BYTES_MAX {
            return Err(wrong(format!("`file` of {integration}: at most {FILE_BYTES_MAX} bytes")));
        }
        wanted.push(Wanted { release: Release { integration, file, plugins }, replaces });
    }
    let (plan, trying) = (asked.plan, trying(asked.canary_per_mille, asked.shadow)?);
    if trying.is_some() && wanted.len() != 1 {
        return Err(wrong("`canary-per-mille`, `shadow`: one release at a time"));
    }
    let parts = api.parts.clone();
    let done = to_its_end(async move {
        let environment = parts.environment.running().await;
        let changing = parts.releases.change().await;
        who.must_last(parts.clock.now())?;
        let considered = changing.consider(wanted, &environment).await?;
        if let Some(trying) = trying {
            considered.switches.iter().try_for_each(|switch| changing.may_try(switch, trying))?;
        }
        if plan {
            outcomes(&parts, &considered, (OutcomeState::WouldWaitForApproval, OutcomeState::would_be(trying))).await
        } else {
            Deploying { parts: &parts, changing: &changing, environment: &environment, who: &who, how, trying }.go(considered).await
        }
    });
    answered(plan, done.await?)
}

fn trying(share: Option<u32>, shadow: bool) -> Result<Option<Trying>, Refusal> {
    match (share, shadow) {
        (None, false) => Ok(None),
        (None, true) => Ok(Some(Trying::Shadow)),
        (Some(_), true) => Err(wrong("`canary-per-mille`, `shadow`: one or the other")),
        (Some(share), false) if (1..WHOLE).contains(&share) => Ok(Some(Trying::Canary(share))),
        (Some(_), false) => Err(wrong("`canary-per-mille`: a part of the keys, from 1 to 999 thousandths")),
    }
}

/// Makes an earlier release the active one again.
pub async fn roll_back(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    let RollbackRequest { release, plan } = api.json(request).await?;
    let release = release.map(|release| prefix(&release)).transpose()?;
    known::integration(&api.parts, Some(&name)).await?;
    let parts = api.parts.clone();
    let done = to_its_end(async move {
        let environment = parts.environment.running().await;
        let changing = parts.releases.change().await;
        who.must_last(parts.clock.now())?;
        let release = changing.find(&name, release.as_deref()).await?;
        let considered = changing.consider(vec![Wanted { release, replaces: None }], &environment).await?;
        // It was active once: whoever had to approve it has.
        let considered = if was_active(&parts, &considered).await? { considered.approved() } else { considered };
        let how = How::Rollback;
        if plan {
            outcomes(&parts, &considered, (OutcomeState::WouldWaitForApproval, OutcomeState::WouldBeActivated)).await
        } else {
            Deploying { parts: &parts, changing: &changing, environment: &environment, who: &who, how, trying: None }.go(considered).await
        }
    });
    answered(plan, done.await?)
}

/// [`deploy`] for who started the host.
///
/// # Errors
/// Everything that is wrong; nothing was changed then.
pub(super) async fn deploy_local(parts: &ApiParts, releases: Vec<Release>) -> Result<Value, Problems> {
    let who = Who::local();
    let environment = parts.environment.running().await;
    let changing = parts.releases.change().await;
    let wanted = releases.into_iter().map(|release| Wanted { release, replaces: None }).collect();
    let deploying = Deploying { parts, changing: &changing, environment: &environment, who: &who, how: How::Deploy, trying: None };
    let done = async { deploying.go(changing.consider(wanted, &environment).await?).await };
    match done.await {
        Ok(integrations) => Ok(json!({ "integrations": integrations })),
        Err(NotSwitched::Wrong(problems)) => Err(problems),
        Err(NotSwitched::Conflict(problem) | NotSwitched::NotFound(problem)) => Err(problem.into()),
        Err(NotSwitched::Lacks(plugins)) => {
            let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name.as_str()).collect();
            Err(Problem::new(Code::PluginsLacking, format!("the data folder lacks {}", names.join(", "))).into())
        }
        Err(NotSwitched::Store(error)) => Err(error.problem("releases").into()),
        Err(NotSwitched::TokenEnded) => Err(super::never_ends().into()),
    }
}

impl From<Ended> for NotSwitched {
    fn from(_: Ended) -> Self {
        Self::TokenEnded
    }
}

async fn was_active(parts: &ApiParts, considered: &Considered) -> Result<bool, NotSwitched> {
    let Some(switch) = considered.switches.first() else { return Ok(true) };
    let known = parts.store.releases().of(&switch.after.integration.name).await?;
    Ok(known.iter().any(|stored| stored.id == switch.after.id && stored.activated.is_some()))
}

/// Whoever deploys, and what it takes.
pub(super) struct Deploying<'a> {
    pub parts: &'a ApiParts,
    pub changing: &'a Changing<'a>,
    pub environment: &'a EnvironmentFile,
    pub who: &'a Who,
    pub how: How,
    /// How the one release is tried; none: it becomes the active one.
    pub trying: Option<Trying>,
}

impl Deploying<'_> {
    /// Switches what nobody has to approve any more; the rest waits.
    pub(super) async fn go(&self, considered: Considered) -> Result<Vec<Outcome>, NotSwitched> {
        // To look at what is wanted may have taken its time.
        self.who.must_last(self.parts.clock.now())?;
        let Considered { unchanged, switches, mut routes } = considered;
        let mut outcomes: Vec<Outcome> = unchanged.iter().map(outcome_of_unchanged).collect();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for switch in switches {
            let approval = approving::state(self.parts, &switch).await?;
            let waits = approval.as_ref().is_some_and(|approval| !approval.is_enough());
            let state = if waits { OutcomeState::WaitsForApproval } else { OutcomeState::done(self.trying) };
            outcomes.push(outcome(self.parts, &switch, approval, state));
            if waits { later.push(switch) } else { now.push(switch) }
        }
        if !later.is_empty() && !now.is_empty() {
            // They were considered beside those that wait. What does not fit without them stops all of it, before anything is stored.
            let wanted = now.iter().map(|switch| Wanted { release: switch.after.release.clone(), replaces: None }).collect();
            Considered { switches: now, routes, .. } = self.changing.consider(wanted, self.environment).await?;
        }
        if !later.is_empty() {
            self.changing.keep(&later, self.who.name()).await?;
            for switch in &later {
                approving::propose(self.parts, self.who, switch, self.trying).await?;
            }
        }
        if let Some(trying) = self.trying {
            for switch in &now {
                let note = about(self.who, self.parts, start_act(trying), &switch.after.integration.name);
                let mut after = json!({ "release": switch.after.id });
                if let Trying::Canary(share) = trying {
                    after["share-per-mille"] = share.into();
                }
                self.changing.start_trial(switch, trying, self.who.name(), note.after(after)).await?;
            }
            return Ok(outcomes);
        }
        self.changing.switch(now, routes, self.who.by(self.how)).await?;
        outcomes.sort_by(|one, other| one.integration.cmp(&other.integration));
        Ok(outcomes)
    }
}

/// What would follow from each, where nothing is done: how one stands that nobody has approved yet, and one that nobody has to.
pub(super) async fn outcomes(
    parts: &ApiParts,
    considered: &Considered,
    (waiting, done): (OutcomeState, OutcomeState),
) -> Result<Vec<Outcome>, NotSwitched> {
    let mut outcomes: Vec<Outcome> = considered.unchanged.iter().map(outcome_of_unchanged).collect();
    for switch in &considered.switches {
        let approval = approving::state(parts, switch).await?;
        let waits = approval.as_ref().is_some_and(|approval| !approval.is_enough());
        outcomes.push(outcome(parts, switch, approval, if waits { waiting } else { done }));
    }
    outcomes.sort_by(|one, other| one.integration.cmp(&other.integration));
    Ok(outcomes)
}

fn outcome(parts: &ApiParts, switch: &Switch, approval: Option<ApprovalState>, state: OutcomeState) -> Outcome {
    let tried = parts.releases.tried(&switch.after.integration.name);
    let ends = |tried: &Beside| Ends { release: tried.candidate().release.clone(), tried_as: command(how(tried)) };
    let activates = matches!(state, OutcomeState::WouldBeActivated | OutcomeState::Activated);
    Outcome {
        integration: switch.after.integration.name.clone(),
        release: switch.after.id.clone(),
        replaces: switch.before.as_ref().map(|before| before.id.clone()),
        state,
        difference: switch.difference.clone(),
        asks: switch.asks.clone(),
        reorders: switch.reorders,
        waiting: switch.waiting,
        approval,
        ends: tried.as_ref().filter(|_| activates).map(ends),
    }
}

fn outcome_of_unchanged(active: &crate::releases::Active) -> Outcome {
    Outcome {
        integration: active.integration.name.clone(),
        release: active.id.clone(),
        replaces: Some(active.id.clone()),
        state: OutcomeState::Unchanged,
        difference: Difference::default(),
        asks: Vec::new(),
        reorders: false,
        waiting: 0,
        approval: None,
        ends: None,
    }
}

pub(super) fn answered(plan: bool, done: Result<Vec<Outcome>, NotSwitched>) -> Result<Response<Body>, Refusal> {
    match done {
        Ok(integrations) => Ok(answer::json(StatusCode::OK, &json!({ "plan": plan, "integrations": integrations }))),
        Err(why) => not_switched(why),
    }
}

/// Why nothing was switched, with all that is wrong, or all that is lacking.
pub(super) fn not_switched(why: NotSwitched) -> Result<Response<Body>, Refusal> {
    let (status, code, detail, more): (_, _, _, (&str, Value)) = match why {
        NotSwitched::Store(error) => return Err(refusal(&error)),
        NotSwitched::TokenEnded => return Err(Ended.into()),
        NotSwitched::Lacks(plugins) => {
            let detail = "the host lacks plugins of these releases; send them to /api/v1/plugins/{digest} first";
            (StatusCode::CONFLICT, Code::PluginsLacking, detail.to_owned(), ("lacks", json!(plugins)))
        }
        NotSwitched::Conflict(problem) => return Ok(alone(StatusCode::CONFLICT, &problem)),
        NotSwitched::NotFound(problem) => return Ok(alone(StatusCode::NOT_FOUND, &problem)),
        NotSwitched::Wrong(Problems(problems)) => {
            let code = problems.first().map_or(Code::Internal, |problem| problem.code);
            let detail = "a release does not fit what runs; nothing was changed";
            let problems = serde_json::to_value(&problems).unwrap_or_default();
            (StatusCode::UNPROCESSABLE_ENTITY, code, detail.to_owned(), ("problems", problems))
        }
    };
    let refusal = Refusal::new(status, code, detail);
    let mut body = refusal.body();
    body[more.0] = more.1;
    Ok(answer::problem(status, &body))
}

fn alone(status: StatusCode, problem: &Problem) -> Response<Body> {
    let mut body = Refusal::new(status, problem.code, problem.message.clone()).body();
    body["fix"] = problem.fix.clone().into();
    answer::problem(status, &body)
}

/// One release, as it is stored.
pub async fn show(
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let id = named(id)?;
    Parameters::parse(request.uri().query()).finish()?;
    let releases = api.parts.store.releases();
    let found = releases.get(&ReleaseId(id.to_ascii_lowercase())).await.map_err(|error| refusal(&error))?;
    let missing = || Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, "there is no release with this id");
    let release = found.ok_or_else(missing)?;
    let author = releases.author(&release.id()).await.map_err(|error| refusal(&error))?;
    let mut body = json!(release);
    body["release"] = json!(release.id());
    body["author"] = author.into();
    Ok(answer::json(StatusCode::OK, &body))
}

/// The beginning of a release's id, as people type it.
pub(super) fn prefix(text: &str) -> Result<String, Refusal> {
    let is_one = (6..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one { Ok(text.to_ascii_lowercase()) } else { Err(wrong("`release`: at least the first 6 digits of its id")) }
}

/// For the audit trail.
pub(super) fn about(who: &Who, parts: &ApiParts, act: Act, integration: &str) -> Note {
    who.note(parts.clock.now(), act, format!("integration {integration}"))
}
