//! What came of the failure suite: [`Report`], gathered by what happened.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judge::Judged;
use crate::integration::PinnedPlugin;

/// Rows of a report at most; defects and notes go before what is sound.
const ROWS_MAX: usize = 500;
/// Fields that are told in one row.
const FIELDS_TOLD_MAX: usize = 5;

/// What is wrong with a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// It counts as delivered, or skipped, and was not done.
    Lost,
    /// It was done more than once, under keys of its own.
    Duplicated,
    /// Another body at another attempt, under the same key.
    Unrepeatable,
    Trapped,
    /// More memory, time or output than a call may have.
    OverLimits,
    /// A value is gone from the output, though the message had it.
    SilentlyNull,
}

impl Defect {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Unrepeatable => "unrepeatable",
            Self::Trapped => "trapped",
            Self::OverLimits => "over limits",
            Self::SilentlyNull => "silently null",
        }
    }
}

/// Whether what happened is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Defect(Defect),
    /// Sound, with something to know.
    Note,
    Sound,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defect(_) => "defect",
            Self::Note => "note",
            Self::Sound => "sound",
        }
    }

    pub fn is_defect(self) -> bool {
        matches!(self, Self::Defect(_))
    }
}

impl Serialize for Verdict {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Cases that went the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub case: String,
    /// What happened.
    pub happened: String,
    pub verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defect: Option<Defect>,
    /// How many.
    pub count: usize,
    /// Fields they are about, if they are about fields: the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The first of the samples with which it happened.
    pub sample: String,
    /// Where to look.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub look: String,
}

/// A case that was not tried, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotTried {
    pub case: String,
    pub why: String,
}

/// A sample, and what became of it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sampled {
    pub name: String,
    /// `delivered`, or why it is left out.
    pub intact: String,
    pub used: bool,
}

/// Everything that was tried.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The integration, or the plugin.
    pub about: String,
    pub plugins: Vec<PinnedPlugin>,
    pub samples: Vec<Sampled>,
    pub cases: usize,
    pub sound: usize,
    pub notes: usize,
    pub defects: usize,
    /// Defects first, then notes.
    pub rows: Vec<Row>,
    /// Rows that are not listed.
    pub more: usize,
    pub not_tried: Vec<NotTried>,
}

/// One case on one sample, judged.
#[derive(Clone, Debug)]
pub struct Tried {
    pub case: String,
    pub sample: String,
    pub judged: Judged,
}

impl Report {
    /// Gathers what was tried by what happened, and by where to look.
    pub fn of(about: String, plugins: Vec<PinnedPlugin>, samples: Vec<Sampled>, tried: Vec<Tried>, not_tried: Vec<NotTried>) -> Self {
        let count = |is: &dyn Fn(Verdict) -> bool| tried.iter().filter(|tried| is(tried.judged.verdict)).count();
        let (cases, sound) = (tried.len(), count(&|verdict| verdict == Verdict::Sound));
        let (notes, defects) = (count(&|verdict| verdict == Verdict::Note), count(&Verdict::is_defect));
        let mut order: BTreeMap<String, usize> = BTreeMap::new();
        let mut rows: BTreeMap<(Verdict, usize, String, String), Row> = BTreeMap::new();
        for Tried { case, sample, judged } in tried {
            let next = order.len();
            let place = *order.entry(case.clone()).or_insert(next);
            let Judged { happened, verdict, field, look } = judged;
            let defect = if let Verdict::Defect(defect) = verdict { Some(defect) } else { None };
            let row = rows.entry((verdict, place, happened.clone(), look.clone())).or_insert_with(|| Row {
                case,
                happened,
                verdict,
                defect,
                count: 0,
                fields: Vec::new(),
                sample,
                look,
            });
            row.count += 1;
            row.fields.extend(field.filter(|field| row.fields.len() < FIELDS_TOLD_MAX && !row.fields.contains(field)));
        }
        let mut rows: Vec<Row> = rows.into_values().collect();
        let more = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        Self { about, plugins, samples, cases, sound, notes, defects, rows, more, not_tried }
    }

    /// What was not tried, by why.
    pub fn not_tried_by_why(&self) -> Vec<(&str, Vec<&str>)> {
        let mut by_why: Vec<(&str, Vec<&str>)> = Vec::new();
        for NotTried { case, why } in &self.not_tried {
            match by_why.iter_mut().find(|(known, _)| known == why) {
                Some((_, cases)) => cases.push(case),
                None => by_why.push((why, vec![case])),
            }
        }
        by_why
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let plural = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
        let Self { about, cases, sound, notes, defects, .. } = self;
        format!("{about}: {} tried, {sound} sound, {}, {}", plural(*cases, "case"), plural(*notes, "note"), plural(*defects, "defect"))
    }
}

impl Row {
    /// The case, with what it is about.
    pub fn title(&self) -> String {
        match (self.verdict, self.fields.as_slice()) {
            (_, []) => self.case.clone(),
            (Verdict::Sound, _) if self.count == 1 => format!("{} (1 field)", self.case),
            (Verdict::Sound, _) => format!("{} ({} fields)", self.case, self.count),
            (_, fields) => format!("{}: {}", self.case, fields.join(", ")),
        }
    }

    /// What happened, and how often where the title does not say it.
    pub fn outcome(&self) -> String {
        let is_counted = self.verdict == Verdict::Sound && !self.fields.is_empty();
        if self.count > 1 && !is_counted { format!("{} × {}", self.happened, self.count) } else { self.happened.clone() }
    }

    /// `sound`, `note`, or which defect.
    pub fn verdict(&self) -> &'static str {
        self.defect.map_or_else(|| self.verdict.as_str(), Defect::as_str)
    }
}
