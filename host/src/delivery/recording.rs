//! From an attempt that is settled to what the ledger has of it.

use super::deliver::Delivery;
use super::gathered::{Gathered, Wanted};
use crate::ledger::{Ended, Record};
use crate::message_store::{Attempt, Leased, Settle, Settlement};

/// What a record is taken to be at least.
const RECORD_BYTES: usize = 1024;

impl Delivery {
    /// Offers what was gathered of an attempt to the ledger, which takes it or does not: nothing waits for that. `wanted` is what the
    /// attempt's calls wanted written.
    pub(super) fn record(&self, leased: &Leased, settle: &Settle, (key_values, sends): Wanted, gathered: &mut Gathered) {
        let Some((recorder, recording)) = self.recorder.as_ref().zip(gathered.recording.take()) else { return };
        let ended = ended(settle);
        if !recorder.wants(&ended) {
            return;
        }
        let bytes = RECORD_BYTES.saturating_add(recording.bytes()).saturating_add(leased.message.body.len());
        let (calls, cut) = recording.into_calls();
        let Attempt { release, started_at, ended_at, .. } = &settle.attempt;
        let record = Record {
            integration: leased.integration.clone(),
            release: release.clone(),
            message: leased.message.clone(),
            stage: leased.stage,
            replay: leased.replay,
            attempt: leased.attempts,
            clock_at: leased.first_started_at,
            started_at: *started_at,
            ended_at: *ended_at,
            ended,
            calls,
            key_values,
            sends,
            cut,
        };
        recorder.offer(record, bytes);
    }
}

fn ended(settle: &Settle) -> Ended {
    let Attempt { code, detail, .. } = &settle.attempt;
    let (code, detail) = (code.clone().unwrap_or_default(), detail.clone().unwrap_or_default());
    match &settle.settlement {
        Settlement::Delivered { .. } => Ended::Delivered,
        Settlement::Skipped { code, detail } => Ended::Skipped { code: code.clone(), detail: detail.clone() },
        Settlement::FannedOut { children } => Ended::FannedOut { children: u32::try_from(children.len()).unwrap_or(u32::MAX) },
        Settlement::Waits { .. } => Ended::Waited { code, detail },
        Settlement::Retries { .. } => Ended::Failed { code, detail, is_dead: false },
        Settlement::DeadLettered { .. } => Ended::Failed { code, detail, is_dead: true },
    }
}
