//! [`Way`]: the calls of one message's way, its steps and its sink. A delivery goes it, and so does a rehearsal of one: what calls are given,
//! and what follows from what they give back, is the same for both.
//!
//! Depends on `plugin` (through its trait) and on what is gathered; settles nothing.

use std::sync::Arc;

use super::catalog::{Runnable, Use};
use super::gathered::Gathered;
use super::idempotency::idempotency_base;
use super::outgoing::carry;
use super::stopped::Stopped;
use crate::message::{self, FailureClass, Message};
use crate::message_store::Leased;
use crate::plugin::{Call, Export, Output, PluginInvoker};
use crate::telemetry::Metrics;

/// The most messages the steps of one delivery may make, all together.
const CARRIED_MAX: usize = 10_000;

/// Who calls plugins, and where that is counted.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub plugins: &'a dyn PluginInvoker,
    pub metrics: &'a Metrics,
}

impl std::fmt::Debug for Way<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Way").finish_non_exhaustive()
    }
}

/// What the steps made of a message.
#[derive(Debug)]
pub enum Made {
    Messages(Vec<Arc<Message>>),
    Nothing { code: String, detail: String },
}

/// What a sink did with a message.
#[derive(Debug)]
pub enum Taken {
    Delivered { receipt: serde_json::Value },
    Skipped { code: String, detail: String },
}

impl Way<'_> {
    /// Runs every step over what the one before made, flattened.
    pub async fn steps(&self, runnable: &Runnable, leased: &Leased, gathered: &mut Gathered) -> Result<Made, Stopped> {
        let mut carried = vec![leased.message.clone()];
        let mut skipped = None;
        for step in &runnable.steps {
            let mut next = Vec::new();
            for (message, ordinal) in carried.iter().zip(0_u32..) {
                match self.call(step, Export::Transform, leased, message, ordinal, gathered).await? {
                    Output::Drafts(drafts) => {
                        message::track(&mut gathered.tracked, drafts.iter().flat_map(|draft| draft.tracked.iter().cloned()));
                        next.extend(drafts.into_iter().map(|draft| carry(message, draft)));
                    }
                    Output::Skip { code, detail } => skipped = skipped.or(Some((code, detail))),
                    Output::Receipt { .. } | Output::Each(_) | Output::Page(_) => return Err(wrong_output(step)),
                }
                if next.len() > CARRIED_MAX {
                    return Err(too_many(step));
                }
            }
            carried = next;
        }
        if carried.is_empty() {
            let (code, detail) = skipped.unwrap_or_else(|| ("no-output".to_owned(), "the steps made no message".to_owned()));
            return Ok(Made::Nothing { code, detail });
        }
        Ok(Made::Messages(carried))
    }

    /// Hands one message to the plugin of the sink, alone.
    pub async fn sink(&self, sink: &Use, leased: &Leased, message: &Arc<Message>, gathered: &mut Gathered) -> Result<Taken, Stopped> {
        let output = self.call(sink, Export::Deliver, leased, message, 0, gathered).await?;
        taken(sink, output)
    }

    /// One call of one plugin, its trace and effects gathered.
    async fn call(
        &self,
        used: &Use,
        export: Export,
        leased: &Leased,
        message: &Arc<Message>,
        ordinal: u32,
        gathered: &mut Gathered,
    ) -> Result<Output, Stopped> {
        let call = call(used, export, leased, message, ordinal);
        gathered.begin(&call);
        let report = self.plugins.invoke(call, std::mem::take(&mut gathered.effects)).await;
        self.metrics.plugin_call(&used.plugin.name, &used.plugin.version.to_string(), report.wall);
        let ended = gathered.end(report);
        // A target that is down is no failure of the plugin's.
        if let Err(Stopped::Failed { failure, obstacle: None }) = &ended {
            self.metrics.plugin_failure(&used.plugin.name, failure.class_word());
        }
        ended
    }
}

/// What a sink gave back for one message.
pub fn taken(sink: &Use, output: Output) -> Result<Taken, Stopped> {
    match output {
        Output::Receipt { remote_id, remote_version, detail } => {
            let receipt = serde_json::json!({ "remote-id": remote_id, "remote-version": remote_version, "detail": detail });
            Ok(Taken::Delivered { receipt })
        }
        Output::Skip { code, detail } => Ok(Taken::Skipped { code, detail }),
        Output::Drafts(_) | Output::Each(_) | Output::Page(_) => Err(wrong_output(sink)),
    }
}

/// What the plugin of `used` is given. The same message gives the same call at every attempt, but for the attempt's number, and the config
/// where the environment's values have become others.
pub fn call(used: &Use, export: Export, leased: &Leased, message: &Arc<Message>, ordinal: u32) -> Call {
    let step = (export == Export::Transform).then_some((used.place.as_str(), ordinal));
    Call {
        plugin: used.plugin.clone(),
        export,
        integration: leased.integration.clone(),
        message: message.clone(),
        others: Vec::new(),
        cursor: None,
        attempt: leased.attempts,
        replay: leased.replay,
        idempotency_base: idempotency_base(&leased.integration, leased.message.id, leased.replay, step),
        place: if ordinal == 0 { used.place.clone() } else { format!("{} #{ordinal}", used.place) },
        config: used.config.now(),
        grants: used.grants.clone(),
        bindings: used.bindings.clone(),
        limits: used.limits.clone(),
        virtual_now: leased.first_started_at,
    }
}

fn wrong_output(used: &Use) -> Stopped {
    let detail = format!("{} of {} gave back what its role does not", used.plugin.name, used.place);
    Stopped::fault(FailureClass::Unrunnable, detail)
}

fn too_many(used: &Use) -> Stopped {
    let detail = format!("{} ({}) brought the messages made from this one over {CARRIED_MAX}", used.place, used.plugin.name);
    Stopped::fault(FailureClass::OutputTooLarge, detail)
}
