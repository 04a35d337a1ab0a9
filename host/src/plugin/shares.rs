//! [`Shares`]: permits for calls, which no integration can take from all the others, however long its calls hang.
//!
//! An integration that holds as many as are free gets no more, so one that hangs never has half of them ("dynamic thresholds", Choudhury
//! and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998); and the last quarter is for integrations that hold none. Depends on
//! nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A number of permits, shared by integrations.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Mutex<Table>>);

#[derive(Debug)]
struct Table {
    free: usize,
    /// The last of them go to integrations that hold none.
    reserve: usize,
    /// As many entries as there are integrations.
    held: HashMap<String, usize>,
    /// Integrations with calls that wait, the one that was served last at the end.
    waiting: VecDeque<Queue>,
}

/// The calls of one integration that wait, oldest first. No more than its concurrency allows.
#[derive(Debug)]
struct Queue {
    integration: String,
    calls: VecDeque<oneshot::Sender<Share>>,
}

/// A permit, given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    integration: String,
}

impl Shares {
    pub fn new(permits: usize) -> Self {
        Self(Arc::new(Mutex::new(Table { free: permits, reserve: permits / 4, held: HashMap::new(), waiting: VecDeque::new() })))
    }

    /// A permit for a call of `integration`, once it is its turn.
    pub async fn acquire(&self, integration: &str) -> Share {
        let turn = {
            let mut table = self.lock();
            if !table.is_waiting(integration) && table.take(integration) {
                return self.share(integration);
            }
            table.wait(integration)
        };
        // The sender is in the table, which lives as long as this.
        turn.await.unwrap_or_else(|_| self.share(integration))
    }

    fn share(&self, integration: &str) -> Share {
        Share { shares: self.clone(), integration: integration.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut table = self.shares.lock();
        table.give_back(&self.integration);
        let turns: Vec<_> = std::iter::from_fn(|| table.next()).collect();
        // A permit that nobody takes any more is given back in its turn, which needs the table.
        drop(table);
        turns.into_iter().for_each(|(integration, call)| drop(call.send(self.shares.share(&integration))));
    }
}

impl Table {
    /// Takes a permit for `integration`, if it may have one more.
    fn take(&mut self, integration: &str) -> bool {
        if !self.may_take(integration) {
            return false;
        }
        self.free -= 1;
        match self.held.get_mut(integration) {
            Some(held) => *held += 1,
            None => drop(self.held.insert(integration.to_owned(), 1)),
        }
        true
    }

    fn may_take(&self, integration: &str) -> bool {
        match self.held_by(integration) {
            0 => self.free > 0,
            held => held < self.free.saturating_sub(self.reserve),
        }
    }

    fn held_by(&self, integration: &str) -> usize {
        self.held.get(integration).copied().unwrap_or(0)
    }

    fn give_back(&mut self, integration: &str) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(integration) {
            *held = held.saturating_sub(1);
        }
    }

    fn is_waiting(&self, integration: &str) -> bool {
        self.waiting.iter().any(|queue| queue.integration == integration)
    }

    fn wait(&mut self, integration: &str) -> oneshot::Receiver<Share> {
        let (call, turn) = oneshot::channel();
        match self.waiting.iter_mut().find(|queue| queue.integration == integration) {
            Some(queue) => queue.calls.push_back(call),
            None => self.waiting.push_back(Queue { integration: integration.to_owned(), calls: VecDeque::from([call]) }),
        }
        turn
    }

    /// Takes a permit for the call whose turn it is.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Share>)> {
        let has_none = self.waiting.iter().position(|queue| self.free > 0 && self.held_by(&queue.integration) == 0);
        let place = has_none.or_else(|| self.waiting.iter().position(|queue| self.may_take(&queue.integration)))?;
        let mut queue = self.waiting.remove(place)?;
        let call = queue.calls.pop_front();
        let integration = queue.integration.clone();
        if !queue.calls.is_empty() {
            self.waiting.push_back(queue);
        }
        self.take(&integration);
        call.map(|call| (integration, call))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// As many permits as `integration` gets at once.
    fn take_all(shares: &Shares, integration: &str) -> Vec<Share> {
        std::iter::from_fn(|| shares.acquire(integration).now_or_never()).collect()
    }

    #[test]
    fn however_many_want_all_of_it_there_is_something_left_for_who_has_nothing() {
        let shares = Shares::new(256);
        let one = take_all(&shares, "one");
        assert_eq!(one.len(), 96);
        let hanging: Vec<_> = (0..40).map(|number| take_all(&shares, &format!("hangs {number}"))).collect();
        assert!(hanging.iter().all(|held| !held.is_empty()), "{:?}", hanging.iter().map(Vec::len).collect::<Vec<_>>());
    }

    #[test]
    fn integrations_that_hang_with_the_default_concurrency_leave_room_for_others() {
        let shares = Shares::new(256);
        let mut hanging = Vec::new();
        for number in 0..80 {
            for _ in 0..8 {
                hanging.extend(shares.acquire(&format!("hangs {number}")).now_or_never());
            }
        }
        assert_eq!(take_all(&shares, "well").len(), 1, "with eighty that hang");
    }

    #[tokio::test]
    async fn what_is_given_back_goes_round() {
        let shares = Shares::new(4);
        let greedy = take_all(&shares, "greedy");
        assert_eq!(greedy.len(), 2);
        let mut waiting: Vec<_> = ["greedy", "greedy", "b"].into_iter().map(|name| Box::pin(shares.acquire(name))).collect();
        assert!(waiting[0].as_mut().now_or_never().is_none() && waiting[1].as_mut().now_or_never().is_none());
        let b = waiting[2].as_mut().now_or_never().unwrap();
        drop(greedy);
        let first = waiting[0].as_mut().await;
        drop((first, b));
        waiting[1].as_mut().await;
    }

    #[tokio::test]
    async fn who_has_none_left_is_served_even_if_another_takes_what_was_given_back() {
        let shares = Shares::new(8);
        let mut first = take_all(&shares, "first");
        let mut second = take_all(&shares, "second");
        assert_eq!((first.len(), second.len()), (3, 2));
        let _third = take_all(&shares, "third");
        let mut waits_first = Box::pin(shares.acquire("second"));
        assert!(waits_first.as_mut().now_or_never().is_none());
        second.clear();
        assert!(waits_first.as_mut().now_or_never().is_some());
        let mut waits = Box::pin(shares.acquire("first"));
        assert!(waits.as_mut().now_or_never().is_none());
        first.clear();
        assert!(waits.as_mut().now_or_never().is_some());
    }

    #[tokio::test]
    async fn one_that_waits_no_more_takes_nothing_with_it() {
        let shares = Shares::new(1);
        let held = shares.acquire("a").await;
        let mut gone = Box::pin(shares.acquire("a"));
        assert!(gone.as_mut().now_or_never().is_none());
        let mut late = Box::pin(shares.acquire("a"));
        assert!(late.as_mut().now_or_never().is_none());
        drop(gone);
        drop(held);
        let held = late.await;
        // Given, and not taken any more.
        let mut gone = Box::pin(shares.acquire("a"));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(held);
        drop(gone);
        shares.acquire("a").await;
        assert_eq!(shares.lock().free, 1);
    }
}
