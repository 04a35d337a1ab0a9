//! `POST /api/v1/integrations/{name}/approve`: somebody approves a release that waits, and the last one needed activates it; `…/reject`: somebody
//! says that it is not to run.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{Api, ApiParts};
use super::operate::why;
use super::parameters::named;
use super::releases::{Deploying, OutcomeState, about, answered, outcomes, prefix};
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::ingress::answer::Refusal;
use crate::integration::Trying;
use crate::message_store::StoreError;
use crate::message_store::audit::Act;
use crate::message_store::sqlite::{Approval, How, Proposal};
use crate::problem::{Code, Problem};
use crate::releases::consider::{Considered, Switch, Wanted};
use crate::releases::live::NotSwitched;
use crate::releases::trying::command;
use crate::telemetry::events::{Event, Kind, Level};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ApproveRequest {
    /// The beginning of its id: who approves or rejects says what.
    release: String,
    /// Why it may run, or may not.
    note: String,
}

impl ApproveRequest {
    async fn read(api: &Api, request: Request) -> Result<(String, String), Refusal> {
        let Self { release, note } = api.json(request).await?;
        let note = why(&note).map_err(|refusal| Refusal { detail: refusal.detail.replacen("`reason`", "`note`", 1), ..refusal })?;
        Ok((prefix(&release)?, note))
    }
}

/// How far a release is with its approvals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApprovalState {
    pub needed: u32,
    /// Who brought it is none of them.
    pub not_author: bool,
    /// Who may not approve it.
    pub authors: Vec<String>,
    /// Those that count.
    pub given: Vec<Given>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given {
    pub by: String,
    pub at: String,
    pub note: String,
}

impl ApprovalState {
    fn of(needed: u32, not_author: bool, authors: Vec<String>, approvals: Vec<Approval>) -> Self {
        let authors = if not_author { authors } else { Vec::new() };
        let counts = approvals.into_iter().filter(|approval| !authors.contains(&approval.who));
        let given = counts.map(|Approval { who, at, note }| Given { by: who, at: at.to_string(), note }).collect();
        Self { needed, not_author, authors, given }
    }

    pub fn is_enough(&self) -> bool {
        u32::try_from(self.given.len()).unwrap_or(u32::MAX) >= self.needed
    }
}

/// How far `switch` is; none where nobody has to approve it.
pub(super) async fn state(parts: &ApiParts, switch: &Switch) -> Result<Option<ApprovalState>, StoreError> {
    let Some(rule) = switch.approval else { return Ok(None) };
    let (integration, id, releases) = (&switch.after.integration.name, &switch.after.id, parts.store.releases());
    let author = releases.author(id).await?;
    let proposed = releases.proposals().await?.into_iter().find(|one| one.integration == *integration && one.release == *id);
    let authors = author.into_iter().chain(proposed.map(|one| one.who)).collect();
    let given = releases.approvals(integration, id).await?;
    Ok(Some(ApprovalState::of(rule.count, rule.not_author, authors, given)))
}

/// How far a release is that waits.
pub(super) async fn of_proposal(parts: &ApiParts, proposal: &Proposal) -> Result<ApprovalState, StoreError> {
    let releases = parts.store.releases();
    let author = releases.author(&proposal.release).await?;
    let authors = author.into_iter().chain([proposal.who.clone()]).collect();
    let given = releases.approvals(&proposal.integration, &proposal.release).await?;
    Ok(ApprovalState::of(proposal.needed, proposal.not_author, authors, given))
}

/// `switch` waits from now on; to be tried, if that is what was asked for.
pub(super) async fn propose(parts: &ApiParts, who: &Who, switch: &Switch, trying: Option<Trying>) -> Result<(), StoreError> {
    let Some(rule) = switch.approval else { return Ok(()) };
    let integration = switch.after.integration.name.clone();
    let note = about(who, parts, Act::Propose, &integration)
        .after(json!({ "release": switch.after.id, "asks": switch.asks, "to-be": trying.map_or("active", command) }));
    let proposal = Proposal {
        integration: integration.clone(),
        release: switch.after.id.clone(),
        at: parts.clock.now(),
        who: who.name().to_owned(),
        needed: rule.count,
        not_author: rule.not_author,
        asks: switch.asks.clone(),
        trying,
    };
    parts.store.releases().propose(proposal, note).await?;
    let release = switch.after.id.short();
    tracing::info!(
        by = who.name(),
        integration,
        release,
        "a release waits for approval: lockgate approve {integration} {release} --note TEXT"
    );
    let event = Event::new(Kind::Operator, Level::Warn, "a release waits for approval").of(&integration);
    parts.events.tell(who.told(event.with("release", release.to_owned())));
    Ok(())
}

/// Approves the release that waits.
pub async fn approve(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    let (release, note) = ApproveRequest::read(&api, request).await?;
    let parts = api.parts.clone();
    let done = to_its_end(async move {
        let environment = parts.environment.running().await;
        let changing = parts.releases.change().await;
        who.must_last(parts.clock.now())?;
        let proposal = waiting(&parts, &name, &release).await?;
        may_approve(&parts, &who, &proposal).await?;
        let Some(release) = parts.store.releases().get(&proposal.release).await? else { return Err(gone(&name, &proposal)) };
        // First: what does not fit any more is not approved.
        let considered = changing.consider(vec![Wanted { release, replaces: None }], &environment).await?;
        who.must_last(parts.clock.now())?;
        let given = Approval { who: who.name().to_owned(), at: parts.clock.now(), note: note.clone() };
        let entry = about(&who, &parts, Act::Approve, &name).after(json!({ "release": proposal.release, "note": note }));
        parts.store.releases().approve(&name, &proposal.release, given, entry).await?;
        tracing::info!(by = who.name(), integration = name, release = proposal.release.short(), "a release was approved");
        // The rule may have been another one when it was proposed; what holds now counts, and that one at least.
        let considered = considered.waiting_for(proposal.needed, proposal.not_author);
        if considered.switches.is_empty() || !is_enough(&parts, &considered).await? {
            // It goes on waiting, for who asked for it.
            return outcomes(&parts, &considered, (OutcomeState::WaitsForApproval, OutcomeState::WouldBeActivated)).await;
        }
        Deploying { parts: &parts, changing: &changing, environment: &environment, who: &who, how: How::Approve, trying: proposal.trying }
            .go(considered)
            .await
    });
    answered(false, done.await?)
}

/// Rejects the release that waits: it waits no more, and whoever deploys it again begins without the approvals it had.
pub async fn reject(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    let (release, note) = ApproveRequest::read(&api, request).await?;
    let parts = api.parts.clone();
    let done = to_its_end(async move {
        let _changing = parts.releases.change().await;
        who.must_last(parts.clock.now())?;
        let proposal = waiting(&parts, &name, &release).await?;
        let entry = about(&who, &parts, Act::Reject, &name).before(proposal.release.0.as_str()).after(json!({ "note": note }));
        if !parts.store.releases().reject(&name, &proposal.release, entry).await? {
            return Err(gone(&name, &proposal));
        }
        let release = proposal.release.short();
        tracing::info!(by = who.name(), integration = name, release, "a release was rejected");
        let event = Event::new(Kind::Operator, Level::Warn, "a release that waited for approval was rejected").of(&name);
        parts.events.tell(who.told(event.with("release", release.to_owned()).with("note", note)));
        Ok(Vec::new())
    });
    answered(false, done.await?)
}

async fn is_enough(parts: &ApiParts, considered: &Considered) -> Result<bool, StoreError> {
    for switch in &considered.switches {
        if state(parts, switch).await?.is_some_and(|state| !state.is_enough()) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn waiting(parts: &ApiParts, name: &str, release: &str) -> Result<Proposal, NotSwitched> {
    let found = parts.store.releases().proposals().await?.into_iter().find(|one| one.integration == name);
    let not_found = |message: String| NotSwitched::NotFound(Problem::new(Code::NotFound, message).fix(format!("lockgate releases {name}")));
    match found {
        None => Err(not_found(format!("no release of {name} waits for approval"))),
        Some(proposal) if !proposal.release.0.starts_with(release) => {
            Err(not_found(format!("release {} of {name} waits for approval, and not {release}", proposal.release.short())))
        }
        Some(proposal) => Ok(proposal),
    }
}

async fn may_approve(parts: &ApiParts, who: &Who, proposal: &Proposal) -> Result<(), NotSwitched> {
    let state = of_proposal(parts, proposal).await?;
    if !state.authors.iter().any(|author| author == who.name()) {
        return Ok(());
    }
    let message =
        format!("release {} of {} was brought by {}, who cannot approve it", proposal.release.short(), proposal.integration, who.name());
    let fix = "let somebody else approve it, with a token of their own (`lockgate token create --role approver`)";
    Err(NotSwitched::Conflict(Problem::new(Code::NotYours, message).fix(fix)))
}

fn gone(name: &str, proposal: &Proposal) -> NotSwitched {
    NotSwitched::NotFound(Problem::new(Code::NotFound, format!("{name} has no release {}", proposal.release.short())))
}
