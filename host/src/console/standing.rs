//! How an integration stands, for a person: what needs one comes first.

use std::cmp::Reverse;
use std::time::Duration;

use super::parts::Tone;
use crate::admin::overview::{AliasOverview, IntegrationOverview, IntegrationState, Overview};

/// The state of an alias that only a person mends.
const REFUSED: &str = "credential-refused";
/// The state of an alias that a person keeps back.
pub const PAUSED: &str = "paused";

/// Worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Dead letters, a credential that is refused, a source that fails, messages that nobody will deliver.
    NeedsPerson,
    /// Waits for a target, and mends itself; or a person keeps it back.
    Held,
    Delivering,
    Idle,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::NeedsPerson, Self::Held, Self::Delivering, Self::Idle];

    pub fn of(integration: &IntegrationOverview, overview: &Overview) -> Self {
        let left_over = integration.state == IntegrationState::Inactive && integration.waiting > 0;
        let failing = integration.sources.iter().any(|source| source.failing().is_some());
        if integration.dead_letters > 0 || left_over || failing || is_refused(integration, overview) {
            return Self::NeedsPerson;
        }
        match integration.state {
            IntegrationState::Held | IntegrationState::Paused => Self::Held,
            IntegrationState::Delivering => Self::Delivering,
            // What it does not deliver is held up by what it goes through, or by who paused it.
            IntegrationState::Retiring
                if integration.paused.is_some() || !integration.held_by.is_empty() || !integration.held_by_readers.is_empty() =>
            {
                Self::Held
            }
            IntegrationState::Retiring => Self::Delivering,
            IntegrationState::Idle | IntegrationState::Inactive => Self::Idle,
        }
    }

    /// As a query has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::NeedsPerson => "needs-a-person",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Idle => "idle",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.word() == word)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::NeedsPerson => "Needs a person",
            Self::Held => "Held",
            Self::Delivering => "Delivering",
            Self::Idle => "Idle",
        }
    }

    pub fn tone(self) -> Tone {
        match self {
            Self::NeedsPerson => Tone::Bad,
            Self::Held => Tone::Warn,
            Self::Delivering => Tone::Good,
            Self::Idle => Tone::Plain,
        }
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether messages of `integration` wait for a credential to be mended.
fn is_refused(integration: &IntegrationOverview, overview: &Overview) -> bool {
    let refused = |name: &String| overview.aliases.iter().any(|alias| alias.status.name == *name && alias.status.state == REFUSED);
    matches!(integration.state, IntegrationState::Held | IntegrationState::Retiring) && integration.held_by.iter().any(refused)
}

/// The colour of an integration's state.
pub fn state_tone(integration: &IntegrationOverview, overview: &Overview) -> Tone {
    match integration.state {
        IntegrationState::Held | IntegrationState::Retiring if is_refused(integration, overview) => Tone::Bad,
        IntegrationState::Held | IntegrationState::Paused | IntegrationState::Retiring => Tone::Warn,
        IntegrationState::Delivering => Tone::Good,
        IntegrationState::Inactive if integration.waiting > 0 => Tone::Bad,
        IntegrationState::Idle | IntegrationState::Inactive => Tone::Plain,
    }
}

/// The colour of an alias's state.
pub fn alias_tone(alias: &AliasOverview) -> Tone {
    match alias.status.state {
        "healthy" => Tone::Good,
        REFUSED => Tone::Bad,
        _ => Tone::Warn,
    }
}

/// Integrations with their standing, worst first. In steps of how long the oldest has waited, so that rows do not change places
/// every second.
pub fn worst_first(overview: &Overview) -> Vec<(Standing, &IntegrationOverview)> {
    let mut rows: Vec<_> = overview.integrations.iter().map(|one| (Standing::of(one, overview), one)).collect();
    rows.sort_by_key(|(standing, one)| (*standing, Reverse(age_step(one.oldest_waiting)), Reverse(one.dead_letters), &one.name));
    rows
}

fn age_step(oldest: Option<Duration>) -> usize {
    const STEPS_S: [u64; 6] = [0, 10, 60, 600, 3_600, 86_400];
    oldest.map_or(0, |age| STEPS_S.iter().filter(|step| age.as_secs() >= **step).count())
}

/// Aliases, worst first: what most waits for.
pub fn worst_aliases_first(overview: &Overview) -> Vec<&AliasOverview> {
    let mut rows: Vec<_> = overview.aliases.iter().collect();
    let rank = |alias: &AliasOverview| match alias_tone(alias) {
        Tone::Bad => 0,
        Tone::Warn => 1,
        Tone::Plain | Tone::Good => 2,
    };
    rows.sort_by_key(|alias| (rank(alias), if alias.is_healthy() { Reverse(0) } else { Reverse(alias.waiting) }, &alias.status.name));
    rows
}
