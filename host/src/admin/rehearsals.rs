//! Reports of rehearsals in the API: those that are kept of an integration, and one of them.

use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::api::{Api, ApiParts};
use super::known;
use super::parameters::{Parameters, wrong};
use crate::ingress::answer::{self, Refusal};
use crate::problem::Code;
use crate::rehearsal::Report;
use crate::rehearsal::kept::{self, Kept};

/// Those that are kept of `integration`, the latest first.
pub(crate) async fn of(parts: &ApiParts, integration: &str) -> Vec<Kept> {
    beside(parts, integration, |data, integration| kept::list(&data, &integration)).await.unwrap_or_default()
}

/// One of them.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn one(parts: &ApiParts, integration: &str, id: &str) -> Result<Report, Refusal> {
    let wanted = id.to_owned();
    let report = beside(parts, integration, move |data, integration| kept::read(&data, &integration, &wanted)).await.flatten();
    report.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("no report {id} of {integration} is kept")))
}

/// Files are read beside who waits for other things. Of a name that is none of an integration's nothing is.
async fn beside<T: Send + 'static>(
    parts: &ApiParts,
    integration: &str,
    read: impl FnOnce(PathBuf, String) -> T + Send + 'static,
) -> Option<T> {
    if !crate::config::is_name(integration) {
        return None;
    }
    let (data, integration) = (parts.data.clone(), integration.to_owned());
    tokio::task::spawn_blocking(move || read(data, integration)).await.ok()
}

/// `GET /api/v1/integrations/{name}/rehearsals`
pub async fn list(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let name = super::parameters::named(name)?;
    Parameters::parse(request.uri().query()).finish()?;
    known::integration(&api.parts, Some(&name)).await?;
    let rehearsals: Vec<Value> = of(&api.parts, &name).await.iter().map(shown).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "rehearsals": rehearsals })))
}

fn shown(kept: &Kept) -> Value {
    let mut shown = json!(kept);
    shown["made-at"] = json!(kept.made_at().to_string());
    shown
}

/// `GET /api/v1/integrations/{name}/rehearsals/{id}`
pub async fn show(
    State(api): State<Arc<Api>>,
    path: Result<Path<(String, String)>, PathRejection>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    let Path((name, id)) = path.map_err(|_| wrong("the path is not UTF-8"))?;
    Parameters::parse(request.uri().query()).finish()?;
    known::integration(&api.parts, Some(&name)).await?;
    Ok(answer::json(StatusCode::OK, &one(&api.parts, &name, &id).await?))
}
