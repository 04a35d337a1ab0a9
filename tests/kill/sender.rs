//! Those who send: one thread for each key, message after message, each until it is acknowledged, whatever becomes of the host.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use super::item::sent;
use super::receiver::Outside;
use crate::support::host::Host;
use crate::support::http::request;

/// A sender is so many messages ahead of the receivers at most, so that a short life sees a message all the way.
const AHEAD_MAX: u64 = 6;
/// Every so many messages one is sent once more, though it was acknowledged.
const SENT_AGAIN_EVERY: u64 = 6;

/// What the senders know.
#[derive(Debug, Default)]
pub struct Book {
    /// Ids of what was acknowledged, by key and number.
    pub acknowledged: BTreeMap<(String, u64), String>,
    /// Sent once more after that, and recognised.
    pub recognised: u64,
    /// What should not have been answered.
    pub complaints: Vec<String>,
}

#[derive(Debug)]
struct Shared {
    /// Where the host listens now.
    ingress: Mutex<String>,
    /// Nobody starts another message.
    stop: AtomicBool,
    /// There will be no host to ask any more.
    over: AtomicBool,
    book: Mutex<Book>,
    outside: Arc<Outside>,
}

/// All senders of one flow.
#[derive(Debug)]
pub struct Senders {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    pub fn start(keys: usize, outside: &Arc<Outside>) -> Self {
        let shared = Arc::new(Shared {
            ingress: Mutex::default(),
            stop: AtomicBool::new(false),
            over: AtomicBool::new(false),
            book: Mutex::default(),
            outside: outside.clone(),
        });
        let threads = (0..keys).map(|key| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.send_all(&format!("k{key}")))
        });
        Self { threads: threads.collect(), shared }
    }

    pub fn moved_to(&self, host: &Host) {
        host.ingress.clone_into(&mut self.shared.ingress.lock().unwrap());
    }

    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.shared.book.lock().unwrap()
    }

    /// Waits until each sender has its last message acknowledged.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn send_all(&self, key: &str) {
        for number in 1.. {
            while !self.stopped() && number > self.outside.latest(key) + AHEAD_MAX {
                std::thread::sleep(Duration::from_millis(2));
            }
            if self.stopped() {
                return;
            }
            let Some((id, _)) = self.until_acknowledged(key, number) else { return };
            self.book.lock().unwrap().acknowledged.insert((key.to_owned(), number), id);
            if number % SENT_AGAIN_EVERY == 0 {
                let Some((again, status)) = self.until_acknowledged(key, number - 3) else { return };
                self.recognised(key, number - 3, &again, &status);
            }
        }
    }

    fn recognised(&self, key: &str, number: u64, id: &str, status: &str) {
        let mut book = self.book.lock().unwrap();
        book.recognised += 1;
        let first = &book.acknowledged[&(key.to_owned(), number)];
        if (first.as_str(), "duplicate") != (id, status) {
            let complaint = format!("{key} {number} was acknowledged as {first}, and then {status} as {id}");
            book.complaints.push(complaint);
        }
    }

    /// Id and status of the answer; none if there is nobody to ask any more.
    fn until_acknowledged(&self, key: &str, number: u64) -> Option<(String, String)> {
        let id = format!("{key}-{number}");
        let headers = [("content-type", "text/plain"), ("x-id", id.as_str()), ("x-key", key)];
        loop {
            let to = self.ingress.lock().unwrap().clone();
            match request("POST", &format!("{to}/orders"), &headers, sent(key, number)) {
                Ok(answer) if answer.status == 202 => {
                    let answer = answer.json();
                    return Some((answer["id"].as_str()?.to_owned(), answer["status"].as_str()?.to_owned()));
                }
                // The sender does not know whether it was taken, so it sends it again.
                _ if self.over.load(Ordering::SeqCst) => return None,
                _ => std::thread::sleep(Duration::from_millis(3)),
            }
        }
    }
}
