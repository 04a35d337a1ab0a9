//! What is tried beside the active release, in the API: how its shadow does (`GET /api/v1/integrations/{name}/shadow`), and its end, one way or
//! the other (`POST …/canary`, `POST …/shadow`).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::api::Api;
use super::known;
use super::parameters::{Parameters, named};
use super::release_list::shadowed;
use super::releases::{Deploying, about, answered, not_switched};
use super::store_refusal::refusal;
use super::to_its_end::to_its_end;
use super::who::Who;
use crate::ingress::answer::{self, Refusal};
use crate::integration::{ReleaseId, Trying};
use crate::message_store::sqlite::How;
use crate::problem::{Code, Problem};
use crate::releases::consider::Wanted;
use crate::releases::live::NotSwitched;
use crate::releases::trying::{command, end_act, how};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct EndRequest {
    act: EndAct,
    /// The beginning of the id of what is to be ended, as whoever asks has seen it; absent: whatever is tried.
    #[serde(default)]
    release: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum EndAct {
    /// What is tried becomes the active release.
    Finish,
    /// All stays with the active release.
    Abort,
}

/// Ends what is tried on a share of the keys.
pub async fn end_canary(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    end(api, who, named(name)?, request, How::Canary).await
}

/// Ends a shadow.
pub async fn end_shadow(
    State(api): State<Arc<Api>>,
    who: Who,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    end(api, who, named(name)?, request, How::Shadow).await
}

async fn end(api: Arc<Api>, who: Who, name: String, request: Request, wanted: How) -> Result<Response<Body>, Refusal> {
    let EndRequest { act, release: meant } = api.json(request).await?;
    known::integration(&api.parts, Some(&name)).await?;
    let parts = api.parts.clone();
    let done = to_its_end(async move {
        let environment = parts.environment.running().await;
        let changing = parts.releases.change().await;
        who.must_last(parts.clock.now())?;
        let tried = changing.tried(&name)?;
        let trying = how(&tried);
        must_be(wanted, trying, &name)?;
        let release = tried.candidate().release.clone();
        must_be_meant(meant.as_deref(), &release, &name)?;
        if act == EndAct::Abort {
            let note = about(&who, &parts, end_act(trying), &name).before(release.0.as_str());
            let note = note.after(json!({ "why": "aborted", "figures": parts.releases.figures_of(&name) }));
            changing.end_trial(&name, "aborted", note).await?;
            return Ok(Vec::new());
        }
        let release = changing.find(&name, Some(&release.0)).await?;
        let considered = changing.consider(vec![Wanted { release, replaces: None }], &environment).await?;
        // What was approved to be tried stays approved; where more is asked by now, it waits.
        let deploying = Deploying { parts: &parts, changing: &changing, environment: &environment, who: &who, how: wanted, trying: None };
        deploying.go(considered).await
    });
    answered(false, done.await?)
}

/// A canary is not ended as a shadow, nor the other way round: whoever asks takes it for something else.
fn must_be(wanted: How, trying: Trying, name: &str) -> Result<(), NotSwitched> {
    let is_wanted = match trying {
        Trying::Canary(_) => wanted == How::Canary,
        Trying::Shadow => wanted == How::Shadow,
    };
    if is_wanted {
        return Ok(());
    }
    let command = command(trying);
    let problem = Problem::new(Code::NotFound, format!("{name} tries its release as a {command}, not as a {}", wanted.as_str()));
    Err(NotSwitched::NotFound(problem.fix(format!("lockgate {command} finish {name}, or lockgate {command} abort {name}"))))
}

/// Whoever looked at one release does not end another, which somebody began to try meanwhile.
fn must_be_meant(meant: Option<&str>, tried: &ReleaseId, name: &str) -> Result<(), NotSwitched> {
    if meant.is_none_or(|meant| !meant.is_empty() && tried.0.starts_with(meant)) {
        return Ok(());
    }
    let message = format!("{name} tries release {}, which is not the one that is to be ended: somebody began it meanwhile", tried.short());
    let fix = format!("look at how it does with `lockgate releases {name}`, then end it by its own id");
    Err(NotSwitched::Conflict(Problem::new(Code::ReleaseMoved, message).fix(fix)))
}

/// What the shadow of an integration would have made of its messages, so far.
pub async fn show_shadow(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = named(name)?;
    Parameters::parse(request.uri().query()).finish()?;
    known::integration(&api.parts, Some(&name)).await?;
    let standing = shadowed(&api.parts, &name).await.map_err(|error| refusal(&error))?;
    let report = api.parts.releases.shadowed(&name).map(|shadowed| shadowed.beside.report());
    let (Some(standing), Some(report)) = (standing, report) else {
        let problem = Problem::new(Code::NotFound, format!("{name} has no shadow"));
        return not_switched(NotSwitched::NotFound(problem.fix(format!(
            "begin one with `lockgate deploy {name} --shadow`; `lockgate releases {name}` shows what is tried, and what waits for approval"
        ))));
    };
    Ok(answer::json(StatusCode::OK, &json!({ "shadow": standing, "report": report })))
}
