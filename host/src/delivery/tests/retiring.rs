//! Whom channels feed while some of their readers are being retired.

use std::sync::Arc;

use super::lab::*;
use crate::clock::Timestamp;
use crate::delivery::{Catalog, Retirement, Retirements};
use crate::message::{Headers, Message, MessageId};
use crate::random::SeededRandom;

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn message() -> Message {
    Message {
        id: MessageId::new(NOW, &SeededRandom::new(1)),
        parent: None,
        key: None,
        content_type: String::new(),
        headers: Headers::default(),
        body: bytes::Bytes::new(),
        tracked: Vec::new(),
        origin: String::new(),
        accepted_at: NOW,
    }
}

#[test]
fn one_that_is_retired_reads_no_more_but_what_it_sends_itself_until_it_is_taken_back() {
    let retirements = Arc::new(Retirements::default());
    let runnables = ["crm", "audit"].map(|name| runnable(integration(name, &[], plugin("crm"))));
    let catalog = Catalog::new(runnables).heeding(retirements.clone());
    let fed = |writer: &str| {
        let deliveries = catalog.channel_deliveries(writer, "in", &message(), NOW);
        deliveries.into_iter().map(|delivery| delivery.integration).collect::<Vec<_>>()
    };
    assert_eq!(fed("shop"), ["audit", "crm"]);
    retirements.put("crm", Retirement { since: NOW, reason: None, done_at: None });
    assert_eq!((fed("shop"), fed("audit")), (vec!["audit".to_owned()], vec!["audit".to_owned()]));
    assert_eq!(fed("crm"), ["audit", "crm"], "it has to finish what it began");
    retirements.remove("crm");
    assert_eq!(fed("shop"), ["audit", "crm"]);
}
