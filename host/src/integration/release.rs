//! [`Release`]: an immutable, content-addressed version of one integration.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 over a release's canonical JSON, as 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub String);

impl ReleaseId {
    /// The first 12 digits: enough for people.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a release is tried beside the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trying {
    /// It delivers what has so many thousandths of the keys.
    Canary(u32),
    /// It runs on what the active release has settled, and delivers nothing.
    Shadow,
}

/// A plugin at exactly one version and content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PinnedPlugin {
    pub name: String,
    pub version: semver::Version,
    /// SHA-256 over the component's bytes, as 64 hex digits.
    pub digest: String,
}

/// What is deployed: the integration's file as it was, and its plugins pinned, in the order of `Integration::uses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub integration: String,
    /// The text of `integrations/<name>.toml`.
    pub file: String,
    /// One for every use, steps first, then the sink if it is a plugin.
    pub plugins: Vec<PinnedPlugin>,
}

impl Release {
    /// The content address. The JSON has a fixed order of fields, so equal releases have equal ids.
    pub fn id(&self) -> ReleaseId {
        let json = serde_json::to_vec(self).unwrap_or_default();
        ReleaseId(hex::encode(Sha256::digest(json)))
    }
}
