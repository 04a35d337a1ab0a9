//! `config`: the integration's configuration for this step.

use crate::plugin::Call;

/// The JSON object as text.
pub fn get(call: &Call) -> String {
    if call.config.trim().is_empty() { "{}".to_owned() } else { call.config.as_ref().to_owned() }
}
