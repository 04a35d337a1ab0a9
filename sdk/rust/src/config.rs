//! The configuration of the step a plugin runs as.

use serde::de::DeserializeOwned;

use crate::{Failure, imports};

/// The step's configuration, as the integration gives it, with `{values.…}` filled in from the environment.
///
/// Give the type `#[serde(deny_unknown_fields)]` where a misspelt key should be noticed, and `#[serde(default)]` for what
/// has a default. Called outside a component and outside [`testing::Host::run`](crate::testing::Host::run), it panics.
///
/// # Errors
///
/// Permanent, `config-invalid`: the configuration does not fit `T`; the detail says where.
pub fn config<T: DeserializeOwned>() -> Result<T, Failure> {
    serde_json::from_str(&imports::config_get())
        .map_err(|error| Failure::permanent("config-invalid", format!("the configuration of this step does not fit the plugin: {error}")))
}
