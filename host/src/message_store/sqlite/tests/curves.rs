//! The last hour, minute by minute.

use std::sync::Arc;
use std::time::Duration;

use crate::message_store::Lane;
use crate::message_store::sqlite::Ledger;
use crate::message_store::sqlite::ledger::{CURVE_MINUTES, Minute};
use crate::message_store::sqlite::writing::Waiting;
use crate::message_store::suite::world::{OnDisk, World};

#[tokio::test]
async fn a_curve_has_what_ended_in_each_minute_of_the_last_hour_and_nothing_older() {
    let disk = OnDisk::open();
    let ledger = disk.sqlite().ledger();
    let world = World::new(disk);
    let began = world.now();
    world.accept("1", Some("a")).await;
    assert!(ledger.curves(began).await.unwrap().is_empty(), "what waits has not ended");
    world.deliver(world.lease_one().await.id).await;
    world.accept_for("2", &[("audit", Lane::Unkeyed("no id".into()))]).await;
    world.advance(3 * 60_000);
    for body in ["3", "4"] {
        world.accept(body, Some("a")).await;
        world.deliver(world.lease_one().await.id).await;
    }

    let curves = ledger.curves(world.now()).await.unwrap();
    let last = CURVE_MINUTES - 1;
    assert_eq!(curves.keys().collect::<Vec<_>>(), ["audit", "crm"]);
    assert_eq!(curves["crm"].minutes[last], Minute { delivered: 2, ..Minute::default() });
    assert_eq!(curves["crm"].minutes[last - 3], Minute { delivered: 1, ..Minute::default() });
    assert_eq!(curves["audit"].minutes[last - 3], Minute { dead_lettered: 1, ..Minute::default() });
    assert_eq!(curves["crm"].from.plus(Duration::from_secs(59 * 60)).0 / 60_000, world.now().0 / 60_000);

    let an_hour_later = ledger.curves(began.plus(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(an_hour_later.keys().collect::<Vec<_>>(), ["crm"]);
    assert_eq!(an_hour_later["crm"].minutes[2], Minute { delivered: 2, ..Minute::default() });
    let earlier = ledger.curves(began).await.unwrap();
    assert_eq!(earlier["crm"].minutes.iter().map(|minute| minute.delivered).sum::<u64>(), 1, "minutes to come are not shown");
}

#[tokio::test]
async fn a_curve_that_is_looked_at_as_time_goes_is_the_one_that_is_read_afresh() {
    let disk = OnDisk::open();
    let (ledger, people) = (disk.sqlite().ledger(), Arc::clone(&disk.sqlite().inner.people));
    let world = World::new(disk);
    for minutes in [0, 0, 1, 1, 2, 30, 1, 59, 60, 1, 130] {
        world.advance(minutes * 60_000);
        world.accept(&world.now().0.to_string(), Some("a")).await;
        world.deliver(world.lease_one().await.id).await;
        let afresh = Ledger::new(Arc::clone(&people), Waiting::default()).curves(world.now()).await.unwrap();
        assert_eq!(ledger.curves(world.now()).await.unwrap(), afresh);
        assert!(!afresh.is_empty());
        world.advance(1);
    }
}
