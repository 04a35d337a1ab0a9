//! What a host that dies or is told to stop leaves behind: everything it acknowledged, once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{order, post_body};
use crate::support::shop_to_crm::{Outside, workspace};

/// A shop that posts order after order, each until it is acknowledged, whatever becomes of the host meanwhile.
struct Shop {
    /// Where the host listens now.
    ingress: Arc<Mutex<String>>,
    stop: Arc<AtomicBool>,
    next: Arc<AtomicU64>,
    acknowledged: Arc<Mutex<BTreeSet<u64>>>,
}

const FIRST_ORDER: u64 = 500_000;

impl Shop {
    fn new(host: &Host) -> Self {
        Self {
            ingress: Arc::new(Mutex::new(host.ingress.clone())),
            stop: Arc::default(),
            next: Arc::new(AtomicU64::new(FIRST_ORDER)),
            acknowledged: Arc::default(),
        }
    }

    fn post_until_stopped(&self) -> std::thread::JoinHandle<()> {
        let (ingress, stop, next, acknowledged) = (self.ingress.clone(), self.stop.clone(), self.next.clone(), self.acknowledged.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::SeqCst) {
                let id = next.fetch_add(1, Ordering::SeqCst);
                let body = order(id, id % 5, "10.00").to_string();
                loop {
                    let to = ingress.lock().unwrap().clone();
                    match post_body(&to, &format!("evt-{id}"), body.as_bytes()) {
                        Ok(answer) if answer.status == 202 => break,
                        // The shop does not know whether it was taken, so it sends it again.
                        _ if stop.load(Ordering::SeqCst) => return,
                        _ => std::thread::sleep(Duration::from_millis(5)),
                    }
                }
                acknowledged.lock().unwrap().insert(id);
            }
        })
    }

    fn moved_to(&self, host: &Host) {
        host.ingress.clone_into(&mut self.ingress.lock().unwrap());
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

/// Order ids that have arrived as opportunities, and those written more than once.
fn arrived(outside: &Outside) -> (usize, Vec<String>) {
    let received = outside.crm.received();
    let writes: Vec<_> = received.writes.iter().filter(|((kind, _), _)| kind == "Opportunity").collect();
    let doubled = writes.iter().filter(|(_, count)| **count > 1).map(|((_, id), _)| id.clone()).collect();
    (writes.len(), doubled)
}

fn integrity(data: &Path) {
    let file =
        std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|end| end == "db"));
    let connection = rusqlite::Connection::open(file.unwrap()).unwrap();
    let answer: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(answer, "ok");
}

#[test]
fn kill_loses_and_doubles_nothing_at_an_idempotent_receiver() {
    let kills: u64 = std::env::var("LOCKGATE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let mut host = Host::start(&workspace);
    let shop = Shop::new(&host);
    let posters: Vec<_> = (0..3).map(|_| shop.post_until_stopped()).collect();
    for kill in 0..kills {
        // Each life takes some more orders before it ends; how many differs from kill to kill.
        let target = shop.acknowledged() + 3 + usize::try_from(kill * 7 % 23).unwrap();
        eventually("more orders were acknowledged", || (shop.acknowledged() >= target).then_some(()));
        host.kill();
        integrity(&workspace.data());
        host = Host::start(&workspace);
        shop.moved_to(&host);
    }
    shop.stop.store(true, Ordering::SeqCst);
    posters.into_iter().for_each(|poster| poster.join().unwrap());
    let expected = shop.acknowledged();
    eventually("every acknowledged order is in the CRM", || (arrived(&outside).0 >= expected).then_some(()));
    let missing: Vec<u64> = {
        let received = outside.crm.received();
        let ids: String = received.records.keys().map(|(_, id)| format!("{id} ")).collect();
        shop.acknowledged.lock().unwrap().iter().filter(|id| !ids.contains(&id.to_string())).copied().collect()
    };
    assert!(missing.is_empty(), "acknowledged but lost: {missing:?}");
    let (_, doubled) = arrived(&outside);
    assert!(doubled.is_empty(), "written twice: {doubled:?}");
    println!("{kills} kills, {expected} orders acknowledged, {} repeats recognised by the CRM", outside.crm.received().repeats);
}

/// Orders are on their way while it is made; a host that was restored from it delivers what was acknowledged before, once.
#[test]
fn a_backup_of_a_running_host_is_restored_with_everything_that_was_acknowledged_before_it() {
    let mut outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    outside.crm_down();
    let post = |host: &Host, id: u64| {
        let body = order(id, id % 5, "10.00").to_string();
        assert_eq!(post_body(&host.ingress, &format!("evt-{id}"), body.as_bytes()).unwrap().status, 202);
    };
    (0..20).for_each(|id| post(&host, 800_000 + id));
    let file = workspace.path().join("b.tar");
    let file = file.to_str().unwrap();
    let run = |arguments: &[&str], status: i32| {
        let output = workspace.lockgate(arguments);
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(run(&["backup", file], 0).starts_with("wrote "));
    assert!(run(&["backup", file], 2).contains("is there already"), "no backup is written over another");
    post(&host, 800_100);
    assert!(run(&["restore", file], 1).contains("LG-3002"), "not over a data folder");
    assert!(run(&["restore", file, "--check"], 0).contains("is whole"));
    host.kill();
    std::fs::rename(workspace.data(), workspace.path().join("lost")).unwrap();
    assert!(run(&["restore", file], 0).starts_with("restored "));

    let host = Host::start(&workspace);
    // The sender that had no answer of the first host sends again.
    post(&host, 800_003);
    outside.crm_up();
    eventually("what was acknowledged before the backup is in the CRM", || (arrived(&outside).0 == 20).then_some(()));
    assert!(arrived(&outside).1.is_empty(), "once each");
}

#[test]
fn sigterm_finishes_or_keeps_what_is_in_flight_and_ends_with_0() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    for id in 0..60_u64 {
        let body = order(600_000 + id, id % 9, "10.00").to_string();
        assert_eq!(post_body(&host.ingress, &format!("evt-{id}"), body.as_bytes()).unwrap().status, 202);
    }
    let status = host.stop();
    assert_eq!(status.code(), Some(0));
    integrity(&workspace.data());
    let _host = Host::start(&workspace);
    eventually("all sixty are in the CRM", || (arrived(&outside).0 == 60).then_some(()));
    assert!(arrived(&outside).1.is_empty());
}

#[test]
fn an_answer_that_was_lost_after_the_work_was_done_has_one_effect() {
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let lost = lockgate::demo::crm::Scripted { after_effect: true, ..lockgate::demo::crm::Scripted::status(500) };
    outside.crm.answer_next(lost);
    let body = order(700_000, 1, "10.00").to_string();
    assert_eq!(post_body(&host.ingress, "evt-1", body.as_bytes()).unwrap().status, 202);
    eventually("the CRM recognised the repeat", || (outside.crm.received().repeats == 1).then_some(()));
    assert_eq!(arrived(&outside), (1, Vec::new()));
}
