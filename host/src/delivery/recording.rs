//! From an attempt that is settled to what the ledger has of it, and a release that is shown it.

use std::sync::Arc;

use super::deliver::Delivery;
use super::gathered::{Gathered, Wanted};
use super::shadow::{Configs, Shadow};
use crate::ledger::{Ended, Record};
use crate::message_store::{Attempt, KeyValueWrite, Leased, Settle, Settlement};
use crate::plugin::{HELD_BYTES, QueueSend};

/// What a record is taken to be at least.
const RECORD_BYTES: usize = 1024;

impl Delivery {
    /// Offers what was gathered of an attempt to the ledger, and to `shadow`, which take it or do not: nothing waits for that. `wanted` is
    /// what the attempt's calls wanted written.
    pub(super) fn record(
        &self,
        leased: &Leased,
        settle: &Settle,
        (key_values, sends): Wanted,
        (gathered, shadow): (&mut Gathered, Option<(&Arc<Shadow>, &Configs)>),
    ) {
        let Some(recording) = gathered.recording.take() else { return };
        let ended = ended(settle);
        let recorder = self.recorder.as_ref().filter(|recorder| recorder.wants(&ended));
        let shadow = shadow.filter(|(shadow, _)| shadow.wants(&ended));
        if recorder.is_none() && shadow.is_none() {
            return;
        }
        let wanted = wanted_bytes(&key_values, &sends);
        let bytes = [RECORD_BYTES, recording.bytes(), leased.message.body.len()].into_iter().fold(wanted, usize::saturating_add);
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
        match (recorder, shadow) {
            (Some(recorder), Some((shadow, configs))) => {
                shadow.offer(record.clone(), configs.clone(), bytes);
                recorder.offer(record, bytes);
            }
            (Some(recorder), None) => recorder.offer(record, bytes),
            (None, Some((shadow, configs))) => shadow.offer(record, configs.clone(), bytes),
            (None, None) => {}
        }
    }
}

/// About what it takes up that an attempt's calls wanted written and sent.
fn wanted_bytes(key_values: &[KeyValueWrite], sends: &[QueueSend]) -> usize {
    let of_write =
        |write: &KeyValueWrite| write.key.len().saturating_add(write.value.as_ref().map_or(0, Vec::len)).saturating_add(HELD_BYTES);
    let of_send = |send: &QueueSend| send.draft.held_bytes().saturating_add(send.channel.len());
    key_values.iter().map(of_write).chain(sends.iter().map(of_send)).fold(0, usize::saturating_add)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Draft;

    #[test]
    fn what_is_tiny_counts_for_what_it_takes_up() {
        let write = KeyValueWrite { integration: "orders".into(), key: "k".into(), value: None, expires_at: None };
        assert!(wanted_bytes(&vec![write; 1_000], &[]) > 100 * 1_000);
        let draft = Draft { content_type: String::new(), headers: Default::default(), body: Default::default(), tracked: Vec::new() };
        let send = QueueSend { channel: "c".into(), draft, delay: None, dedup_token: None };
        assert!(wanted_bytes(&[], &vec![send; 1_000]) > 100 * 1_000);
    }
}
