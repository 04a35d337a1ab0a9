//! [`rehearse`]: every story that is recorded, told on every core, into one report.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;

use super::compare::Told;
use super::report::Report;
use super::stage::Stage;
use super::stories::{Stories, Story};
use crate::ledger::{Ended, Reader, Record};

/// Messages under way for every core.
const AT_ONCE_PER_CORE: usize = 2;

/// What is rehearsed, and with what.
#[derive(Debug)]
pub struct Over {
    pub stage: Stage,
    pub reader: Reader,
    pub stories: Stories,
}

/// Rehearses every story, on every core, and adds what came of it to `report`, in the order of the stories. `done` hears how many there are
/// so far.
pub async fn rehearse(over: Over, mut report: Report, done: &(dyn Fn(usize) + Sync)) -> Report {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let over = Arc::new(over);
    let told = (0..over.stories.all.len()).map(|number| {
        let over = Arc::clone(&over);
        async move {
            let told = tokio::spawn(async move {
                let story = over.stories.all.get(number)?;
                Some((story.message, over.tell(story).await))
            });
            told.await.ok().flatten()
        }
    });
    let mut told = futures_util::stream::iter(told).buffered(cores.saturating_mul(AT_ONCE_PER_CORE));
    let mut so_far = 0;
    while let Some(told) = told.next().await {
        so_far += 1;
        if let Some((message, told)) = told {
            report.add(message, told);
        }
        done(so_far);
    }
    report.left_out = over.stories.left_out;
    report.passed_over.clone_from(&over.stories.passed);
    report
}

impl Over {
    async fn tell(&self, story: &Story) -> Told {
        let Some(located) = &story.root else { return Told::not_comparable("nothing is recorded of it") };
        let Ok(root) = self.reader.read(located) else { return Told::not_comparable("its record cannot be read") };
        match self.parts(&root) {
            Ok(parts) => self.stage.tell(&root, &parts).await,
            Err(why) => Told::not_comparable(why),
        }
    }

    /// What is recorded of the messages that it became, by their place; of one that still waits there is nothing to be held against.
    fn parts(&self, root: &Record) -> Result<BTreeMap<usize, Record>, &'static str> {
        let Ended::FannedOut { children } = root.ended else { return Ok(BTreeMap::new()) };
        let mut parts = BTreeMap::new();
        for (ordinal, place) in (0..children).zip(0..) {
            let located = self.stories.part(root.part(ordinal)).filter(|located| !located.entry.has_waited);
            let Some(located) = located else { continue };
            let part = self.reader.read(located).map_err(|_| "the record of a message that it became cannot be read")?;
            parts.insert(place, part);
        }
        Ok(parts)
    }
}
