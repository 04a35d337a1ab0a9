//! Disks that fail or are full while the power stays on.

use super::disk::{Fault, Platter};
use super::machine::{Machine, State};
use super::workload::{Acknowledge, Command, History, Run, Step};
use super::{STEPS, broken};
use crate::message_store::StoreError;
use crate::random::dice::Dice;

const SEED: u64 = 2;
/// Every so many syncs or writes is one that fails; all of them where `LOCKGATE_CUTS` asks for a long run.
const STRIDE: usize = 7;

fn stride() -> usize {
    if super::from_environment("LOCKGATE_CUTS").is_some() { 1 } else { STRIDE }
}

/// What the steps do where nothing fails, and how many syncs and writes they take.
async fn unharmed() -> (History, (usize, usize)) {
    let dice = Dice::new(SEED, 0);
    let machine = Machine::on(Platter::default(), &dice);
    let mut run = Run::start(&machine, &dice).unwrap();
    machine.disk.break_with(Fault::Sync(usize::MAX));
    run.go(STEPS).await.unwrap();
    let counts = machine.disk.counts();
    (run.stop(), counts)
}

/// How a process ended that met a fault.
struct Death {
    machine: Machine,
    /// Steps that were acknowledged, and that were begun.
    acknowledged: usize,
    begun: usize,
    /// Changes of the disk until then.
    changes: usize,
}

/// Does the steps until the process ends of `fault`; none if it never does.
async fn until_it_ends(fault: Fault, beside: bool) -> Result<Option<Death>, String> {
    let dice = Dice::new(SEED, 0);
    let mut machine = Machine::on(Platter::default(), &dice);
    machine.beside = beside;
    let (mut run, ended) = Run::with(&machine, &dice, Acknowledge::AfterCommit).unwrap();
    machine.disk.break_with(fault);
    let (mut acknowledged, mut begun) = (0, 0);
    while begun < STEPS && ended.lock().unwrap().is_empty() {
        let next = run.next();
        begun += 1;
        if let Ok(Some(_)) = run.act(&next).await {
            acknowledged = begun;
        }
        if let Err(error) = run.come_to_rest().await
            && ended.lock().unwrap().is_empty()
        {
            return Err(format!("{fault:?}: {error}, and the process went on"));
        }
    }
    match ended.lock().unwrap().len() {
        0 => return Ok(None),
        1 => {}
        times => return Err(format!("{fault:?}: the process was ended {times} times")),
    }
    // Where the process really ends nobody comes so far.
    if run.act(&Step::Group(vec![Command::Clean])).await.is_ok() {
        return Err(format!("{fault:?}: something was acknowledged after the end"));
    }
    let changes = machine.disk.changes();
    run.stop();
    Ok(Some(Death { machine, acknowledged, begun, changes }))
}

/// What a store finds that is opened on `platter`.
fn found(platter: Platter, dice: &Dice) -> Result<State, String> {
    let machine = Machine::on(platter, dice);
    let run = Run::start(&machine, dice).map_err(|problem| format!("it cannot be opened: {problem}"))?;
    run.sound()?;
    Ok(run.state())
}

async fn dies_and_loses_nothing(faults: impl Iterator<Item = Fault>, beside: bool, expected: &History) {
    let mut deaths = 0;
    for fault in faults {
        let Some(death) = until_it_ends(fault, beside).await.unwrap() else { continue };
        deaths += 1;
        for part in 0..3 {
            let dice = Dice::new(SEED, part);
            let left = found(death.machine.disk.cut(death.changes, &dice), &dice).unwrap();
            let allowed = expected.allows_between(&left, death.acknowledged, death.begun);
            allowed.unwrap_or_else(|why| panic!("{fault:?}, dice {part}: {why}"));
        }
    }
    assert!(deaths > 3, "the process ended {deaths} times only");
    println!("ended {deaths} times");
}

#[tokio::test]
async fn a_failed_sync_ends_the_process_and_nothing_is_acknowledged_after_it() {
    let (expected, (syncs, _)) = unharmed().await;
    dies_and_loses_nothing((0..syncs).step_by(stride().div_ceil(2)).map(Fault::Sync), false, &expected).await;
}

#[tokio::test]
async fn a_failed_sync_ends_the_process_while_the_log_is_copied_beside_the_writer_too() {
    let (expected, (syncs, _)) = unharmed().await;
    dies_and_loses_nothing((0..syncs).step_by(stride().div_ceil(2)).map(Fault::Sync), true, &expected).await;
}

#[tokio::test]
async fn a_failed_write_ends_the_process_and_nothing_is_acknowledged_after_it() {
    let (expected, (_, writes)) = unharmed().await;
    dies_and_loses_nothing((0..writes).step_by(stride() * 4).map(Fault::Write), false, &expected).await;
}

/// The system forgets that it could not write, and shows the next process what is not on the disk.
#[tokio::test]
async fn a_start_after_a_failed_sync_makes_certain_what_it_finds() {
    let (_, (syncs, _)) = unharmed().await;
    for sync in (0..syncs).step_by(stride()) {
        let Some(death) = until_it_ends(Fault::Sync(sync), false).await.unwrap() else { continue };
        let dice = Dice::new(SEED, 1);
        let run = Run::start(&death.machine, &dice).unwrap();
        let (seen, opened) = (run.state(), death.machine.disk.changes());
        run.stop();
        for part in 2..6 {
            let dice = Dice::new(SEED, part);
            let left = found(death.machine.disk.cut(opened, &dice), &dice).unwrap();
            assert!(left == seen, "sync {sync}, dice {part}: {}", left.difference(&seen));
        }
    }
}

/// Does the steps on a disk that is full from every `period`-th write on, until it is mended each time something was refused. Gives how
/// often that was, and what was promised.
async fn with_little_room(period: usize, expected: &History) -> Result<(usize, Machine, History), String> {
    let dice = Dice::new(SEED, 0);
    let machine = Machine::on(Platter::default(), &dice);
    let (mut run, ended) = Run::with(&machine, &dice, Acknowledge::AfterCommit).unwrap();
    machine.disk.break_with(Fault::Full(period));
    let mut refused = 0;
    for step in 1..=STEPS {
        let next = run.next();
        let begun = machine.disk.changes();
        let mut acted = run.act(&next).await;
        if matches!(acted, Err(StoreError::Full)) {
            nothing_half(&run, expected, step - 1)?;
            machine.disk.mend();
            acted = run.act(&next).await;
        }
        let promised = acted.map_err(|error| format!("step {step}: {error}"))?;
        if matches!(run.come_to_rest().await, Err(StoreError::Full)) {
            nothing_half(&run, expected, step - 1)?;
            machine.disk.mend();
            run.come_to_rest().await.map_err(|error| format!("step {step}: {error}"))?;
        }
        run.note(begun, promised);
        nothing_half(&run, expected, step)?;
        if !machine.disk.is_broken() {
            refused += 1;
            machine.disk.break_with(Fault::Full(period));
        }
    }
    machine.disk.mend();
    if run.waiting().await.iter().any(|(counted, there)| counted != there) {
        return Err(format!("counted as waiting, and there: {:?}", run.waiting().await));
    }
    if let Some(problem) = ended.lock().unwrap().first() {
        return Err(format!("the process ended: {problem}"));
    }
    let history = run.stop();
    Ok((refused, machine, history))
}

/// The database says what it says after `step` steps.
fn nothing_half(run: &Run<'_>, expected: &History, step: usize) -> Result<(), String> {
    let (state, expected) = (run.state(), expected.state(step));
    if state == *expected { Ok(()) } else { Err(format!("after step {step}: {}", state.difference(expected))) }
}

#[tokio::test]
async fn a_full_disk_takes_nothing_half_and_goes_on_when_there_is_room() {
    let (expected, (_, writes)) = unharmed().await;
    let mut refused = 0;
    for period in (0..writes).step_by(stride() * 4) {
        let (times, ..) = with_little_room(period, &expected).await.unwrap_or_else(|why| panic!("full from write {period} on: {why}"));
        refused += times;
    }
    assert!(refused > 10, "only {refused} steps found the disk full");
    println!("{refused} steps found the disk full");
}

#[tokio::test]
async fn a_cut_on_a_disk_that_is_full_loses_nothing_either() {
    let (expected, _) = unharmed().await;
    let (refused, machine, history) = with_little_room(9, &expected).await.unwrap();
    assert!(refused > 3);
    assert_eq!(broken(&machine.disk, &history, SEED, 1), [""; 0]);
}
