//! What is left of a store when the power goes, a disk fails or is full: nothing that was acknowledged is missing, nothing is there half.
//!
//! The real store runs on a disk on paper (`disk`) that a VFS (`vfs`) writes to. After a cut the store is opened on what is left and
//! must say what it said after some step that was not earlier than the last one acknowledged (`workload::History`).
//!
//! `LOCKGATE_CUTS` is the number of random cuts; `LOCKGATE_CUT_SEED` repeats the chain of one seed.

mod disk;
mod faults;
mod machine;
mod vfs;
mod workload;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::random::dice::Dice;
use disk::{Disk, Platter};
use machine::Machine;
use workload::{Acknowledge, History, Run};

/// Steps of a run whose every change is a place for a cut.
const STEPS: usize = 30;
/// Random cuts where `LOCKGATE_CUTS` does not say.
const CUTS: u64 = 60;
/// Cuts of one disk, one after the other.
const CHAIN: u64 = 4;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// A run of `STEPS` steps on a new disk, to its orderly end.
async fn lived(seed: u64, acknowledge: Acknowledge, change: impl FnOnce(&mut Machine)) -> (Arc<Disk>, History) {
    let dice = Dice::new(seed, 0);
    let mut machine = Machine::on(Platter::default(), &dice);
    change(&mut machine);
    let (mut run, _) = Run::with(&machine, &dice, acknowledge).unwrap();
    run.go(STEPS).await.unwrap();
    (machine.disk.clone(), run.stop())
}

/// Opens a store on what is left after a cut, and says what is wrong with it.
fn verdict(disk: &Disk, history: &History, seed: u64, cut: usize) -> Result<(), String> {
    let dice = Dice::new(seed, cut as u64 + 1);
    let revived = Machine::on(disk.cut(cut, &dice), &dice);
    let run = Run::start(&revived, &dice).map_err(|problem| format!("it cannot be opened: {problem}"))?;
    run.sound()?;
    history.allows(&run.state(), cut)
}

/// The cuts at every change that leave less than was promised, or something else, and why. Tried on two threads.
fn broken(disk: &Disk, history: &History, seed: u64, enough: usize) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let search = || {
        loop {
            let cut = next.fetch_add(1, Ordering::Relaxed);
            if cut > disk.changes() || found.lock().unwrap().len() >= enough {
                return;
            }
            if let Err(why) = verdict(disk, history, seed, cut) {
                found.lock().unwrap().push(format!("seed {seed}, cut {cut} of {}: {why}", disk.changes()));
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(search))));
    found.into_inner().unwrap()
}

#[tokio::test]
async fn all_that_was_acknowledged_is_there_whichever_change_the_power_goes_after() {
    let (disk, history) = lived(1, Acknowledge::AfterCommit, |_| {}).await;
    assert_eq!(broken(&disk, &history, 1, 1), [""; 0]);
    println!("a cut after each of {} changes in {} steps", disk.changes(), history.steps());
}

#[tokio::test]
async fn a_log_that_is_copied_beside_the_writer_loses_nothing_either() {
    let (disk, history) = lived(1, Acknowledge::AfterCommit, |machine| machine.beside = true).await;
    assert_eq!(broken(&disk, &history, 1, 1), [""; 0]);
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_is_found_out() {
    let (disk, history) = lived(1, Acknowledge::BeforeCommit, |_| {}).await;
    let broken = broken(&disk, &history, 1, 1);
    assert!(broken.iter().any(|why| why.contains("was acknowledged, and only")), "{broken:?}");
}

#[tokio::test]
async fn a_commit_that_does_not_wait_for_the_disk_is_found_out() {
    let (disk, history) = lived(1, Acknowledge::AfterCommit, |machine| machine.synchronous = "NORMAL").await;
    let broken = broken(&disk, &history, 1, 1);
    assert!(broken.iter().any(|why| why.contains("was acknowledged, and only")), "{broken:?}");
}

#[tokio::test]
async fn a_log_that_is_not_on_disk_before_the_database_is_written_is_found_out() {
    let (disk, history) = lived(1, Acknowledge::AfterCommit, |machine| machine.synchronous = "OFF").await;
    let broken = broken(&disk, &history, 1, 20);
    assert!(broken.iter().any(|why| !why.contains("was acknowledged, and only")), "nothing was damaged: {broken:?}");
}

#[tokio::test]
async fn cut_after_cut_loses_nothing_and_what_is_left_is_delivered_in_order() {
    let chosen = from_environment("LOCKGATE_CUT_SEED");
    let seeds = chosen.map_or(0..from_environment("LOCKGATE_CUTS").unwrap_or(CUTS).div_ceil(CHAIN), |seed| seed..seed + 1);
    let mut from_memory = 0;
    for seed in seeds {
        println!("LOCKGATE_CUT_SEED={seed} cargo test -p lockgate --lib cut_after_cut");
        from_memory += chain(seed).await.unwrap();
    }
    println!("{from_memory} deliveries were handed out without a read");
    assert!(from_memory > 10 || chosen.is_some(), "only {from_memory} deliveries were handed out without a read");
}

/// Some lives of one disk, each ended by a cut at any change of it, that of opening and closing it included. Gives how many deliveries
/// were handed out without a read.
async fn chain(seed: u64) -> Result<usize, String> {
    let dice = Dice::new(seed, 0);
    let (mut platter, mut before) = (Platter::default(), None::<(History, usize)>);
    let (mut generation, mut from_memory) = (0, 0);
    for life in 0..=CHAIN {
        let place = |why| format!("life {life}: {why}");
        let mut machine = Machine::on(platter, &dice);
        machine.beside = life % 2 == 1;
        let mut run = Run::start(&machine, &dice).map_err(|problem| place(format!("it cannot be opened: {problem}")))?;
        run.sound().map_err(place)?;
        if let Some((history, cut)) = &before {
            history.allows(&run.state(), *cut).map_err(place)?;
        }
        if run.store.generation() <= generation {
            return Err(place(format!("it is start {} again", run.store.generation())));
        }
        let (opened, this) = (machine.disk.changes(), run.store.generation());
        run.go(dice.below(STEPS)).await.map_err(|error| place(error.to_string()))?;
        if life == CHAIN {
            run.drain().await;
            run.sound().map_err(place)?;
            return Ok(from_memory + run.stop().from_memory);
        }
        let history = run.stop();
        from_memory += history.from_memory;
        let cut = dice.below(machine.disk.changes() + 1);
        if cut >= opened {
            generation = this;
        }
        platter = machine.disk.cut(cut, &dice);
        before = Some((history, cut));
    }
    Ok(from_memory)
}

#[tokio::test]
async fn the_same_seed_makes_the_same_changes() {
    let (one, _) = lived(3, Acknowledge::AfterCommit, |_| {}).await;
    let (other, _) = lived(3, Acknowledge::AfterCommit, |_| {}).await;
    assert_eq!(one.outline(), other.outline());
}
