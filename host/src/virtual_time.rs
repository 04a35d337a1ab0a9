//! Virtual time: [`VirtualClock`] goes from one deadline to the next, and [`Idle`] says when there is nothing left to do before it.
//!
//! What simulations and scenarios run in. Depends on `clock`.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{Clock, Sleep, Timestamp};

/// A clock that stands until it is moved. Who sleeps until the same time wakes in the order of lying down.
#[derive(Clone)]
pub struct VirtualClock(Arc<Mutex<Time>>);

struct Time {
    now: Timestamp,
    /// By deadline, then by a number.
    sleepers: BTreeMap<(Timestamp, u64), Option<Waker>>,
    last: u64,
}

impl VirtualClock {
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Time { now: start, sleepers: BTreeMap::new(), last: 0 })))
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the next who sleeps wakes.
    pub fn next(&self) -> Option<Timestamp> {
        self.lock().sleepers.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Moves it to `to`, which is not earlier, and wakes those whose time has come.
    pub fn advance_to(&self, to: Timestamp) {
        let mut time = self.lock();
        time.now = time.now.max(to);
        let later = time.sleepers.split_off(&(Timestamp(to.0 + 1), 0));
        let woken = std::mem::replace(&mut time.sleepers, later);
        drop(time);
        woken.into_values().flatten().for_each(Waker::wake);
    }
}

impl fmt::Debug for VirtualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualClock({})", self.now())
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut time = self.lock();
        time.last += 1;
        let key = (time.now.plus(duration), time.last);
        time.sleepers.insert(key, None);
        drop(time);
        Box::pin(Sleeper { clock: self.clone(), key })
    }
}

struct Sleeper {
    clock: VirtualClock,
    key: (Timestamp, u64),
}

impl Future for Sleeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = self.clock.lock();
        if time.now >= self.key.0 {
            return Poll::Ready(());
        }
        time.sleepers.insert(self.key, Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.clock.lock().sleepers.remove(&self.key);
    }
}

/// Tells one task when all others wait.
#[derive(Clone, Debug, Default)]
pub struct Idle(Arc<Mutex<Option<Waker>>>);

impl Idle {
    /// A runtime of one thread: everything in it happens in an order that follows from what is done.
    ///
    /// # Errors
    /// What the machine says.
    pub fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let idle = self.clone();
        // The thread parks when no task can go on.
        let wake = move || {
            let waiting = idle.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            waiting.into_iter().for_each(Waker::wake);
        };
        tokio::runtime::Builder::new_current_thread().on_thread_park(wake).build()
    }

    /// Ends when no other task of the runtime can go on.
    pub async fn wait(&self) {
        let mut waits = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut waits, true) && self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
                return Poll::Ready(());
            }
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
