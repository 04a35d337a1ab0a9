//! Which releases an integration has had, what is tried of it and what waits for approval: `GET /api/v1/integrations/{name}/releases` and
//! `GET /api/v1/approvals`, and what the console shows of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde::{Serialize, Serializer};
use serde_json::json;

use super::api::{Api, ApiParts};
use super::approving::{self, ApprovalState};
use super::known;
use super::parameters::{Parameters, named};
use super::store_refusal::refusal;
use crate::clock::Timestamp;
use crate::config::changes::changes;
use crate::delivery::{Beside, Figures};
use crate::ingress::answer::{self, Refusal};
use crate::integration::{PinnedPlugin, ReleaseId, Trying};
use crate::message_store::StoreError;
use crate::message_store::sqlite::{Proposal, StoredRelease};
use crate::rehearsal::Verdict;
use crate::releases::shadow::Shadowed;
use crate::releases::trying::command;

/// The releases of an integration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listing {
    pub integration: String,
    /// The one first that was activated or stored last.
    pub releases: Vec<Listed>,
    pub waits_for_approval: Option<Waiting>,
    pub canary: Option<Tried>,
    pub shadow: Option<ShadowStanding>,
}

/// One release.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    pub release: ReleaseId,
    /// A word: `active`, `tried`, `shadow`, `waits-for-approval`, `was-active`, `never-active`.
    pub state: &'static str,
    #[serde(serialize_with = "in_words")]
    pub stored_at: Timestamp,
    /// Who brought it; none where that was not written down.
    pub author: Option<String>,
    #[serde(serialize_with = "maybe_in_words")]
    pub activated_at: Option<Timestamp>,
    pub activated_by: Option<String>,
    pub how: Option<String>,
    pub plugins: Vec<PinnedPlugin>,
    /// What was another before; none for the first.
    pub changed: Option<Changed>,
}

/// What is another than in the release that was activated before.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    pub since: ReleaseId,
    /// Keys of the file.
    pub file: Vec<String>,
    pub plugins: Vec<PinnedPlugin>,
}

/// A release that waits for approval.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    pub integration: String,
    pub release: ReleaseId,
    /// What it newly asks for, in words.
    pub asks: Vec<String>,
    pub by: String,
    #[serde(serialize_with = "in_words")]
    pub at: Timestamp,
    /// What it is to be: `active`, `canary` or `shadow`.
    pub to_be: &'static str,
    /// Of the keys, where it is to be a canary.
    pub share_per_mille: Option<u32>,
    #[serde(flatten)]
    pub approval: ApprovalState,
}

/// A release that is tried on a share of the keys.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tried {
    pub release: ReleaseId,
    pub share_per_mille: u32,
    #[serde(serialize_with = "maybe_in_words")]
    pub since: Option<Timestamp>,
    pub by: Option<String>,
    pub figures: Figures,
}

/// A release that is shown what the active one has settled.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShadowStanding {
    pub release: ReleaseId,
    #[serde(serialize_with = "maybe_in_words")]
    pub since: Option<Timestamp>,
    pub by: Option<String>,
    /// Since it began, or the host did.
    #[serde(serialize_with = "in_words")]
    pub counted_since: Timestamp,
    /// Messages told, and how many of each verdict.
    pub messages: usize,
    pub verdicts: BTreeMap<Verdict, usize>,
    /// Attempts that were shown to it and are not told yet.
    pub waiting: usize,
    /// Messages that became several, and wait for all of them to be settled.
    pub under_way: usize,
    /// Messages that it was not shown, or not whole: there was no room.
    pub missed: u64,
}

/// RFC 3339, as every time in the API.
fn in_words<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn maybe_in_words<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

/// What there is to know of the releases of `name`.
///
/// # Errors
/// That the store does not answer.
pub(crate) async fn listing(parts: &ApiParts, name: &str) -> Result<Listing, StoreError> {
    let releases = parts.store.releases();
    let stored = releases.of(name).await?;
    let proposal = releases.proposals().await?.into_iter().find(|one| one.integration == name);
    let waits_for_approval = match proposal {
        Some(proposal) => Some(waiting(parts, proposal).await?),
        None => None,
    };
    let canary = tried(parts, name).await?;
    let shadow = shadowed(parts, name).await?;
    let state = |row: &StoredRelease| match (row.is_active, &row.activated) {
        (true, _) => "active",
        (false, _) if canary.as_ref().is_some_and(|tried| tried.release == row.id) => "tried",
        (false, _) if shadow.as_ref().is_some_and(|shadow| shadow.release == row.id) => "shadow",
        (false, _) if waits_for_approval.as_ref().is_some_and(|waiting| waiting.release == row.id) => "waits-for-approval",
        (false, Some(_)) => "was-active",
        (false, None) => "never-active",
    };
    let listed = stored.iter().zip(1..).map(|(row, next)| {
        // The one it came after: the next that was activated.
        let earlier = stored.iter().skip(next).find(|one| one.activated.is_some());
        listed(row, state(row), earlier)
    });
    Ok(Listing { integration: name.to_owned(), releases: listed.collect(), waits_for_approval, canary, shadow })
}

fn listed(row: &StoredRelease, state: &'static str, earlier: Option<&StoredRelease>) -> Listed {
    let changed = earlier.map(|earlier| Changed {
        since: earlier.id.clone(),
        file: match (&earlier.file, &row.file) {
            (Some(before), Some(after)) => changes(before, after).into_iter().map(|change| change.key).collect(),
            _ => vec!["its file, which is too long to be compared here".to_owned()],
        },
        plugins: row.plugins.iter().filter(|plugin| !earlier.plugins.contains(plugin)).cloned().collect(),
    });
    let activated = row.activated.as_ref();
    Listed {
        release: row.id.clone(),
        state,
        stored_at: row.stored_at,
        author: row.author.clone(),
        activated_at: activated.map(|activated| activated.at),
        activated_by: activated.and_then(|activated| activated.who.clone()),
        how: activated.map(|activated| activated.how.clone()),
        plugins: row.plugins.clone(),
        changed,
    }
}

async fn waiting(parts: &ApiParts, proposal: Proposal) -> Result<Waiting, StoreError> {
    let approval = approving::of_proposal(parts, &proposal).await?;
    let Proposal { integration, release, at, who: by, asks, trying, .. } = proposal;
    let to_be = trying.map_or("active", command);
    let share_per_mille = trying.and_then(|trying| if let Trying::Canary(share) = trying { Some(share) } else { None });
    Ok(Waiting { integration, release, asks, by, at, to_be, share_per_mille, approval })
}

pub(crate) async fn tried(parts: &ApiParts, name: &str) -> Result<Option<Tried>, StoreError> {
    let Some(Beside::Canary(canary)) = parts.releases.tried(name) else { return Ok(None) };
    let (since, by) = begun(parts, name).await?;
    let release = canary.candidate.release.clone();
    Ok(Some(Tried { release, share_per_mille: canary.share, since, by, figures: canary.figures() }))
}

pub(crate) async fn shadowed(parts: &ApiParts, name: &str) -> Result<Option<ShadowStanding>, StoreError> {
    let Some(Shadowed { shadow, beside, counted_since }) = parts.releases.shadowed(name) else { return Ok(None) };
    let (since, by) = begun(parts, name).await?;
    let (messages, verdicts) = beside.look(|report| (report.messages, report.verdicts.clone()));
    let (release, waited) = (shadow.candidate.release.clone(), shadow.waiting());
    let (under_way, missed) = (beside.under_way(), shadow.missed());
    // What went from one to the other meanwhile is in none of both.
    let waiting = waited.max(shadow.waiting());
    Ok(Some(ShadowStanding { release, since, by, counted_since, messages, verdicts, waiting, under_way, missed }))
}

/// Since when something is tried in `name`, and who began it.
async fn begun(parts: &ApiParts, name: &str) -> Result<(Option<Timestamp>, Option<String>), StoreError> {
    let row = parts.store.releases().tried().await?.into_iter().find(|row| row.integration == name);
    Ok(row.map(|row| (row.at, row.who)).unzip())
}

/// The releases of an integration, the newest first.
pub async fn list(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    Parameters::parse(request.uri().query()).finish()?;
    known::integration(&api.parts, Some(&name)).await?;
    let listing = listing(&api.parts, &name).await.map_err(|error| refusal(&error))?;
    Ok(answer::json(StatusCode::OK, &listing))
}

/// What waits for approval on the whole host.
pub async fn approvals(State(api): State<Arc<Api>>, request: Request) -> Result<Response<Body>, Refusal> {
    Parameters::parse(request.uri().query()).finish()?;
    let proposals = api.parts.store.releases().proposals().await.map_err(|error| refusal(&error))?;
    let mut approvals = Vec::with_capacity(proposals.len());
    for proposal in proposals {
        approvals.push(waiting(&api.parts, proposal).await.map_err(|error| refusal(&error))?);
    }
    Ok(answer::json(StatusCode::OK, &json!({ "approvals": approvals })))
}
