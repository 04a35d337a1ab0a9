//! [`Over`]: which limits a call ran into where the plugin got an error value and the call went on. A plugin may keep that to itself;
//! the people who run it are told.

use std::collections::BTreeMap;

use crate::integration::Limit;

/// Limits, each with the most that was asked for of it and what there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Over(BTreeMap<Limit, (u64, u64)>);

impl Over {
    /// `asked` was refused under `limit`, which is `most`.
    pub fn note(&mut self, limit: Limit, asked: u64, most: u64) {
        let noted = self.0.entry(limit).or_insert((asked, most));
        noted.0 = noted.0.max(asked);
    }

    /// These and those.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        more.0.iter().for_each(|(limit, (asked, most))| self.note(*limit, *asked, *most));
        self
    }

    /// A line for each: limit, use and setting.
    pub fn lines(&self) -> Vec<String> {
        let line = |(limit, (asked, most)): (&Limit, &(u64, u64))| {
            let (what, setting) = (limit.what(), limit.setting());
            format!("over the limit on {what}: {asked} asked for of {most} ({setting}); the plugin got an error")
        };
        self.0.iter().map(line).collect()
    }
}

/// A number of bytes or things, as limits are counted.
pub fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
