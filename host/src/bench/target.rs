//! Where everything is delivered: [`Target`] answers 200 as cheaply as it can and knows what came, and how often.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::orders::number_in;
use super::stopwatch;
use super::wire::Wire;
use crate::problem::{Code, Problem};

const DOWN: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Listens as long as its runtime lives; on the thread of the load generator, so that counts need no lock.
pub struct Target {
    pub address: SocketAddr,
    received: Rc<Received>,
}

/// What came of the orders that are expected.
#[derive(Default)]
struct Received {
    first: Cell<u64>,
    /// How often each order came.
    times: RefCell<Vec<u8>>,
    distinct: Cell<u64>,
    doubled: Cell<u64>,
    /// When each order was to be sent, and how long each took from then, in microseconds.
    sent: RefCell<Vec<Option<Instant>>>,
    delivered_us: RefCell<Vec<u32>>,
    is_down: Cell<bool>,
    /// Requests that speak of no order that is expected.
    strays: Cell<u64>,
    /// Wakes one who waits for room, for each order that came.
    room: Notify,
}

impl Target {
    /// Starts it on `address`, or on a free one. Within a `LocalSet`.
    pub async fn start(address: Option<SocketAddr>) -> Result<Self, Problem> {
        let address = address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            listener.local_addr().map(|address| (listener, address))
        };
        let (listener, address) = bound.await.map_err(|error| {
            Problem::new(Code::PortInUse, format!("the target cannot listen on {address}: {error}")).fix("choose another --target")
        })?;
        let received = Rc::<Received>::default();
        tokio::task::spawn_local(serve(listener, received.clone()));
        Ok(Self { address, received })
    }

    /// From now on `count` orders are expected, `first` and those that follow it.
    pub fn expect(&self, first: u64, count: usize) {
        self.received.first.set(first);
        *self.received.times.borrow_mut() = vec![0; count];
        *self.received.sent.borrow_mut() = vec![None; count];
        *self.received.delivered_us.borrow_mut() = Vec::with_capacity(count);
        self.received.distinct.set(0);
        self.received.doubled.set(0);
        self.received.strays.set(0);
    }

    /// The `index`-th of them was to be sent at `at`.
    pub fn sent(&self, index: usize, at: Instant) {
        if let Some(sent) = self.received.sent.borrow_mut().get_mut(index) {
            *sent = Some(at);
        }
    }

    /// How long those that came took, in microseconds, in the order in which they came.
    pub fn delivered_us(&self) -> Vec<u32> {
        self.received.delivered_us.borrow().clone()
    }

    /// From now on it answers 503 and takes nothing, or no more.
    pub fn is_down(&self, is_down: bool) {
        self.received.is_down.set(is_down);
    }

    /// How many of them have come.
    pub fn distinct(&self) -> u64 {
        self.received.distinct.get()
    }

    /// Returns when one of them comes. Each wakes one that waits.
    pub async fn arrived(&self) {
        self.received.room.notified().await;
    }

    /// How many came more than once.
    pub fn doubled(&self) -> u64 {
        self.received.doubled.get()
    }

    /// Requests that were about none of them.
    pub fn strays(&self) -> u64 {
        self.received.strays.get()
    }
}

async fn serve(listener: TcpListener, received: Rc<Received>) {
    // A failed accept is a sender's trouble; it tries again.
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(connection(stream, received.clone()));
        }
    }
}

async fn connection(stream: TcpStream, received: Rc<Received>) {
    let mut wire = Wire::new(stream);
    while let Ok(Some(message)) = wire.receive().await {
        let is_down = received.is_down.get();
        if !is_down {
            received.take(message.body);
        }
        if wire.send(if is_down { DOWN } else { ANSWER }).await.is_err() {
            return;
        }
    }
}

impl Received {
    fn take(&self, body: &[u8]) {
        let mut times = self.times.borrow_mut();
        let index = number_in(body).and_then(|number| number.checked_sub(self.first.get())).and_then(|index| usize::try_from(index).ok());
        let Some(times) = index.and_then(|index| times.get_mut(index)) else {
            return self.strays.set(self.strays.get() + 1);
        };
        match *times {
            0 => {
                let sent = index.and_then(|index| self.sent.borrow().get(index).copied().flatten());
                if let Some(sent) = sent {
                    let took = stopwatch::now().saturating_duration_since(sent);
                    self.delivered_us.borrow_mut().push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
                }
                self.distinct.set(self.distinct.get() + 1);
                self.room.notify_one();
            }
            1 => self.doubled.set(self.doubled.get() + 1),
            _ => {}
        }
        *times = times.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_doubled_and_stray_orders_are_told_apart() {
        let received = Received { times: RefCell::new(vec![0; 3]), first: Cell::new(5), ..Received::default() };
        for body in ["LGB-0000000005", "LGB-0000000006", "LGB-0000000006", "LGB-0000000006", "LGB-0000000004", "LGB-0000000008", "?"] {
            received.take(body.as_bytes());
        }
        assert_eq!((received.distinct.get(), received.doubled.get(), received.strays.get()), (2, 1, 3));
    }
}
