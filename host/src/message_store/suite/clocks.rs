//! What jumps of the machine's wall clock while the host runs do to what is stored: nothing.

use std::time::Duration;

use super::world::*;
use crate::clock::SystemClock;
use crate::clock::jumping::{Jumping, jumps};
use crate::message_store::{Accepted, Dedup, Lane, Settlement};

const HOUR: Duration = Duration::from_secs(60 * 60);
const RETRY: Duration = Duration::from_secs(10);

pub async fn a_wall_clock_that_jumps_moves_no_delivery_and_no_token(world: World) {
    let machine = Jumping::at(START);
    let clock = SystemClock::of(machine.clone());
    for (number, jump) in (0..).zip(jumps()) {
        let dedup = || Some(Dedup { scope: "s".into(), token: [number; 32], expires_at: world.now().plus(HOUR) });
        let first = world.message("first", None);
        let id = first.id;
        assert_eq!(world.accept_as(first, dedup(), &[("crm", Lane::Free)]).await.unwrap(), Accepted::New);
        let due_at = world.now().plus(RETRY);
        world.settle(world.lease_one().await.id, Settlement::Retries { due_at }).await;
        world.accept("second", None).await;
        machine.jump(jump);
        world.follow(&clock);
        assert_eq!(bodies(&world.lease("crm").await), ["second"], "the retry waits");
        assert_eq!(world.store().next_due("crm").await.unwrap(), Some(due_at));
        world.accept("third", None).await;

        machine.pass(RETRY);
        world.follow(&clock);
        // Older by its due time, though the wall clock may say that it came a day later.
        let leased = world.lease("crm").await;
        assert_eq!(bodies(&leased), ["third", "first"], "no longer than its delay");
        for leased in leased {
            world.deliver(leased.id).await;
        }
        machine.pass(HOUR - RETRY - Duration::from_millis(1));
        world.follow(&clock);
        let again = world.message("again", None);
        assert_eq!(world.accept_as(again, dedup(), &[("crm", Lane::Free)]).await.unwrap(), Accepted::Duplicate(id), "not early");
        machine.pass(Duration::from_millis(1));
        world.follow(&clock);
        let later = world.message("later", None);
        assert_eq!(world.accept_as(later, dedup(), &[("crm", Lane::Free)]).await.unwrap(), Accepted::New, "nor for ever");
        assert_eq!(bodies(&world.lease("crm").await), ["later"]);
    }
}
