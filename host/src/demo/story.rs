//! The demo's acts. Each does something for real, waits until it is seen, and says what was seen; what is not seen ends the demo.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::operator::Operator;
use super::shop::{Answer, SECRET, Shop, order, renumbered};
use super::way::{self, Way};
use super::world::World;
use crate::alias::Gate;
use crate::clock::{Clock, SystemClock};
use crate::message::MessageId;
use crate::message_store::sqlite::ledger::{DeadLetterQuery, Timeline, TimelineQuery};
use crate::problem::{Code, Problem};

/// How long anything in the demo may take before it is called failed.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Orders that come while the CRM is down.
const ORDERS_WHILE_DOWN: u64 = 5;

/// What a demo is told with: the example's folder, and where lines go.
pub struct Story<'a> {
    pub example: &'a Path,
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl std::fmt::Debug for Story<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Story").field("example", &self.example).finish_non_exhaustive()
    }
}

/// What became of everything, as the ledger, the CRM and the audit service have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    pub messages: Vec<Told>,
    /// Orders that were accepted.
    pub accepted: usize,
    pub opportunities_written: usize,
    pub audited: usize,
    /// Opportunities that were written more than once.
    pub written_twice: usize,
    /// Requests the CRM had seen before.
    pub repeats: u64,
}

/// One order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Told {
    pub name: String,
    pub id: MessageId,
    pub way: Vec<Way>,
    /// The ways of what it was made into.
    pub children: Vec<Vec<Way>>,
}

/// The story under way.
struct Telling<'a> {
    story: &'a Story<'a>,
    world: &'a mut World,
    shop: Shop,
    clock: SystemClock,
    /// Orders that were accepted: name and message.
    accepted: Vec<(String, MessageId)>,
}

/// Tells the whole story on `world`, and reports.
///
/// # Errors
/// What was promised and not seen.
pub async fn tell(story: &Story<'_>, world: &mut World) -> Result<Report, Problem> {
    let shop = Shop::new(world.host.ingress);
    let mut telling = Telling { story, world, shop, clock: SystemClock::new(), accepted: Vec::new() };
    telling.orders_come_in().await?;
    telling.the_crm_goes_down().await?;
    telling.a_poison_order_is_parked().await?;
    telling.report().await
}

impl Telling<'_> {
    fn say(&self, text: impl AsRef<str>) {
        (self.story.say)(text.as_ref());
    }

    async fn orders_come_in(&mut self) -> Result<(), Problem> {
        self.say("\n1. Signed orders come in; each is on disk before it is acknowledged");
        for name in ["plain.json", "big-id.json", "nulls.json", "emoji-xml.json", "split.json", "test-order.json"] {
            let body = order(self.story.example, name)?;
            self.post(name, &body).await?;
        }
        let plain = order(self.story.example, "plain.json")?;
        let again = self.shop.post("plain.json", &plain, SECRET).await?;
        self.say(format!("   plain.json      posted again        → {} {} {}", again.status, word(&again, "status"), again.id()));
        self.expect(again.body["status"] == "duplicate", "the same webhook again is a duplicate")?;
        let forged = self.shop.post("forged", &plain, "not-the-secret").await?;
        self.say(format!("   plain.json      forged signature    → {} {}", forged.status, word(&forged, "code")));
        self.expect(forged.status == 401, "a forged signature is refused")?;
        self.settled().await?;
        self.say("\n   In the CRM now:");
        for ((kind, id), fields) in &self.world.crm.received().records {
            self.say(format!("   {kind:<12} {id:<28} {}", shown(fields)));
        }
        let big = "820982911946154508";
        let unchanged = self.world.crm.received().records.keys().any(|(_, id)| id.contains(big));
        self.expect(unchanged, "an id above 2^53 arrives digit by digit")
    }

    async fn the_crm_goes_down(&mut self) -> Result<(), Problem> {
        self.say("\n2. The CRM goes down; orders keep coming");
        self.world.crm.down().await;
        let plain = order(self.story.example, "plain.json")?;
        let audited = self.world.audit.kept().bodies.len();
        for number in 1..=ORDERS_WHILE_DOWN {
            let (id, name) = (450_802_000 + number, format!("#{}", 2000 + number));
            self.post(&name, &renumbered(&plain, id, &name)).await?;
        }
        self.until("the CRM is seen to be down", |telling| matches!(telling.world.host.aliases.gate("crm"), Gate::Closed { .. })).await?;
        let all_wait = async |telling: &Self| telling.waiting("orders-to-crm").await.filter(|waiting| *waiting == ORDERS_WHILE_DOWN);
        let waiting = self.until_some("every order waits for the CRM", all_wait).await?;
        let wanted = audited + waiting as usize;
        self.until("the audit service has them all the same", |telling| telling.world.audit.kept().bodies.len() == wanted).await?;
        self.say(format!("   alias crm is open: {waiting} orders wait for it; the audit service has them already"));
        self.world.crm.up().await.map_err(|error| self.broken(&format!("the CRM can come up again: {error}")))?;
        self.say("   the CRM is up again");
        self.settled().await?;
        let failed = self.failed_attempts().await?;
        self.say(format!("   all delivered; attempts that failed: {failed} (waiting for a target uses none)"));
        self.expect(failed == 0, "waiting for a target that is down uses no attempt")
    }

    async fn a_poison_order_is_parked(&mut self) -> Result<(), Problem> {
        self.say("\n3. A poison order: its currency is one the CRM does not have");
        self.world.crm.refuse("CurrencyIsoCode", "XTS");
        let poison = order(self.story.example, "poison.json")?;
        self.post("poison.json", &poison).await?;
        let plain = order(self.story.example, "plain.json")?;
        self.post("#2006", &renumbered(&plain, 450_802_006, "#2006")).await?;
        let ledger = self.world.host.store.ledger();
        let letter = self
            .until_some("the poison order is parked", async |_| {
                ledger.dead_letters(DeadLetterQuery::default()).await.ok()?.dead_letters.into_iter().next()
            })
            .await?;
        self.settled().await?;
        self.say(format!("   parked as dead letter {} ({}), since the CRM said:\n      {}", letter.id.0, letter.class, letter.detail));
        self.say("   the order after it was delivered; an administrator now adds the currency to the CRM");
        self.world.crm.accept_all();
        let replayed = Operator::new().replay(self.world, letter.id).await?;
        let queued = replayed.status == 200 && replayed.body["results"][0]["result"] == "queued";
        self.expect(queued, &format!("the replay is on its way: {}", replayed.body))?;
        self.settled().await?;
        let left = ledger.dead_letters(DeadLetterQuery::default()).await.map_err(|why| self.broken(&why.to_string()))?.dead_letters;
        self.say(format!("   replayed and delivered; dead letters left: {}", left.len()));
        self.expect(left.is_empty(), "no dead letter is left")
    }

    async fn report(&mut self) -> Result<Report, Problem> {
        self.say("\n4. What became of each message, as the ledger has it");
        let mut messages = Vec::new();
        for (name, id) in &self.accepted {
            let timeline = self.timeline(*id).await?;
            let way = way::of(&timeline);
            self.say(format!("   {name:<15} {id}  {}", way::told(&way)));
            let mut children = Vec::new();
            for child in &timeline.children {
                let way = way::of(&self.timeline(child.id).await?);
                self.say(format!("      → {}", way::told(&way)));
                children.push(way);
            }
            messages.push(Told { name: name.clone(), id: *id, way, children });
        }
        let report = self.counted(messages);
        let Report { accepted, opportunities_written: writes, audited: kept, written_twice: doubled, repeats, .. } = &report;
        self.say(format!(
            "\n   accepted {accepted}, opportunities in the CRM {writes}, audited {kept}: one test order is skipped, one order is two shipments\n   \
             written twice {doubled}, requests the CRM had seen before {repeats}",
        ));
        self.expect(*doubled == 0, "no opportunity is written twice")?;
        // The test order is skipped; the split one is two.
        self.expect(writes == accepted && kept == writes, "every order is in the CRM and the audit service, once")?;
        Ok(report)
    }

    fn counted(&self, messages: Vec<Told>) -> Report {
        let (opportunities_written, written_twice, repeats) = {
            let received = self.world.crm.received();
            let opportunities = received.writes.iter().filter(|((kind, _), _)| kind == "Opportunity");
            let doubled = opportunities.clone().filter(|(_, times)| **times > 1).count();
            (opportunities.count(), doubled, received.repeats)
        };
        let (accepted, audited) = (self.accepted.len(), self.world.audit.kept().bodies.len());
        Report { messages, accepted, opportunities_written, audited, written_twice, repeats }
    }

    async fn post(&mut self, name: &str, body: &[u8]) -> Result<(), Problem> {
        let answer = self.shop.post(name, body, SECRET).await?;
        self.say(format!("   {name:<15} {:>6} bytes        → {} {} {}", body.len(), answer.status, word(&answer, "status"), answer.id()));
        self.expect(answer.status == 202, "a signed order is accepted")?;
        let id = answer.id().parse().map_err(|_| self.broken("an accepted order has an id"))?;
        self.accepted.push((name.to_owned(), id));
        Ok(())
    }

    /// Until nothing waits anywhere.
    async fn settled(&self) -> Result<(), Problem> {
        self.until_some("nothing waits any more", async |telling| {
            let queue = telling.world.host.store.ledger().queue(telling.clock.now()).await.ok()?;
            queue.iter().all(|row| row.waiting == 0).then_some(())
        })
        .await
    }

    async fn waiting(&self, integration: &str) -> Option<u64> {
        let queue = self.world.host.store.ledger().queue(self.clock.now()).await.ok()?;
        queue.iter().find(|row| row.integration == integration).map(|row| row.waiting)
    }

    async fn timeline(&self, id: MessageId) -> Result<Timeline, Problem> {
        let found = self.world.host.store.ledger().message(TimelineQuery::of(id)).await.map_err(|why| self.broken(&why.to_string()))?;
        found.ok_or_else(|| self.broken("an accepted message is in the ledger"))
    }

    /// Failed attempts of everything accepted so far, children and what was made of them included.
    async fn failed_attempts(&self) -> Result<u64, Problem> {
        let mut failed = 0;
        let mut open: Vec<MessageId> = self.accepted.iter().map(|(_, id)| *id).collect();
        while let Some(id) = open.pop() {
            let timeline = self.timeline(id).await?;
            failed += timeline.attempts.iter().filter(|attempt| attempt.result == "failed").map(|attempt| attempt.times).sum::<u64>();
            open.extend(timeline.children.iter().map(|child| child.id));
        }
        Ok(failed)
    }

    async fn until(&self, what: &str, seen: impl Fn(&Self) -> bool) -> Result<(), Problem> {
        self.until_some(what, async |telling| seen(telling).then_some(())).await
    }

    async fn until_some<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> Result<T, Problem> {
        let give_up_at = self.clock.now().plus(PATIENCE);
        while self.clock.now() < give_up_at {
            if let Some(seen) = look(self).await {
                return Ok(seen);
            }
            self.clock.sleep(LOOK_EVERY).await;
        }
        Err(self.broken(what))
    }

    fn expect(&self, holds: bool, what: &str) -> Result<(), Problem> {
        if holds { Ok(()) } else { Err(self.broken(what)) }
    }

    #[expect(clippy::unused_self, reason = "reads as the story's own verdict at every call")]
    fn broken(&self, what: &str) -> Problem {
        Problem::new(Code::Internal, format!("the demo did not see that {what}"))
            .fix("run it with LOCKGATE_LOG=debug and report what it prints")
    }
}

fn word<'a>(answer: &'a Answer, field: &str) -> &'a str {
    answer.body[field].as_str().unwrap_or_default()
}

/// A record's fields on one line, the ones people look for first.
fn shown(fields: &serde_json::Map<String, Value>) -> String {
    let named = ["Name", "Amount", "CurrencyIsoCode", "StageName", "LastName"];
    let value = |name: &&str| fields.get(*name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    named.iter().filter_map(value).collect::<Vec<_>>().join("  ")
}
