//! What the API says where the message store does not answer.

use std::time::Duration;

use http::StatusCode;

use crate::ingress::answer::Refusal;
use crate::message_store::StoreError;
use crate::problem::Code;

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// 503 with the store's own code; the log has the rest.
pub fn refusal(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the message store did not answer the admin API");
    let (code, detail) = match error {
        StoreError::Closed => (Code::ShuttingDown, "the host is going down"),
        StoreError::Full => (Code::DiskFull, "the disk of the data folder is full; free space on it"),
        StoreError::Failed(problem) => (problem.code, "the message store failed; the log says why"),
        StoreError::Retired(_) => (Code::Retired, "the integration is retired"),
        StoreError::Busy | StoreError::NotLeased | StoreError::NoSuchDeadLetter | StoreError::NotOpen(_) => {
            (Code::StoreFailed, "the message store is busy; try again")
        }
    };
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(RETRY_AFTER)
}
