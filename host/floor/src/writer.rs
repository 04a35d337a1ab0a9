//! One thread has the database: a commit takes all that waited while the last one ran. It keeps the orders of a customer in order.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Result;
use tokio::sync::{mpsc, oneshot};

use crate::delivery::Dealer;
use crate::record::{Accepted, Command, Delivery, Order, Settled};
use crate::rows::Rows;
use crate::{Counts, Error, give_up};

/// Commands that wait at most.
const QUEUED_MAX: usize = 4096;
/// Commands in a commit at most.
const GROUP_MAX: usize = 1024;

/// Starts the thread.
pub fn start(rows: Rows, dealer: Dealer, counts: Arc<Counts>) -> Result<mpsc::Sender<Command>, Error> {
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    let mut writer = Writer { rows, dealer, counts, lanes: HashMap::new() };
    std::thread::Builder::new().name("floor-writer".into()).spawn(move || {
        if let Err(error) = writer.serve(receiver) {
            give_up("writing", &error);
        }
    })?;
    Ok(sender)
}

struct Writer {
    rows: Rows,
    dealer: Dealer,
    counts: Arc<Counts>,
    /// For each customer with a delivery in the database: those behind the one that is on its way.
    lanes: HashMap<String, VecDeque<Delivery>>,
}

/// What is done once the commit has returned.
#[derive(Default)]
struct Afterwards {
    answers: Vec<(oneshot::Sender<Accepted>, Accepted)>,
    ready: Vec<Delivery>,
    settled: u64,
}

impl Writer {
    fn serve(&mut self, mut receiver: mpsc::Receiver<Command>) -> Result<()> {
        let mut group = Vec::with_capacity(GROUP_MAX);
        while receiver.blocking_recv_many(&mut group, GROUP_MAX) > 0 {
            let Afterwards { answers, ready, settled } = self.commit(group.drain(..))?;
            self.counts.settled.fetch_add(settled, Ordering::Relaxed);
            ready.into_iter().for_each(|delivery| self.dealer.deal(delivery));
            for (sender, answer) in answers {
                // A sender that went away has its order on disk all the same.
                let _ = sender.send(answer);
            }
        }
        Ok(())
    }

    fn commit(&mut self, group: impl Iterator<Item = Command>) -> Result<Afterwards> {
        let mut afterwards = Afterwards::default();
        let mut starts = Vec::new();
        let mut settled = HashSet::new();
        self.rows.begin()?;
        for command in group {
            match command {
                Command::Accept(order, reply) => {
                    let accepted = self.accept(order, &mut afterwards)?;
                    afterwards.answers.push((reply, accepted));
                }
                Command::Start { delivery, at } => starts.push((delivery, at)),
                Command::Settle(settle) => {
                    settled.insert(settle.place.delivery);
                    self.settle(&settle, &mut afterwards)?;
                }
            }
        }
        // A start that settled in the same commit need not be noted; the host does not either.
        for (delivery, at) in starts.into_iter().filter(|(delivery, _)| !settled.contains(delivery)) {
            self.rows.start(delivery, at)?;
        }
        self.rows.commit()?;
        Ok(afterwards)
    }

    fn accept(&mut self, order: Box<Order>, afterwards: &mut Afterwards) -> Result<Accepted> {
        if let Some(first) = self.rows.seen(&order)? {
            return Ok(Accepted::Duplicate(first));
        }
        let lane = self.lanes.get_mut(&order.key);
        let place = self.rows.insert(&order, lane.is_some())?;
        match lane {
            Some(lane) => lane.push_back(Delivery { place, order }),
            None => {
                self.lanes.insert(order.key.clone(), VecDeque::new());
                afterwards.ready.push(Delivery { place, order });
            }
        }
        self.counts.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(Accepted::New)
    }

    /// The customer's next order goes on its way.
    fn settle(&mut self, settled: &Settled, afterwards: &mut Afterwards) -> Result<()> {
        self.rows.settle(settled)?;
        afterwards.settled += 1;
        match self.lanes.get_mut(&settled.key).and_then(VecDeque::pop_front) {
            Some(next) => {
                self.rows.promote(next.place.delivery)?;
                afterwards.ready.push(next);
            }
            None => drop(self.lanes.remove(&settled.key)),
        }
        Ok(())
    }
}
