//! What may happen to a host, drawn from a seed. Run by `cargo test simulation`.
//!
//! `LOCKGATE_SEEDS` is the number of seeds each scenario runs with; `LOCKGATE_SEED` repeats one.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::run::{Summary, simulate};
use super::script::{Kind, Order, Post, Script, Spell, TARGETS, Target, Weather, at};
use crate::alias::RateLimit;
use crate::integration::Batching;
use crate::random::dice::Dice;

const SEEDS: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Orders in the scenario with poison: few, and many where `LOCKGATE_SEEDS` asks for a long run.
const AMONG: (u32, u32) = (600, 40_000);
/// Where it does not, scenarios in which every order is like the others have this share of theirs.
const SHORT: u32 = 3;

/// Runs a scenario with many seeds, on two threads.
fn all_seeds(name: &str, scenario: fn(&Dice) -> Script) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (first, end) = number("LOCKGATE_SEED").map_or((0, number("LOCKGATE_SEEDS").unwrap_or(SEEDS)), |seed| (seed, seed + 1));
    let (next, broken, sums) = (AtomicU64::new(first), Mutex::new(None::<(u64, String)>), Mutex::new(Summary::default()));
    let run = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || broken.lock().unwrap().is_some() {
                return;
            }
            match simulate(seed, scenario(&Dice::new(seed, 0))) {
                Ok(summary) => sums.lock().unwrap().add(&summary),
                Err(why) => *broken.lock().unwrap() = Some((seed, why)),
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(run))));
    if let Some((seed, why)) = broken.into_inner().unwrap() {
        let long = std::env::var("LOCKGATE_SEEDS").map(|seeds| format!("LOCKGATE_SEEDS={seeds} ")).unwrap_or_default();
        panic!("{name}: {why}\nto repeat it: {long}LOCKGATE_SEED={seed} cargo test -p lockgate --lib simulation::scenarios::{name}");
    }
    println!("{name}, {} seeds: {}", end - first, sums.into_inner().unwrap());
}

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            all_seeds(stringify!($name), scenario::$name);
        })+

        /// Every scenario, by name.
        const ALL: &[(&str, fn(&Dice) -> Script)] = &[$((stringify!($name), scenario::$name)),+];
    };
}

scenarios! {
    a_target_is_down_for_half_an_hour,
    a_target_is_down_for_a_day,
    five_hundred_messages_come_at_eight,
    targets_answer_429_and_503_in_storms,
    tokens_expire_and_are_revoked_in_the_middle_of_everything,
    a_secret_is_revoked_and_the_new_one_comes_an_hour_later,
    everything_is_posted_twice_and_late,
    poison_is_among_many,
    answers_are_lost_and_calls_fail,
    a_target_takes_connections_and_does_not_answer,
    tokens_expire_in_the_middle_of_batches,
    a_batch_has_one_that_nobody_can_read,
    answers_to_batches_are_lost_and_the_host_crashes,
    the_host_crashes_in_the_middle_of_it,
    everything_at_once,
}

#[test]
fn one_seed_is_one_history() {
    let mut histories = BTreeSet::new();
    for (name, scenario) in ALL {
        if *name == "poison_is_among_many" || *name == "a_target_is_down_for_a_day" {
            // The others show the same sooner.
            continue;
        }
        let history = |seed| simulate(seed, scenario(&Dice::new(seed, 0))).unwrap();
        let first = history(7);
        assert_eq!(first, history(7), "{name}");
        assert!(histories.insert(first.fingerprint), "{name} is another scenario");
    }
}

mod scenario {
    use super::*;

    pub fn a_target_is_down_for_half_an_hour(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, HOUR), 2 * HOUR);
        script.crm.spells = vec![spell(10 * MINUTE, 40 * MINUTE, Weather::Refuses)];
        script
    }

    pub fn a_target_is_down_for_a_day(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, 26 * HOUR), 28 * HOUR);
        let (from, until) = (HOUR, HOUR + DAY);
        if dice.chance(50) {
            script.crm.spells = vec![spell(from, until, Weather::Refuses)];
        } else {
            script.erp.spells = vec![spell(from, until, Weather::Unavailable { retry_after: dice.chance(50).then_some(120) })];
        }
        script
    }

    pub fn five_hundred_messages_come_at_eight(dice: &Dice) -> Script {
        let mut script = script(all_orders(dice, 500, 1), 30 * MINUTE);
        script.crm.latency_ms = (100, 800);
        script.crm.rate = vec![limit(10, 1), limit(200, MINUTE)];
        script.erp.rate = vec![limit(20, 1)];
        script
    }

    pub fn targets_answer_429_and_503_in_storms(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 400, HOUR), 3 * HOUR);
        script.crm.spells = spells(dice, HOUR, |dice| {
            let retry_after = dice.chance(60).then(|| dice.below(90) as u64);
            if dice.chance(70) {
                Weather::Throttles { percent: 10 + dice.below(91), retry_after }
            } else {
                Weather::Unavailable { retry_after }
            }
        });
        script
    }

    pub fn tokens_expire_and_are_revoked_in_the_middle_of_everything(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 400, HOUR), 2 * HOUR);
        script.crm.token_lives = (Duration::from_secs(HOUR), Duration::from_secs(20 + dice.below(200) as u64));
        script.erp.token_lives = (Duration::from_secs(30), Duration::from_secs(30));
        script.erp.tokens_revoked = (0..10).map(|_| dice.below(3_600) as u64).collect::<BTreeSet<_>>().into_iter().map(at).collect();
        script
    }

    pub fn a_secret_is_revoked_and_the_new_one_comes_an_hour_later(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, HOUR), 3 * HOUR);
        let revoked = at(10 * MINUTE + dice.below(600) as u64);
        script.crm.secret_taken.push((revoked, "second"));
        script.crm.tokens_revoked = vec![revoked];
        script.secret_held.push((revoked.plus(Duration::from_secs(HOUR)), "second"));
        script
    }

    pub fn everything_is_posted_twice_and_late(dice: &Dice) -> Script {
        let mut posts = orders(dice, 300, HOUR);
        let again = posts.iter().map(|post| Post { at: post.at.plus(Duration::from_millis(dice.below(7_200_000) as u64)), ..post.clone() });
        let again: Vec<_> = again.collect();
        posts.extend(again);
        script(posts, 4 * HOUR)
    }

    pub fn poison_is_among_many(dice: &Dice) -> Script {
        let mut posts = orders(dice, if is_long() { AMONG.1 } else { AMONG.0 }, HOUR);
        for post in &mut posts {
            let target = (*dice.pick(&TARGETS)).to_owned();
            match dice.below(200) {
                0..=4 => post.order.kind = Kind::RefusedBy(target),
                5 => post.order.kind = Kind::Breaks(target),
                _ => {}
            }
        }
        // One that breaks its target is given up after a day, and those of its customer wait for that: one day after the other.
        script(posts, 20 * DAY)
    }

    pub fn answers_are_lost_and_calls_fail(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, HOUR), 6 * HOUR);
        let percent = 5 + dice.below(30);
        script.crm.spells = vec![spell(0, HOUR, Weather::LosesAnswers { percent })];
        script.erp.spells = vec![spell(0, HOUR, Weather::Errs { percent })];
        script
    }

    pub fn a_target_takes_connections_and_does_not_answer(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 200, HOUR), 6 * HOUR);
        script.crm.spells = vec![spell(10 * MINUTE, 40 * MINUTE, Weather::Hangs)];
        script
    }

    pub fn tokens_expire_in_the_middle_of_batches(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 400, 10 * MINUTE), 3 * HOUR);
        script.erp_batches = batches(dice);
        script.erp.latency_ms = (50, 900);
        // Sooner than a full batch is sent; of some it is known, of others not.
        let lives = Duration::from_secs(3 + dice.below(6) as u64);
        script.erp.token_lives = (if dice.chance(50) { lives } else { Duration::from_secs(HOUR) }, lives);
        script.erp.tokens_revoked = (0..10).map(|_| dice.below(900) as u64).collect::<BTreeSet<_>>().into_iter().map(at).collect();
        script
    }

    pub fn a_batch_has_one_that_nobody_can_read(dice: &Dice) -> Script {
        let mut posts = orders(dice, 400, 10 * MINUTE);
        for post in &mut posts {
            match dice.below(20) {
                0 => post.order.kind = Kind::Unreadable,
                1 => post.order.kind = Kind::RefusedBy(TARGETS[1].to_owned()),
                _ => {}
            }
        }
        let mut script = script(posts, 3 * HOUR);
        script.erp_batches = batches(dice);
        script
    }

    pub fn answers_to_batches_are_lost_and_the_host_crashes(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, HOUR), 8 * HOUR);
        script.erp_batches = batches(dice);
        script.erp.latency_ms = (50, 900);
        script.erp.spells = vec![spell(0, HOUR, Weather::LosesAnswers { percent: 2 + dice.below(20) })];
        script.crashes = crashes(dice);
        script
    }

    pub fn the_host_crashes_in_the_middle_of_it(dice: &Dice) -> Script {
        let mut script = script(orders(dice, 300, HOUR), 6 * HOUR);
        script.crm.latency_ms = (100, 3_000);
        script.erp.rate = vec![limit(1, 1), limit(40, 5 * MINUTE)];
        script.crashes = crashes(dice);
        script
    }

    pub fn everything_at_once(dice: &Dice) -> Script {
        let mut posts = orders(dice, 300, 2 * HOUR);
        for post in &mut posts {
            if dice.chance(3) {
                post.order.kind = Kind::RefusedBy((*dice.pick(&TARGETS)).to_owned());
            }
        }
        let late: Vec<_> = posts.iter().filter(|_| dice.chance(20)).cloned().collect();
        posts.extend(late.into_iter().map(|post| Post { at: post.at.plus(Duration::from_secs(dice.below(3_600) as u64)), ..post }));
        let mut script = script(posts, 12 * HOUR);
        for target in [&mut script.crm, &mut script.erp] {
            target.spells = spells(dice, 2 * HOUR, any_weather);
            target.rate = if dice.chance(50) { vec![limit(2, 1), limit(300, HOUR)] } else { Vec::new() };
            target.token_lives.1 = Duration::from_secs(60 + dice.below(3_600) as u64);
        }
        script.crashes = crashes(dice);
        script.erp_batches = if dice.chance(50) { batches(dice) } else { None };
        script
    }
}

fn script(posts: Vec<Post>, within_seconds: u64) -> Script {
    let (crm, erp) = (Target::default(), Target::default());
    let secret_held = vec![(super::script::START, super::script::FIRST_SECRET)];
    Script { posts, crm, erp, erp_batches: None, secret_held, crashes: Vec::new(), within: Duration::from_secs(within_seconds) }
}

/// Of up to 20, so that one call can send them all.
fn batches(dice: &Dice) -> Option<Batching> {
    Some(Batching { max: 2 + dice.below(19), within: Duration::from_secs(1 + dice.below(20) as u64) })
}

fn is_long() -> bool {
    std::env::var_os("LOCKGATE_SEEDS").is_some()
}

/// At most so many requests in so many seconds.
fn limit(requests: u32, seconds: u64) -> RateLimit {
    RateLimit { requests, period: Duration::from_secs(seconds) }
}

/// So many orders, or a share of them where the run is a short one.
fn orders(dice: &Dice, count: u32, seconds: u64) -> Vec<Post> {
    all_orders(dice, if is_long() { count } else { count / SHORT }, seconds)
}

/// So many orders of some customers within the first so many seconds.
fn all_orders(dice: &Dice, count: u32, seconds: u64) -> Vec<Post> {
    let customers = 3 + dice.below(count as usize / 8) as u32;
    let post = |number| {
        let kind = match dice.below(20) {
            0 => Kind::Skip,
            1 => Kind::Split(2 + dice.below(3) as u32),
            _ => Kind::Plain,
        };
        let order = Order { number, part: 0, customer: dice.below(customers as usize) as u32, kind };
        Post { at: at(0).plus(Duration::from_millis(dice.below(seconds as usize * 1_000) as u64)), order }
    };
    (1..=count).map(post).collect()
}

fn spell(from: u64, until: u64, weather: Weather) -> Spell {
    Spell { from: at(from), until: at(until), weather }
}

/// Spells of some minutes with some minutes between them.
fn spells(dice: &Dice, seconds: u64, weather: impl Fn(&Dice) -> Weather) -> Vec<Spell> {
    let (mut spells, mut from) = (Vec::new(), 0);
    while from < seconds {
        from += 20 + dice.below(400) as u64;
        let until = from + 10 + dice.below(300) as u64;
        spells.push(spell(from, until, weather(dice)));
        from = until;
    }
    spells
}

fn any_weather(dice: &Dice) -> Weather {
    let (percent, retry_after) = (10 + dice.below(91), dice.chance(50).then(|| dice.below(60) as u64));
    match dice.below(6) {
        0 => Weather::Refuses,
        1 => Weather::Hangs,
        2 => Weather::Throttles { percent, retry_after },
        3 => Weather::Unavailable { retry_after },
        4 => Weather::Errs { percent },
        _ => Weather::LosesAnswers { percent },
    }
}

/// Twice: a third time would be an order's own fault, for all that the host knows.
fn crashes(dice: &Dice) -> Vec<(crate::clock::Timestamp, Duration)> {
    let first = 60 + dice.below(1_800) as u64;
    let second = first + 600 + dice.below(1_800) as u64;
    [first, second].map(|seconds| (at(seconds), Duration::from_millis(dice.below(300_000) as u64))).to_vec()
}
