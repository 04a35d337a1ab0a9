//! Lives of a host: [`Flow`] starts one after the other on one data folder, and sees each end as an [`End`] says.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use lockgate::crash_point::{CONTROL_VARIABLE, CRASH_VARIABLE, CrashPoint};
use lockgate::random::{Random, SeededRandom};
use rustix::process::Signal;

use super::flow;
use super::receiver::Outside;
use super::sender::Senders;
use super::verdict::Verdict;
use crate::support::database::assert_whole;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::workspace::Workspace;

/// Senders, and so keys, of one flow.
const KEYS: usize = 6;

/// What waits in the data folder of the first version.
const LEFT_KEY: &str = "left";
const LEFT_MESSAGES: u64 = 40;

/// How a life ends: always by SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By its own hand, the `nth` time it reaches a point.
    At(CrashPoint, u64),
    /// While a target that has done what the `nth` request asks for does not answer.
    Unanswered(u64),
    /// When so many more messages were acknowledged or have arrived.
    After(usize),
}

impl End {
    /// Its name in the summary.
    pub fn word(self) -> &'static str {
        match self {
            Self::At(point, _) => point.as_str(),
            Self::Unanswered(_) => "unanswered",
            Self::After(_) => "at random",
        }
    }
}

/// One flow with its senders and receivers, over all lives of its host.
#[derive(Debug)]
pub struct Flow {
    workspace: Workspace,
    outside: Arc<Outside>,
    senders: Senders,
    /// Answers 202 before COMMIT.
    is_control: bool,
    deploys: u64,
    pub kills: BTreeMap<&'static str, u64>,
}

impl Flow {
    /// One on the data folder of the first version, which holds messages that wait.
    pub fn of_version_1() -> Self {
        let flow = Self::new();
        let ids = flow::leave_as_version_1(&flow.workspace, LEFT_KEY, LEFT_MESSAGES);
        flow.senders.book().acknowledged.extend((1..).zip(ids).map(|(number, id)| ((LEFT_KEY.to_owned(), number), id)));
        flow
    }

    /// One on an empty data folder.
    pub fn new() -> Self {
        let outside = Arc::new(Outside::start());
        let senders = Senders::start(KEYS, &outside);
        let workspace = flow::workspace(outside.address);
        Self { workspace, outside, senders, is_control: false, deploys: 0, kills: BTreeMap::new() }
    }

    /// One whose host acknowledges before it commits.
    pub fn negative_control() -> Self {
        Self { is_control: true, ..Self::new() }
    }

    /// One life: it must end as it is to, and leave a database that is whole.
    pub fn live(&mut self, end: End) {
        let status = match self.start(end) {
            Ok(host) => self.until_killed(host, end),
            Err(status) => status,
        };
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{end:?}: the host ended with {status}");
        assert_whole(&self.workspace.data());
        *self.kills.entry(end.word()).or_default() += 1;
    }

    /// A host that is to end so, with what it takes for that to happen; or how it ended while it started.
    fn start(&mut self, end: End) -> Result<Host, ExitStatus> {
        let mut arguments = Vec::new();
        let mut crash = None;
        if let End::At(point, nth) = end {
            crash = Some(format!("{}:{nth}", point.as_str()));
            match point {
                CrashPoint::ReleaseSwitching | CrashPoint::ReleaseSwitched => {
                    self.deploys += 1;
                    flow::describe(&self.workspace, &self.deploys.to_string());
                    arguments.push("--deploy");
                }
                // As after an update of Lockgate.
                CrashPoint::CompileCacheWriting | CrashPoint::CompileCacheWritten => {
                    drop(std::fs::remove_dir_all(self.workspace.data().join("cache/compiled")));
                }
                _ => {}
            }
        }
        let crash = crash.as_deref().map(|crash| (CRASH_VARIABLE, crash));
        let control = self.is_control.then_some((CONTROL_VARIABLE, "acknowledge-before-commit"));
        let environment: Vec<_> = crash.into_iter().chain(control).collect();
        let host = Host::try_start(&self.workspace, &arguments, &environment)?;
        self.senders.moved_to(&host);
        Ok(host)
    }

    fn until_killed(&self, mut host: Host, end: End) -> ExitStatus {
        match end {
            End::At(..) => {}
            End::Unanswered(nth) => {
                self.outside.leave_unanswered(nth);
                eventually("a request is left without an answer", || self.outside.world().unanswered.then_some(()));
                host.signal(Signal::KILL);
            }
            End::After(events) => {
                let events = self.events() + events;
                eventually("more messages were acknowledged or arrived", || (self.events() >= events).then_some(()));
                host.signal(Signal::KILL);
            }
        }
        host.wait()
    }

    fn events(&self) -> usize {
        let acknowledged = self.senders.book().acknowledged.len();
        let world = self.outside.world();
        acknowledged + world.careful.arrivals.len() + world.careless.arrivals.len()
    }

    /// A last life, to its proper end; and what is to be said of all of them.
    pub fn end(mut self) -> Verdict {
        let host = Host::try_start(&self.workspace, &[], &[]).unwrap_or_else(|status| panic!("the last host ended with {status}"));
        self.senders.moved_to(&host);
        self.senders.stop();
        eventually("nothing waits any more", || {
            let status = host.api("/api/v1/status");
            status["integrations"].as_array().unwrap().iter().all(|integration| integration["waiting"] == 0).then_some(())
        });
        assert!(host.stop().success());
        assert_whole(&self.workspace.data());
        let (book, world) = (self.senders.book(), self.outside.world());
        Verdict::of(&self.workspace.data(), &book, &world, self.kills.values().sum())
    }
}

/// The ends of `kills` lives: each named point again and again, and ends at random between them.
pub fn ends(kills: usize, seed: u64) -> Vec<End> {
    let chance = Chance(SeededRandom::new(seed));
    // A data folder is brought up to date and filled once, so what happens then comes first.
    let filling = [
        End::At(CrashPoint::Migration, 1),
        End::At(CrashPoint::Migration, 4),
        End::At(CrashPoint::ReleaseSwitching, 2),
        End::At(CrashPoint::CompileCacheWriting, 1),
    ];
    let filling = filling.into_iter().filter(|_| cfg!(debug_assertions));
    let later = std::iter::repeat_with(|| round(&chance)).flatten();
    filling.chain(later).take(kills).collect()
}

/// Each point once, and some others; in any order.
fn round(chance: &Chance) -> Vec<End> {
    let points = CrashPoint::ALL.iter().filter(|_| cfg!(debug_assertions));
    let points = points.filter_map(|point| Some(End::At(*point, chance.nth(nth_max(*point)?))));
    let others = (0..4).map(|_| End::After(usize::try_from(chance.nth(80)).unwrap()));
    let mut ends: Vec<End> = points.chain(others).chain([End::Unanswered(chance.nth(20))]).collect();
    for last in (1..ends.len()).rev() {
        ends.swap(last, usize::try_from(chance.below(last as u64 + 1)).unwrap());
    }
    ends
}

/// Whether only a host that somebody deploys to comes there: `switching` ends hosts at those.
pub fn is_of_a_deploy(point: CrashPoint) -> bool {
    matches!(point, CrashPoint::PluginKept | CrashPoint::ReleaseStored)
}

/// How late a point may be aimed at so that a short life reaches it; none if only a data folder that is new to this version has it.
fn nth_max(point: CrashPoint) -> Option<u64> {
    Some(match point {
        CrashPoint::Migration | CrashPoint::PluginKept | CrashPoint::ReleaseStored => return None,
        CrashPoint::ReleaseSwitched => 1,
        CrashPoint::TokenRefreshed | CrashPoint::CompileCacheWriting | CrashPoint::CompileCacheWritten => 2,
        CrashPoint::DeadLetter | CrashPoint::ReleaseSwitching => 3,
        CrashPoint::FanOut => 8,
        CrashPoint::BeforeAnswer => 16,
        CrashPoint::RequestSent | CrashPoint::ResponseReceived => 32,
        CrashPoint::BeforeBegin | CrashPoint::BeforeCommit | CrashPoint::Committed => 40,
        CrashPoint::Leased | CrashPoint::GuestRunning | CrashPoint::GuestDone => 48,
    })
}

/// Small decisions, all from one seed.
struct Chance(SeededRandom);

impl Chance {
    /// From 1 to `max`. Mostly in the upper half: what three lives in a row begin and none ends is a dead letter.
    fn nth(&self, max: u64) -> u64 {
        if self.below(4) == 0 { 1 + self.below(max) } else { max - self.below(max.div_ceil(2)) }
    }

    fn below(&self, end: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % end
    }
}
