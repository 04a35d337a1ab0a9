//! Which of Salesforce's errors may pass, and which will not.
//!
//! Codes and meanings: SOAP API Developer Guide, "Core Data Types Used in API Calls" (`StatusCode`, `ExceptionCode`), which the REST API
//! shares: <https://developer.salesforce.com/docs/atlas.en-us.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm>; HTTP
//! statuses: <https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm>.

use lockgate_sdk::{Failure, http};
use serde::Deserialize;
use serde_json::Value;

/// What a subrequest says that only failed because another one did. Never the cause.
const HALTED: &str = "PROCESSING_HALTED";

/// Errors that say something about the org's state at this moment, not about the record.
const TRANSIENT: [&str; 11] = [
    // Another transaction holds the record, or there was a deadlock.
    "UNABLE_TO_LOCK_ROW",
    // Concurrent or daily API requests are used up.
    "REQUEST_LIMIT_EXCEEDED",
    "REQUEST_RUNNING_TOO_LONG",
    "QUERY_TIMEOUT",
    "SERVER_UNAVAILABLE",
    "API_CURRENTLY_DISABLED",
    "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
    // The instance is being upgraded.
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
    "PLATFORM_EVENT_PUBLISHING_UNAVAILABLE",
    // The host refreshes credentials; by the next attempt it has.
    "INVALID_SESSION_ID",
    // An internal error on Salesforce's side.
    "UNKNOWN_EXCEPTION",
];

const DETAIL_ERRORS_MAX: usize = 8;

/// One error as Salesforce writes it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ApiError {
    #[serde(rename = "errorCode")]
    pub code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub fields: Vec<String>,
}

impl ApiError {
    /// The errors in a body; none if it holds none that can be read.
    pub fn list(body: &Value) -> Vec<ApiError> {
        let read = |item: &Value| ApiError::deserialize(item).ok();
        body.as_array().map(|items| items.iter().filter_map(read).collect()).unwrap_or_default()
    }
}

/// A subrequest that failed.
#[derive(Debug)]
pub struct Culprit {
    /// Which record, for people.
    pub what: String,
    pub status: u16,
    pub errors: Vec<ApiError>,
}

/// Whether an error may pass: by its code where that is known to, else by its HTTP status.
pub fn may_pass(code: &str, status: u16) -> bool {
    TRANSIENT.contains(&code) || matches!(status, 408 | 425 | 429 | 500..=599)
}

/// The failure of an answer that is an error as a whole.
pub fn of_whole(answer: &http::Response) -> Failure {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let errors = ApiError::list(&body);
    if errors.is_empty() {
        // A proxy's or a maintenance page: only the status says something.
        return answer.failure();
    }
    of_parts(&[Culprit { what: format!("HTTP {}", answer.status), status: answer.status, errors }], answer)
}

/// The failure of an answer with failed parts. A single error that will not pass makes the whole permanent, since the next attempt
/// would meet it again.
pub fn of_parts(culprits: &[Culprit], answer: &http::Response) -> Failure {
    let causes: Vec<Cause> = culprits.iter().flat_map(causes).collect();
    let detail = causes.iter().take(DETAIL_ERRORS_MAX).map(|cause| cause.detail.as_str()).collect::<Vec<_>>().join("; ");
    if let Some(lasting) = causes.iter().find(|cause| !cause.may_pass) {
        return Failure::permanent(&lasting.code, detail);
    }
    let failure = match causes.first() {
        Some(cause) => Failure::transient(&cause.code, detail),
        None => Failure::transient("processing-halted", "Salesforce rolled everything back and named no record as the cause"),
    };
    match answer.retry_after() {
        Some(wait) => failure.retry_after(wait),
        None => failure,
    }
}

struct Cause {
    code: String,
    detail: String,
    may_pass: bool,
}

/// Why a subrequest failed by itself; nothing if it only stopped because another one did.
fn causes(culprit: &Culprit) -> Vec<Cause> {
    let Culprit { what, status, errors } = culprit;
    if *status == 300 {
        // The body lists the records that share the external id.
        let detail = format!("{what}: several records in Salesforce have this external id; merge or correct them there");
        return vec![Cause { code: "external-id-not-unique".into(), detail, may_pass: false }];
    }
    if errors.is_empty() {
        return vec![Cause { code: format!("http-{status}"), detail: format!("{what}: HTTP {status}"), may_pass: may_pass("", *status) }];
    }
    let own = errors.iter().filter(|error| error.code != HALTED);
    own.map(|error| Cause { code: stable(&error.code), detail: describe(what, error), may_pass: may_pass(&error.code, *status) }).collect()
}

fn describe(what: &str, error: &ApiError) -> String {
    const MESSAGE_CHARS_MAX: usize = 400;
    let message: String = error.message.chars().take(MESSAGE_CHARS_MAX).collect();
    let fields = if error.fields.is_empty() { String::new() } else { format!(" [{}]", error.fields.join(", ")) };
    format!("{what}: {}{fields}: {message}", error.code)
}

/// `UNABLE_TO_LOCK_ROW` as this project writes codes: `unable-to-lock-row`.
fn stable(code: &str) -> String {
    code.chars().take(80).map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}
