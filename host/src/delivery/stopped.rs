//! [`Stopped`]: why a way ended before its end.

use crate::message::FailureClass;
use crate::plugin::{CallFailure, Obstacle};

/// What ended a way early.
#[derive(Debug)]
pub enum Stopped {
    /// A call failed, or what it gave back cannot be used.
    Failed { failure: CallFailure, obstacle: Option<Obstacle> },
    /// The host ends. The call that was under way was left where it was; what it had sent is sent.
    Interrupted,
}

impl Stopped {
    /// The host stopped it.
    pub fn fault(class: FailureClass, detail: String) -> Self {
        Self::Failed { failure: CallFailure::Fault { class, detail }, obstacle: None }
    }

    /// A panic in the host's own code. Not the message's fault, so it is tried again, later and later.
    pub fn panicked() -> Self {
        let detail = "the host panicked while it delivered this message; its log says where".to_owned();
        let failure = CallFailure::Transient { code: "host-panicked".to_owned(), detail, retry_after: None };
        Self::Failed { failure, obstacle: None }
    }

    /// Code and detail for the ledger: the obstacle if there was one, else what the plugin or the host said.
    pub fn why(&self) -> (String, String) {
        match self {
            Self::Failed { obstacle: Some(obstacle), .. } => {
                (obstacle.kind.as_str().to_owned(), format!("alias {}: {}", obstacle.alias, obstacle.detail))
            }
            Self::Failed { failure, obstacle: None } => match failure {
                CallFailure::Transient { code, detail, .. } | CallFailure::Permanent { code, detail } => (code.clone(), detail.clone()),
                CallFailure::Fault { class, detail } => (class.as_str().to_owned(), detail.clone()),
            },
            Self::Interrupted => {
                let detail = "the host was stopped while this message was under way; the next start runs it again";
                ("host-stopped".to_owned(), detail.to_owned())
            }
        }
    }
}
