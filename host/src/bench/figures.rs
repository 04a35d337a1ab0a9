//! Figures: medians, quantiles, and the [`Row`] that table, JSON and chart are made of.

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
    /// What the ratio should be, at least or at most; none where the figure is only stated.
    pub goal: Option<f64>,
    /// Which of both.
    pub bound: Bound,
    /// Whether the ratio is as it should be.
    pub holds: Option<bool>,
    /// What was measured against what, and what explains it.
    pub note: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    AtLeast,
    AtMost,
}

impl Row {
    /// A row of something of which more is better.
    pub fn at_least(name: &'static str, unit: &'static str, [value, against]: [f64; 2], goal: f64, note: String) -> Self {
        Self::new(name, unit, [value, against], Bound::AtLeast, Some(goal), note)
    }

    /// A row of something of which less is better.
    pub fn at_most(name: &'static str, unit: &'static str, [value, against]: [f64; 2], goal: f64, note: String) -> Self {
        Self::new(name, unit, [value, against], Bound::AtMost, Some(goal), note)
    }

    /// A row of something of which less is better, without a goal.
    pub fn stated(name: &'static str, unit: &'static str, [value, against]: [f64; 2], note: String) -> Self {
        Self::new(name, unit, [value, against], Bound::AtMost, None, note)
    }

    fn new(name: &'static str, unit: &'static str, [value, against]: [f64; 2], bound: Bound, goal: Option<f64>, note: String) -> Self {
        let ratio = value / against;
        // A ratio of nothing holds no goal.
        let holds = goal.map(|goal| match bound {
            Bound::AtLeast => ratio >= goal,
            Bound::AtMost => ratio <= goal,
        });
        Self { name, value, unit, against, ratio, goal, bound, holds, note }
    }

    /// How much of its goal is reached: 1 and more holds. For the chart, where longer is better in every row.
    pub fn reached(&self) -> Option<f64> {
        self.goal.map(|goal| match self.bound {
            Bound::AtLeast => self.ratio / goal,
            Bound::AtMost => goal / self.ratio,
        })
    }

    /// The goal as people write it: `≥ 0.70`.
    pub fn goal_text(&self) -> String {
        let sign = if self.bound == Bound::AtLeast { '≥' } else { '≤' };
        self.goal.map_or_else(|| "–".to_owned(), |goal| format!("{sign} {goal:.2}"))
    }
}

/// A figure as people read it: three digits that count, thousands apart.
pub fn readable(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(whole, fraction)| (whole, Some(fraction)));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && digit.is_ascii_digit() && (whole.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    fraction.map_or(grouped.clone(), |fraction| format!("{grouped}.{fraction}"))
}

/// The middle of some values; of an even number the lower of the two in the middle. NaN where there are none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The least of `values_us` that is not exceeded by the share `q` of them (nearest rank), in milliseconds. NaN where there are none.
pub fn quantile_ms(values_us: &[u32], q: f64) -> f64 {
    let mut values = values_us.to_vec();
    let rank = ((values.len() as f64 * q).ceil() as usize).max(1) - 1;
    if rank >= values.len() {
        return f64::NAN;
    }
    f64::from(*values.select_nth_unstable(rank).1) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_measured_is_no_figure_and_holds_no_goal() {
        assert!(median(std::iter::empty()).is_nan());
        assert!(quantile_ms(&[], 0.5).is_nan());
        let none = Row::at_most("x", "ms", [f64::NAN, 1.0], 1.5, String::new());
        assert_eq!(none.holds, Some(false));
        assert_eq!(readable(none.ratio), "–");
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<u32> = (1..=100).rev().map(|value| value * 1000).collect();
        assert_eq!(quantile_ms(&values, 0.0), 1.0);
        assert_eq!(quantile_ms(&values, 0.5), 50.0);
        assert_eq!(quantile_ms(&values, 0.99), 99.0);
        assert_eq!(quantile_ms(&values, 1.0), 100.0);
        assert_eq!(quantile_ms(&[7_000], 0.99), 7.0);
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_round() {
        assert_eq!(median([3.0, 100.0, 2.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.0);
    }

    #[test]
    fn a_goal_is_a_bound_on_the_ratio() {
        let row = Row::at_least("x", "msg/s", [71.0, 100.0], 0.7, String::new());
        assert_eq!((row.holds, row.goal_text().as_str()), (Some(true), "≥ 0.70"));
        assert!(row.reached().unwrap() > 1.0);
        let row = Row::at_most("x", "ms", [4.0, 2.0], 1.5, String::new());
        assert_eq!((row.holds, row.goal_text().as_str()), (Some(false), "≤ 1.50"));
        assert_eq!(row.reached(), Some(0.75));
        let row = Row::stated("x", "ms", [4.0, 2.0], String::new());
        assert_eq!((row.holds, row.reached(), row.ratio), (None, None, 2.0));
    }

    #[test]
    fn figures_have_three_digits_that_count() {
        let written = [(1_234_567.4, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.0, "0.00"), (-1234.0, "-1,234")];
        for (value, text) in written {
            assert_eq!(readable(value), text);
        }
    }
}
