//! Many at once: what is handed out is handed out once, lanes stay lanes, and both stores tell one story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::message_store::sqlite::{DATABASE_FILE, open};
use crate::message_store::suite::world::{InMemory, OnDisk, START, World, body, dead, dead_and_stopping, delivered, key};
use crate::message_store::{Accept, DeadLetterId, Lane, Lease, Leased, MessageStore, Settlement, Superseded, WaitingMax};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_lease_never_get_the_same_delivery_nor_two_of_one_lane() {
    const MESSAGES: usize = 200;
    const LANES: usize = 10;
    let disk = OnDisk::open();
    let maker = World::new(InMemory::default());
    for n in 0..MESSAGES {
        let body = format!("{}:{n}", n % LANES);
        let deliveries = maker.deliveries(&[("crm", key(&(n % LANES).to_string()))]);
        let accept = Accept { message: Arc::new(maker.message(&body, None)), dedup: None, deliveries, waiting_max: WaitingMax::each(1000) };
        disk.sqlite().accept(accept).await.unwrap();
    }
    let (maker, in_flight, done) = (Arc::new(maker), Arc::new(Mutex::new(BTreeSet::new())), Arc::new(Mutex::new(Vec::new())));
    let workers = (0..6).map(|worker| {
        let (store, maker, in_flight, done) = (disk.sqlite().clone(), maker.clone(), in_flight.clone(), done.clone());
        tokio::spawn(async move {
            while done.lock().unwrap().len() < MESSAGES {
                let leased = store
                    .lease(Lease { integration: "crm".into(), now: START, limit: 1 + worker % 3, bytes_max: usize::MAX })
                    .await
                    .unwrap();
                if leased.is_empty() {
                    // A lease from memory waits for nothing: without this, those that settle might never have their turn.
                    tokio::task::yield_now().await;
                }
                for leased in leased {
                    let lane = body(&leased).split(':').next().unwrap().to_owned();
                    assert!(in_flight.lock().unwrap().insert(lane.clone()), "lane {lane} is in flight twice");
                    tokio::task::yield_now().await;
                    in_flight.lock().unwrap().remove(&lane);
                    let retry = worker == 0 && leased.attempts == 0;
                    let settlement = if retry { Settlement::Retries { due_at: START } } else { delivered() };
                    if !retry {
                        done.lock().unwrap().push(body(&leased).to_owned());
                    }
                    store.settle(Arc::new(maker.settlement(leased.id, settlement))).await.unwrap();
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let mut by_lane = BTreeMap::<usize, Vec<usize>>::new();
    for body in done.lock().unwrap().iter() {
        let (lane, n) = body.split_once(':').unwrap();
        by_lane.entry(lane.parse().unwrap()).or_default().push(n.parse().unwrap());
    }
    for (lane, order) in by_lane {
        assert_eq!(order, (0..MESSAGES / LANES).map(|n| n * LANES + lane).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_lease_nobody_waits_for_any_more_ends() {
    let disk = OnDisk::open();
    let maker = World::new(InMemory::default());
    let accept = Accept {
        message: Arc::new(maker.message("1", None)),
        dedup: None,
        deliveries: maker.deliveries(&[("crm", Lane::Free)]),
        waiting_max: WaitingMax::each(10),
    };
    disk.sqlite().accept(accept).await.unwrap();
    let lease = Lease { integration: "crm".into(), now: START, limit: 10, bytes_max: usize::MAX };
    let leases = Arc::clone(&disk.sqlite().inner.leases);
    let database = disk.folder.path().join(DATABASE_FILE);
    let connection = open::open_reader(&database, &open::Medium::default()).unwrap();
    let handed_out = crate::message_store::sqlite::lease::hand_out(&connection, &leases, &lease).unwrap();
    assert!(disk.sqlite().lease(lease.clone()).await.unwrap().is_empty());
    drop(handed_out);
    assert_eq!(disk.sqlite().lease(lease).await.unwrap().len(), 1);
}

/// What is done in a random history.
#[derive(Clone, Debug)]
enum Step {
    Accept {
        lane: Option<u8>,
    },
    Lease {
        limit: usize,
        bytes_max: usize,
    },
    /// Of the leases held, the `which`-th.
    Settle {
        which: usize,
        how: How,
    },
    Release {
        which: usize,
    },
    Replay {
        which: usize,
        superseded: Superseded,
    },
    /// Into this lane.
    Edit {
        which: usize,
        lane: u8,
    },
    Discard {
        which: usize,
    },
    Advance,
    Crash,
}

#[derive(Clone, Debug)]
enum How {
    Delivered,
    Dead,
    DeadAndStopping,
    Retries,
    Waits,
    FannedOut,
    Appends,
}

fn step() -> impl Strategy<Value = Step> {
    let how = prop_oneof![
        4 => Just(How::Delivered),
        2 => Just(How::Dead),
        2 => Just(How::DeadAndStopping),
        1 => Just(How::Retries),
        1 => Just(How::Waits),
        1 => Just(How::FannedOut),
        1 => Just(How::Appends),
    ];
    let superseded = prop_oneof![Just(Superseded::Ask), Just(Superseded::Skip), Just(Superseded::Anyway)];
    let which = 0..8_usize;
    prop_oneof![
        6 => proptest::option::weighted(0.8, 0..3_u8).prop_map(|lane| Step::Accept { lane }),
        5 => (1..4_usize, prop_oneof![2 => Just(usize::MAX), 1 => 1..4_usize]).prop_map(|(limit, bytes_max)| Step::Lease { limit, bytes_max }),
        8 => (which.clone(), how).prop_map(|(which, how)| Step::Settle { which, how }),
        1 => which.clone().prop_map(|which| Step::Release { which }),
        3 => (which.clone(), superseded).prop_map(|(which, superseded)| Step::Replay { which, superseded }),
        2 => (which.clone(), 0..3_u8).prop_map(|(which, lane)| Step::Edit { which, lane }),
        1 => which.prop_map(|which| Step::Discard { which }),
        3 => Just(Step::Advance),
        1 => Just(Step::Crash),
    ]
}

/// One world's history, told so that two can be compared.
struct Player {
    world: World,
    held: Vec<Leased>,
    accepted: usize,
    told: Vec<String>,
}

impl Player {
    fn new(world: World) -> Self {
        Self { world, held: Vec::new(), accepted: 0, told: Vec::new() }
    }

    async fn play(&mut self, step: &Step) {
        let told = match step {
            Step::Accept { lane } => {
                self.accepted += 1;
                let lane = lane.map(|lane| lane.to_string());
                self.world.accept(&self.accepted.to_string(), lane.as_deref()).await.to_string()
            }
            Step::Lease { limit, bytes_max } => self.lease(*limit, *bytes_max).await,
            Step::Settle { which, how } => self.settle(*which, how).await,
            Step::Release { which } => match self.take(*which) {
                Some(leased) => format!("{:?}", self.world.store().release(leased.id).await),
                None => String::new(),
            },
            Step::Replay { which, superseded } => match self.dead_letter(*which).await {
                Some(id) => format!("{:?}", self.world.replay(id, *superseded).await),
                None => String::new(),
            },
            Step::Edit { which, lane } => {
                let open = self.world.dead_letters().await;
                match open.is_empty() {
                    false => format!("{:?}", self.world.edit(&open[which % open.len()], "edited", Some(&lane.to_string())).await),
                    true => String::new(),
                }
            }
            Step::Discard { which } => match self.dead_letter(*which).await {
                Some(id) => format!("{:?}", self.world.discard(id).await),
                None => String::new(),
            },
            Step::Advance => {
                self.world.advance(10);
                String::new()
            }
            Step::Crash => {
                self.held.clear();
                self.world.crash().await;
                String::new()
            }
        };
        let store = self.world.store();
        let next = futures_util::future::join_all(["crm", "audit"].map(|integration| store.next_due(integration))).await;
        let waiting = ["crm", "audit"].map(|integration| store.waiting(integration));
        self.told.push(format!("{step:?} → {told}; next {next:?}; waiting {waiting:?}; dead {:?}", self.world.dead_letters().await));
    }

    async fn lease(&mut self, limit: usize, bytes_max: usize) -> String {
        let mut told = Vec::new();
        for integration in ["crm", "audit"] {
            let lease = Lease { integration: integration.into(), now: self.world.now(), limit, bytes_max };
            for leased in self.world.store().lease(lease).await.unwrap() {
                let shown = (leased.message.id, body(&leased), leased.stage, leased.attempts, leased.waits, leased.replay);
                let times = (leased.first_started_at, leased.failing_since, leased.unsettled_starts);
                told.push(format!("{integration} {shown:?} {times:?}"));
                self.held.push(leased);
            }
        }
        told.join(", ")
    }

    async fn settle(&mut self, which: usize, how: &How) -> String {
        let Some(leased) = self.take(which) else { return String::new() };
        let due_at = Timestamp(self.world.now().0 + 10);
        let settlement = match how {
            How::Delivered | How::Appends => delivered(),
            How::Dead => dead(),
            How::DeadAndStopping => dead_and_stopping(),
            How::Retries => Settlement::Retries { due_at },
            How::Waits => Settlement::Waits { due_at },
            How::FannedOut => Settlement::FannedOut { children: self.world.children(&leased.message, &["x", "y"]) },
        };
        let mut settle = self.world.settlement(leased.id, settlement);
        if matches!(how, How::Appends) {
            let existing = crate::message_store::AppendedMessage::Existing(leased.message.id);
            settle.appends = vec![self.world.append(existing, &[("audit", key("all"))])];
        }
        format!("{:?} {:?}", self.world.store().settle(Arc::new(settle)).await, self.world.outcomes(leased.message.id).await)
    }

    /// Everything is delivered and every dead letter given up: nothing may be left that waits for ever. How many are.
    async fn wind_up(&mut self) -> u64 {
        loop {
            for letter in self.world.dead_letters().await {
                self.world.discard(letter.id).await.unwrap();
            }
            self.world.advance(100);
            self.lease(100, usize::MAX).await;
            if self.held.is_empty() {
                return ["crm", "audit"].map(|integration| self.world.store().waiting(integration)).iter().sum();
            }
            for leased in std::mem::take(&mut self.held) {
                self.world.deliver(leased.id).await;
            }
        }
    }

    fn take(&mut self, which: usize) -> Option<Leased> {
        (!self.held.is_empty()).then(|| self.held.remove(which % self.held.len()))
    }

    async fn dead_letter(&self, which: usize) -> Option<DeadLetterId> {
        let open = self.world.dead_letters().await;
        (!open.is_empty()).then(|| open[which % open.len()].id)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_stores_tell_one_story(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let tell = |world: World| {
            runtime.block_on(async {
                let mut player = Player::new(world);
                for step in &steps {
                    player.play(step).await;
                }
                let left = player.wind_up().await;
                player.told.push(format!("{left} left"));
                (player.told, left)
            })
        };
        let ((memory, left), (disk, _)) = (tell(World::new(InMemory::default())), tell(World::new(OnDisk::open())));
        for (memory, disk) in memory.iter().zip(&disk) {
            prop_assert_eq!(memory, disk);
        }
        prop_assert_eq!(left, 0);
    }
}
