//! The suite of a source: what it fetches comes once, whatever its system does. Fields of what it fetches are left as they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use super::intact::{Hears, OTHERWISE};
use super::judge::Judged;
use super::report::{Defect, NotTried, Report, Sampled, Tried, Verdict};
use super::target::{Good, Target};
use super::trouble::{DOWN_FOR, Trouble};
use crate::message::FailureClass;
use crate::message_store::SourceResult;
use crate::problem::{Code, Problem, Problems};
use crate::scenario::book::Fault;
use crate::scenario::chamber::{Chamber, Setting, within};
use crate::scenario::file::Answer;

/// For how long a source is watched: it has some rounds behind it when its system is well again.
const WATCHED_FOR: Duration = Duration::from_secs(DOWN_FOR.as_secs() + 15 * 60);
/// What a poll is called where messages have names.
const POLL: &str = "a poll";

/// What a source did.
struct Watched {
    /// What it brought, and how often.
    brought: BTreeMap<String, usize>,
    /// Why rounds brought nothing: code and detail of the first.
    failed: Option<(String, String)>,
    fault: Option<Fault>,
    /// Whether its last round went well.
    is_well: bool,
    asked: usize,
    tokens: usize,
}

/// Puts a source through everything outside of it.
///
/// # Errors
/// It cannot be polled whatever its system answers.
pub fn run(about: &str, setting: &Setting, answers: Vec<Vec<Answer>>, hears: Hears<'_>) -> Result<Report, Problems> {
    let plugins = setting.actives.iter().flat_map(|active| active.release.plugins.clone()).collect();
    let (good, intact) = baseline(about, setting, answers)?;
    let count: usize = intact.brought.values().sum();
    let sampled = Sampled { name: POLL.into(), intact: format!("brings {count} messages"), used: true };
    let (troubles, not_tried) = troubles(&intact);
    let (all, so_far) = (troubles.len(), AtomicUsize::new(0));
    let try_one = |trouble: Trouble| {
        let watched = watch(setting, Target::new(good.clone(), Some(trouble), setting.start))?;
        hears("Trying what goes wrong", so_far.fetch_add(1, Ordering::SeqCst) + 1, all);
        Ok(Tried { case: trouble.title(), sample: POLL.into(), judged: judge(&intact, &watched) })
    };
    let tried: Vec<Result<Tried, Problems>> = troubles.into_par_iter().map(try_one).collect();
    let mut tried = tried.into_iter().collect::<Result<Vec<_>, _>>()?;
    tried.push(Tried { case: "asked again when all is well".into(), sample: POLL.into(), judged: judge_again(&intact) });
    Ok(Report::of(about.to_owned(), plugins, vec![sampled], tried, not_tried))
}

fn troubles(intact: &Watched) -> (Vec<Trouble>, Vec<NotTried>) {
    let (mut troubles, mut not_tried) = (Vec::new(), Vec::new());
    for trouble in Trouble::ALL {
        let why = match trouble {
            Trouble::LostHonoured | Trouble::LostIgnored => Some("a poll that is cut off is asked again"),
            Trouble::TokenExpires if intact.tokens == 0 => Some("its aliases have no token that could expire"),
            _ if intact.asked == 0 => Some("it asks no system"),
            _ => None,
        };
        match why {
            Some(why) => not_tried.push(NotTried { case: trouble.title(), why: why.into() }),
            None => troubles.push(trouble),
        }
    }
    (troubles, not_tried)
}

/// The first answers with which it brings something; else the first with which it is polled.
fn baseline(about: &str, setting: &Setting, answers: Vec<Vec<Answer>>) -> Result<(Good, Watched), Problems> {
    let (mut empty, mut failed) = (None, None);
    for answers in answers.into_iter().chain([Vec::new()]) {
        for otherwise in OTHERWISE {
            let good = Good { answers: answers.clone(), otherwise };
            let watched = watch(setting, Target::new(good.clone(), None, setting.start))?;
            match &watched.failed {
                None if !watched.brought.is_empty() => return Ok((good, watched)),
                None => empty = empty.or(Some((good, watched))),
                Some(why) => failed = failed.or_else(|| Some(why.clone())),
            }
        }
    }
    empty.ok_or_else(|| {
        let (code, detail) = failed.unwrap_or_default();
        let message = format!("{about} cannot be polled, whatever its system answers: {code}: {detail}");
        let fix = "write a scenario with the answers of its system in tests/<name>.toml";
        Problem::new(Code::NotFound, message).fix(fix).into()
    })
}

fn watch(setting: &Setting, target: Target) -> Result<Watched, Problems> {
    let setting = Setting { polls: true, ..setting.clone() };
    within(setting, Arc::new(target), Vec::new(), async |chamber: &Chamber| {
        chamber.pass(WATCHED_FOR, || false).await;
        let rounds = chamber.book.rounds();
        let mut brought = BTreeMap::new();
        for message in rounds.iter().flat_map(|round| &round.brought) {
            let key = message.key.as_ref().map_or("", |key| key.0.as_str());
            *brought.entry(format!("{key} {}", String::from_utf8_lossy(&message.body))).or_default() += 1;
        }
        let why = |last: &SourceResult| Some((last.code.clone()?, last.detail.clone().unwrap_or_default()));
        let requests = chamber.wire.asked();
        let tokens = requests.iter().filter(|request| request.is_token).count();
        Ok(Watched {
            brought,
            failed: rounds.iter().find_map(|round| why(&round.state.last)),
            fault: chamber.seen.poll_fault(),
            is_well: rounds.last().is_some_and(|round| round.state.last.code.is_none()),
            asked: requests.len() - tokens,
            tokens,
        })
    })
}

/// Whether what it brought once comes again: it was asked many times, and its system answered the same.
fn judge_again(intact: &Watched) -> Judged {
    let told = |verdict, look| Judged { happened: "brought".into(), verdict, field: None, look };
    match intact.brought.iter().find(|(_, times)| **times > 1) {
        Some((what, times)) => {
            let look = format!("{times} times under another id, as long as its system answers the same: {}", what.trim_start());
            told(Verdict::Note, look)
        }
        None => told(Verdict::Sound, String::new()),
    }
}

fn judge(intact: &Watched, watched: &Watched) -> Judged {
    let happened = match (&watched.failed, watched.is_well) {
        (None, _) => "brought".to_owned(),
        (Some((code, _)), true) => format!("asked again ({code}), then brought"),
        (Some((code, _)), false) => format!("still failing ({code})"),
    };
    let told = |verdict, look: String| Judged { happened, verdict, field: None, look };
    if let Some((class, detail)) = &watched.fault {
        let defect = if *class == FailureClass::Trapped { Defect::Trapped } else { Defect::OverLimits };
        return told(Verdict::Defect(defect), detail.clone());
    }
    let detail = watched.failed.as_ref().map(|(_, detail)| detail.clone()).unwrap_or_default();
    if !watched.is_well {
        return told(Verdict::Note, format!("its system is well again: {detail}"));
    }
    let count = |of: &Watched, what: &str| of.brought.get(what).copied().unwrap_or(0);
    if let Some(lost) = intact.brought.keys().find(|what| count(watched, what) == 0) {
        return told(Verdict::Defect(Defect::Lost), format!("never brought, and its cursor went on: {}", lost.trim_start()));
    }
    if let Some((twice, _)) = watched.brought.iter().find(|(what, times)| **times > 1 && count(intact, what) <= 1) {
        return told(Verdict::Defect(Defect::Duplicated), format!("brought again, under another id: {}", twice.trim_start()));
    }
    told(Verdict::Sound, String::new())
}
