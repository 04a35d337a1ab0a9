//! Figures: medians, quantiles, and the [`Row`] that a table, JSON and a chart are made of.

use serde::Serialize;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Stable, kebab-case.
    pub name: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// What it is measured against, in the same unit.
    pub against: f64,
    /// `value` by `against`.
    pub ratio: f64,
    pub goal: Goal,
    pub holds: bool,
}

/// What the ratio should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(least) => ratio >= least,
            Self::AtMost(most) => ratio <= most,
        }
    }
}

/// A row of something of which more is better.
pub fn ratio_row(name: &'static str, unit: &'static str, value: f64, against: f64, least: f64) -> Row {
    let ratio = value / against;
    let goal = Goal::AtLeast(least);
    Row { name, value, unit, against, ratio, goal, holds: goal.holds(ratio) }
}

/// The middle of some values; of an even number the lower of the two in the middle. NaN where there are none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The least value that is not exceeded by the share `q` of them (nearest rank). NaN where there are none.
pub fn quantile(values: &[u32], q: f64) -> f64 {
    let mut values = values.to_vec();
    let rank = ((values.len() as f64 * q).ceil() as usize).max(1) - 1;
    if rank >= values.len() {
        return f64::NAN;
    }
    f64::from(*values.select_nth_unstable(rank).1)
}
