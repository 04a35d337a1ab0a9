//! Batches: several deliveries whose sink is called once for all of them. Each goes its own way, from its lease to its settlement, as
//! any other does; all they share is the call.
//!
//! [`gather`] fills a batch before its deliveries start. [`Batch`] waits for those of them that come to the sink, in their [`Place`], and
//! calls. [`divide`] (pure) says which messages go into which call. A call that fails as a whole is repeated in halves, so that in the end
//! the message that is to blame is alone, and pays alone. Depends on `plugin` (through its trait) and the dispatcher's lanes.

mod divide;
mod gather;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{Instrument, info, info_span};

use super::catalog::Use;
use super::deliver::Delivery;
use super::gathered::Gathered;
use super::idempotency::batch_base;
use super::stopped::Stopped;
use super::way::call;
use crate::message::{FailureClass, Message};
use crate::message_store::Leased;
use crate::plugin::fault::host_panicked;
use crate::plugin::{Call, CallFailure, Effects, Export, Output, Report};

/// How long those of a batch that are at the sink wait for others, whose steps take longer; these follow in another call.
const SLOW_STEPS_WITHIN: Duration = Duration::from_secs(1);

/// The calls that a batch's deliveries share.
#[derive(Debug)]
pub struct Batch {
    arrivals: mpsc::Receiver<Member>,
}

/// The place of a delivery in a batch, which waits for it until it has come to the sink, or has ended: until this is dropped.
#[derive(Debug)]
pub struct Place {
    batch: mpsc::Sender<Member>,
    steps: Arc<Semaphore>,
}

/// A delivery at the sink.
#[derive(Debug)]
struct Member {
    /// What the sink would be called with for this one alone.
    call: Call,
    /// Its part in each call it was in.
    parts: Vec<Part>,
    tell: oneshot::Sender<Vec<Part>>,
}

/// What a call of a batch was to one of its messages.
#[derive(Debug)]
pub struct Part {
    pub report: Report,
    /// Messages in the call.
    pub size: usize,
}

impl Batch {
    /// A batch of `size` deliveries with a place for each. `steps` bounds how many of them run their steps at once.
    pub fn of(size: usize, steps: &Arc<Semaphore>) -> (Self, Vec<Place>) {
        let (batch, arrivals) = mpsc::channel(size.max(1));
        let places = (0..size).map(|_| Place { batch: batch.clone(), steps: Arc::clone(steps) }).collect();
        (Self { arrivals }, places)
    }

    /// Calls for those that come, until there is nobody left who could.
    pub async fn run(mut self, delivery: Delivery) {
        while let Some(first) = self.arrivals.recv().await {
            let mut members = vec![first];
            self.others(&mut members, &delivery).await;
            for members in divide::into_calls(members, |member| &member.call.message) {
                deliver_in_halves(&delivery, members).await;
            }
        }
    }

    /// Waits for the others, but not for ever.
    async fn others(&mut self, members: &mut Vec<Member>, delivery: &Delivery) {
        let mut late = delivery.clock.sleep(SLOW_STEPS_WITHIN);
        loop {
            tokio::select! {
                biased;
                next = self.arrivals.recv() => match next {
                    Some(member) => members.push(member),
                    None => return,
                },
                () = &mut late => return,
            }
        }
    }
}

impl Place {
    /// Waits for its turn to run steps, if it has a place: each integration has its concurrency, however large its batches are.
    pub async fn turn(place: Option<&Self>) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&place?.steps).acquire_owned().await.ok()
    }

    /// Comes to the sink and waits for what becomes of it there: its part in every call it was in. None after a panic of the host's.
    async fn join(self, call: Call) -> Option<Vec<Part>> {
        let (tell, told) = oneshot::channel();
        let Self { batch, .. } = self;
        batch.send(Member { call, parts: Vec::new(), tell }).await.ok()?;
        drop(batch);
        told.await.ok()
    }
}

impl Delivery {
    /// Hands one message to the sink together with others of its batch.
    pub(super) async fn call_together(
        &self,
        place: Place,
        used: &Use,
        leased: &Leased,
        message: &Arc<Message>,
        gathered: &mut Gathered,
    ) -> Result<Output, Stopped> {
        let call = call(used, Export::DeliverBatch, leased, message, 0);
        gathered.begin(&call);
        let mut parts = place.join(call.clone()).await.unwrap_or_default();
        let own = parts.pop().ok_or_else(Stopped::panicked)?;
        for repeated in parts {
            gathered.end_repeated(repeated);
            gathered.begin(&call);
        }
        let ended = gathered.end_shared(own);
        if let Err(Stopped::Failed { failure, obstacle: None }) = &ended {
            self.metrics.plugin_failure(&used.plugin.name, failure.class_word());
        }
        ended
    }
}

/// Calls for all of them together; where that fails as a whole, for each half, and so on.
async fn deliver_in_halves(delivery: &Delivery, members: Vec<Member>) {
    let mut left = vec![members];
    while let Some(mut members) = left.pop() {
        // Who was given up with the host waits no more.
        members.retain(|member| !member.tell.is_closed());
        let Some(call) = together(&members) else { continue };
        let Some(mut report) = invoke(delivery, call, &mut members).await else { continue };
        let size = members.len();
        let results = each(std::mem::replace(&mut report.result, Ok(Output::Each(Vec::new()))), size);
        // Where the target is the obstacle, no message is to blame.
        let is_to_be_halved = results.is_err() && size > 1 && report.obstacle.is_none();
        let results = results.unwrap_or_else(|failure| vec![Err(failure); size]);
        let mut heard = std::mem::take(&mut report.heard);
        for (member, result) in members.iter_mut().zip(results) {
            // The first has what the call heard; the others would only say it again.
            let report = Report { heard: std::mem::take(&mut heard), ..share(&report, result) };
            member.parts.push(Part { report, size });
        }
        if is_to_be_halved {
            info!("a batch of {size} failed as a whole; its halves are tried, to find the message that is to blame");
            let second = members.split_off(size / 2);
            left.extend([second, members]);
        } else {
            members.into_iter().for_each(|Member { tell, parts, .. }| drop(tell.send(parts)));
        }
    }
}

/// The call of all members. A batch of one is called as a message of its own; the base of more follows from all of theirs.
fn together(members: &[Member]) -> Option<Call> {
    let calls = || members.iter().map(|member| &member.call);
    let mut call = calls().next()?.clone();
    if members.len() > 1 {
        call.others = calls().skip(1).map(|other| Arc::clone(&other.message)).collect();
        call.idempotency_base = batch_base(calls().map(|call| call.idempotency_base.as_str()));
        call.attempt = calls().map(|call| call.attempt).max()?;
        call.replay = calls().map(|call| call.replay).max()?;
        call.virtual_now = calls().map(|call| call.virtual_now).min()?;
        call.place = format!("{}, batch {}", call.place, call.idempotency_base);
    }
    Some(call)
}

/// What the call came to; nothing once nobody waits for it any more.
async fn invoke(delivery: &Delivery, call: Call, members: &mut [Member]) -> Option<Report> {
    let (plugin, span) = (call.plugin.clone(), info_span!("batch", integration = %call.integration, messages = members.len()));
    // What a panic left half done is the call's own, and is dropped with it.
    let called = AssertUnwindSafe(delivery.plugins.invoke(call, Effects::default()).instrument(span)).catch_unwind();
    let given_up = join_all(members.iter_mut().map(|member| member.tell.closed()));
    let report = tokio::select! {
        biased;
        report = called => report.unwrap_or_else(|_panic| panicked()),
        _ = given_up => return None,
    };
    delivery.metrics.plugin_call(&plugin.name, &plugin.version.to_string(), report.wall);
    Some(report)
}

/// What became of each of `size` messages, or why the call as a whole came to nothing.
fn each(result: Result<Output, CallFailure>, size: usize) -> Result<Vec<Result<Output, CallFailure>>, CallFailure> {
    let what = match result? {
        Output::Each(results) if results.len() == size => return Ok(results),
        Output::Each(results) => format!("{} results for {size} messages", results.len()),
        _ => "what its role does not".to_owned(),
    };
    Err(CallFailure::Fault { class: FailureClass::Unrunnable, detail: format!("the plugin gave back {what}") })
}

/// What one message of a call has of its report. A batch sink has no effects to share: it is granted none.
fn share(report: &Report, result: Result<Output, CallFailure>) -> Report {
    let Report { requests, obstacle, cpu, wall, .. } = report;
    let (effects, heard) = Default::default();
    Report { result, effects, requests: requests.clone(), heard, obstacle: obstacle.clone(), cpu: *cpu, wall: *wall }
}

fn panicked() -> Report {
    let (effects, requests, heard) = Default::default();
    let (cpu, wall) = (Duration::ZERO, Duration::ZERO);
    Report { result: Err(host_panicked()), effects, requests, heard, obstacle: None, cpu, wall }
}
