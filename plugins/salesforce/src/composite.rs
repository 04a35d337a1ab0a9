//! The composite resource: one request for all records, and what its answer means.
//!
//! <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite.htm>

use lockgate_sdk::{Failure, Receipt, http};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::record::Record;
use crate::verdict::{self, ApiError, Culprit};

/// Everything that could mean something in a path, `.` included.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The request's body. `collateSubrequests` is off because a later record may refer to an earlier one by external id, and collated
/// subrequests run in any order.
pub fn request(records: &[Record<'_>], api_path: &str) -> Value {
    let subrequests: Vec<Value> = records
        .iter()
        .enumerate()
        .map(|(index, record)| {
            let external_id = utf8_percent_encode(record.external_id, PATH_SEGMENT);
            json!({
                "method": "PATCH",
                "url": format!("{api_path}/sobjects/{}/{}/{external_id}", record.kind, record.external_id_field),
                "referenceId": reference_id(index),
                "body": record.fields,
            })
        })
        .collect();
    json!({ "allOrNone": true, "collateSubrequests": false, "compositeRequest": subrequests })
}

fn reference_id(index: usize) -> String {
    format!("record{index}")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    composite_response: Vec<Part>,
}

/// One subrequest's result.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    body: Value,
    http_status_code: u16,
    reference_id: String,
}

impl Part {
    fn is_success(&self) -> bool {
        (200..300).contains(&self.http_status_code)
    }
}

/// What Salesforce made of the records.
///
/// # Errors
///
/// The answer as a whole or one of its parts is an error, sorted by `verdict`; or it cannot be read (transient, `answer-invalid`).
pub fn receipt(records: &[Record<'_>], answer: &http::Response) -> Result<Receipt, Failure> {
    if !answer.is_success() {
        return Err(verdict::of_whole(answer));
    }
    let parts = parts(records, answer)?;
    if parts.iter().all(Part::is_success) {
        return Ok(written(records, &parts));
    }
    let culprits: Vec<Culprit> = records
        .iter()
        .zip(&parts)
        .enumerate()
        .filter(|(_, (_, part))| !part.is_success())
        .map(|(index, (record, part))| Culprit {
            what: format!("{} {} (record {} of {})", record.kind, record.external_id, index + 1, records.len()),
            status: part.http_status_code,
            errors: ApiError::list(&part.body),
        })
        .collect();
    Err(verdict::of_parts(&culprits, answer))
}

/// One part for each record, in the order of the records.
fn parts(records: &[Record<'_>], answer: &http::Response) -> Result<Vec<Part>, Failure> {
    let mut found: Vec<Part> = answer.json::<Answer>()?.composite_response;
    let ordered = (0..records.len()).map(|index| {
        let position = found.iter().position(|part| part.reference_id == reference_id(index))?;
        Some(found.swap_remove(position))
    });
    let ordered: Option<Vec<Part>> = ordered.collect();
    ordered.ok_or_else(|| {
        let detail = format!("Salesforce answered without a result for each of {} records: {}", records.len(), answer.excerpt());
        Failure::transient("answer-invalid", detail)
    })
}

/// The receipt has the id of the last record, which is the one the others were written for; the detail has all of them. An
/// answer 204 (updates before API version 46) has no id.
fn written(records: &[Record<'_>], parts: &[Part]) -> Receipt {
    let id = |part: &Part| part.body.get("id").and_then(Value::as_str).map(str::to_owned);
    let all = records.iter().zip(parts).map(|(record, part)| {
        json!({ "type": record.kind, "externalId": record.external_id, "id": id(part), "created": part.http_status_code == 201 })
    });
    let detail = Some(Value::Array(all.collect()).to_string());
    Receipt { remote_id: parts.last().and_then(id), remote_version: None, detail }
}
