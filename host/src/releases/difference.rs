//! [`Difference`]: what is another in a release than in the one it would replace, for whoever deploys it or looks back.

use serde::{Deserialize, Serialize};

use super::Active;
use crate::config::changes::{Change, changes};
use crate::integration::PinnedPlugin;

/// What differs between two releases of an integration; of the first one, all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Values of the integration's file.
    pub file: Vec<Change>,
    /// Plugins, by the place where they are used.
    pub plugins: Vec<PluginChange>,
}

/// Another plugin in one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginChange {
    /// `step 1`, `sink`.
    pub place: String,
    pub before: Option<PinnedPlugin>,
    pub after: Option<PinnedPlugin>,
}

impl Difference {
    /// What is another in `after`.
    pub fn between(before: Option<&Active>, after: &Active) -> Self {
        Self { file: changes(before.map_or("", |before| &before.release.file), &after.release.file), plugins: plugins(before, after) }
    }
}

fn plugins(before: Option<&Active>, after: &Active) -> Vec<PluginChange> {
    let (before, after) = (before.map(placed).unwrap_or_default(), placed(after));
    let mut places: Vec<&String> = before.iter().map(|(place, _)| place).collect();
    places.extend(after.iter().map(|(place, _)| place).filter(|place| !before.iter().any(|(other, _)| other == *place)));
    let find = |all: &[(String, PinnedPlugin)], place: &str| all.iter().find(|(other, _)| other == place).map(|(_, pinned)| pinned.clone());
    let change = |place: &String| PluginChange { place: place.clone(), before: find(&before, place), after: find(&after, place) };
    places.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

fn placed(active: &Active) -> Vec<(String, PinnedPlugin)> {
    active.integration.uses().map(|(place, _)| place).zip(active.release.plugins.iter().cloned()).collect()
}
