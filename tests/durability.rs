//! What a host that is told to stop leaves behind, and a target whose answer is lost: everything once. One that dies is in `kill`.

use crate::support::database::assert_whole;
use crate::support::eventually;
use crate::support::host::Host;
use crate::support::shop::{order, post_body};
use crate::support::shop_to_crm::{Outside, workspace};

/// Order ids that have arrived as opportunities, and those written more than once.
fn arrived(outside: &Outside) -> (usize, Vec<String>) {
    let received = outside.crm.received();
    let writes: Vec<_> = received.writes.iter().filter(|((kind, _), _)| kind == "Opportunity").collect();
    let doubled = writes.iter().filter(|(_, count)| **count > 1).map(|((_, id), _)| id.clone()).collect();
    (writes.len(), doubled)
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
    assert_whole(&workspace.data());
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
