//! The audit trail: what is entered is there with what it tells of, for good, and what somebody makes of it afterwards is found.

use std::path::Path;

use rusqlite::Connection;

use super::super::{AuditQuery, AuditTrail, DATABASE_FILE, PauseRow, SqliteStore, TokenRow, check_copy, copy_into, verify_file};
use crate::clock::Timestamp;
use crate::message_store::StoreError;
use crate::message_store::audit::tests::note;
use crate::message_store::audit::{Act, Link, Note, Way};
use crate::message_store::suite::world::{OnDisk, START, Subject, options};
use crate::problem::Code;

fn by(who: &str, at: Timestamp) -> Note {
    Note::new(at, (who, Way::Api), Act::Pause, "integration orders").before("\"é").after(1)
}

async fn trail_of(disk: &OnDisk, entries: usize) -> AuditTrail {
    let trail = disk.sqlite().audit();
    for entry in 0..entries {
        trail.append(by(["anna", "ci"][entry % 2], START)).await.unwrap();
    }
    trail
}

/// What is found after somebody with a shell, who takes the triggers away first, has run `sql`: entries that fit, and the first that does not.
fn found_after(folder: &Path, sql: &str) -> (i64, i64) {
    let database = folder.join("tampered.db");
    drop(std::fs::remove_file(&database));
    std::fs::write(&database, "").unwrap();
    copy_into(&folder.join(DATABASE_FILE), &database).unwrap();
    let connection = Connection::open(&database).unwrap();
    connection.execute_batch("DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_shortened;").unwrap();
    connection.execute_batch(sql).unwrap();
    let verdict = verify_file(&database, None).unwrap();
    let misfit = verdict.misfit.unwrap_or_else(|| panic!("{sql}: nothing is found"));
    (verdict.entries, misfit.entry)
}

#[tokio::test]
async fn whatever_is_changed_is_found_where_it_is() {
    let disk = OnDisk::open();
    let trail = trail_of(&disk, 9).await;
    let verdict = trail.verify(None).await.unwrap();
    assert!(verdict.holds() && verdict.entries == 9, "{verdict:?}");
    let forged = "INSERT INTO audit SELECT 10, at, who, way, act, came, subject, before, after, hash, version FROM audit WHERE seq = 9;";
    let swapped =
        "UPDATE audit SET seq = -1 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = -1;";
    for (sql, fit, entry) in [
        ("UPDATE audit SET who = 'ann' WHERE seq = 5;", 4, 5),
        ("UPDATE audit SET at = at + 1 WHERE seq = 1;", 0, 1),
        ("DELETE FROM audit WHERE seq = 5;", 4, 5),
        ("UPDATE audit SET before = cast(x'22c32822' AS TEXT) WHERE seq = 3;", 2, 3),
        ("UPDATE audit SET after = NULL WHERE seq = 9;", 8, 9),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 2;", 1, 2),
        ("UPDATE audit SET hash = x'00' WHERE seq = 2;", 1, 2),
        ("UPDATE audit SET version = 2 WHERE seq = 2;", 1, 2),
        ("DELETE FROM audit WHERE seq = 1;", 0, 1),
        ("DELETE FROM audit WHERE seq = 9;", 8, 9),
        ("DELETE FROM audit;", 0, 1),
        ("UPDATE audit SET seq = -3 WHERE seq = 9;", 0, 1),
        (swapped, 3, 4),
        (forged, 9, 10),
        ("UPDATE audit_head SET seq = 10;", 9, 10),
        ("UPDATE audit_head SET hash = zeroblob(32);", 9, 9),
    ] {
        assert_eq!(found_after(disk.folder.path(), sql), (fit, entry), "{sql}");
    }
}

#[tokio::test]
async fn who_opens_the_file_with_a_shell_changes_no_entry_by_mistake() {
    let disk = OnDisk::open();
    trail_of(&disk, 2).await;
    let connection = Connection::open(disk.folder.path().join(DATABASE_FILE)).unwrap();
    for sql in ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit WHERE seq = 2"] {
        let refused = connection.execute_batch(sql).unwrap_err().to_string();
        assert!(refused.contains("never"), "{refused}");
    }
}

/// Triggers that have SQLite leave out what `ci` does, as if it had been written.
const UNSEEN: &str = "CREATE TRIGGER skip_a BEFORE INSERT ON audit WHEN new.who = 'ci' BEGIN SELECT RAISE(IGNORE); END;
    CREATE TRIGGER skip_b BEFORE UPDATE ON audit_head WHEN NOT EXISTS (SELECT 1 FROM audit WHERE seq = new.seq) BEGIN SELECT RAISE(IGNORE); END;";

#[tokio::test]
async fn a_trigger_that_leaves_one_persons_entries_out_leaves_their_changes_out_too_and_is_found() {
    let mut disk = OnDisk::open();
    let trail = trail_of(&disk, 2).await;
    let database = disk.folder.path().join(DATABASE_FILE);
    Connection::open(&database).unwrap().execute_batch(UNSEEN).unwrap();
    let token = TokenRow { name: "mine".into(), role: "viewer".into(), hash: [1; 32], created_at: START, expires_at: None };
    let damaged = |error: StoreError| matches!(error, StoreError::Failed(problem) if problem.code == Code::StoreDamaged);
    assert!(damaged(disk.sqlite().tokens().put(token, by("ci", START)).await.unwrap_err()));
    assert!(disk.sqlite().tokens().all().await.unwrap().is_empty(), "what cannot be entered is not done");
    trail.append(by("anna", START)).await.unwrap();
    assert!(damaged(trail.verify(None).await.unwrap_err()), "and who looks is told, though every entry fits");
    let copy = disk.folder.path().join("copy.db");
    std::fs::write(&copy, "").unwrap();
    copy_into(&database, &copy).unwrap();
    for problem in [verify_file(&copy, None).unwrap_err(), check_copy(&copy).unwrap_err()] {
        assert_eq!((problem.code, problem.message.contains("the trigger \"skip_a\"")), (Code::StoreDamaged, true), "{problem}");
    }
    drop((disk.store.take(), trail));
    let refused = SqliteStore::open(disk.folder.path(), options()).map(drop).unwrap_err();
    assert_eq!(refused.code, Code::StoreDamaged, "{refused}");
    Connection::open(&database).unwrap().execute_batch("DROP TRIGGER skip_a; DROP TRIGGER skip_b; CREATE VIEW v AS SELECT 1;").unwrap();
    assert!(SqliteStore::open(disk.folder.path(), options()).map(drop).unwrap_err().message.contains("the view \"v\""));
    Connection::open(&database).unwrap().execute_batch("DROP VIEW v;").unwrap();
    disk.crash().await;
    assert_eq!(disk.sqlite().audit().verify(None).await.unwrap().entries, 3);
}

#[tokio::test]
async fn rows_taken_from_the_end_leave_a_gap_that_later_entries_do_not_heal() {
    let mut disk = OnDisk::open();
    trail_of(&disk, 3).await;
    drop(disk.store.take());
    let connection = Connection::open(disk.folder.path().join(DATABASE_FILE)).unwrap();
    connection.execute_batch("DROP TRIGGER audit_is_not_shortened; DELETE FROM audit WHERE seq >= 2").unwrap();
    drop(connection);
    disk.crash().await;
    let trail = trail_of(&disk, 1).await;
    let verdict = trail.verify(None).await.unwrap();
    assert_eq!((verdict.entries, verdict.misfit.unwrap().entry), (1, 2));
}

#[tokio::test]
async fn a_trail_that_was_written_anew_whole_has_lost_the_head_that_was_kept() {
    let disk = OnDisk::open();
    let kept = trail_of(&disk, 3).await.verify(None).await.unwrap().head;
    let later = trail_of(&disk, 2).await.verify(Some(kept)).await.unwrap();
    assert!(later.holds() && later.kept_head_is_in_it == Some(true), "{later:?}");
    let anew = OnDisk::open();
    anew.sqlite().audit().append(by("nobody", START)).await.unwrap();
    let verdict = trail_of(&anew, 4).await.verify(Some(kept)).await.unwrap();
    assert!(verdict.misfit.is_none() && !verdict.holds(), "each entry fits, and the kept one is not there: {verdict:?}");
    let none = OnDisk::open().sqlite().audit().verify(Some(Link::NONE)).await.unwrap();
    assert!(none.holds() && none.entries == 0, "{none:?}");
}

#[tokio::test]
async fn an_entry_is_there_if_and_only_if_what_it_tells_of_is() {
    let mut disk = OnDisk::open();
    let store = disk.sqlite().clone();
    let token = TokenRow { name: "ci".into(), role: "viewer".into(), hash: [1; 32], created_at: START, expires_at: None };
    assert!(store.tokens().put(token.clone(), note()).await.unwrap());
    assert!(!store.tokens().put(TokenRow { hash: [2; 32], ..token.clone() }, note()).await.unwrap(), "the name is taken");
    assert!(!store.tokens().remove("none", note()).await.unwrap());
    assert!(!store.retirements().finish("orders", START, note()).await.unwrap());
    assert!(!store.retirements().take_back("orders", note()).await.unwrap());
    store.pauses().remove("integration", "orders", note()).await.unwrap();
    let pause = PauseRow { kind: "integration".into(), name: "orders".into(), since: START, reason: "a look".into() };
    store.pauses().put(pause, note()).await.unwrap();
    let taken = store.tokens().put(TokenRow { name: "other".into(), ..token.clone() }, note()).await;
    assert!(taken.is_err(), "the same hash twice breaks the table's rule, and leaves nothing");
    drop(store);
    disk.crash().await;
    assert_eq!(disk.sqlite().tokens().all().await.unwrap(), [token]);
    assert_eq!(disk.sqlite().audit().verify(None).await.unwrap().entries, 2);
}

#[tokio::test]
async fn pages_go_back_by_number_and_times_never_do() {
    let disk = OnDisk::open();
    let trail = disk.sqlite().audit();
    for (who, at) in [("anna", 10), ("ci", 20), ("anna", 15), ("anna", 30)] {
        trail.append(by(who, Timestamp(at))).await.unwrap();
    }
    let seqs = async |query: AuditQuery| {
        let page = trail.page(AuditQuery { limit: 2, ..query }).await.unwrap();
        (page.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(seqs(AuditQuery::default()).await, (vec![4, 3], Some(3)));
    assert_eq!(seqs(AuditQuery { before: Some(3), ..AuditQuery::default() }).await, (vec![2, 1], None));
    assert_eq!(seqs(AuditQuery { who: Some("anna".into()), ..AuditQuery::default() }).await, (vec![4, 3], Some(3)));
    assert_eq!(seqs(AuditQuery { who: Some("ann".into()), ..AuditQuery::default() }).await, (vec![], None));
    assert_eq!(
        seqs(AuditQuery { since: Some(Timestamp(20)), until: Some(Timestamp(20)), ..AuditQuery::default() }).await,
        (vec![3, 2], None)
    );
    assert_eq!(seqs(AuditQuery { since: Some(Timestamp(31)), ..AuditQuery::default() }).await, (vec![], None));
    assert_eq!(seqs(AuditQuery { until: Some(Timestamp(9)), ..AuditQuery::default() }).await, (vec![], None));
    let newest = trail.page(AuditQuery { limit: 1, ..AuditQuery::default() }).await.unwrap().entries.remove(0);
    assert_eq!((newest.before, newest.after), (Some("\"é".into()), Some(1.into())));
}

/// More than is looked at in one read.
#[tokio::test]
async fn a_long_trail_is_looked_at_to_its_end() {
    let disk = OnDisk::open();
    let trail = disk.sqlite().audit();
    futures_util::future::join_all((0..4_100).map(|_| trail.append(by("ci", START))))
        .await
        .into_iter()
        .for_each(|done| assert!(done.is_ok()));
    assert_eq!(trail.verify(None).await.unwrap().entries, 4_100);
    assert_eq!(found_after(disk.folder.path(), "UPDATE audit SET at = 0 WHERE seq = 4050;"), (4_049, 4_050));
}

#[tokio::test]
async fn forgetting_messages_leaves_the_trail_alone() {
    let disk = OnDisk::open();
    let trail = trail_of(&disk, 3).await;
    let far = START.plus(std::time::Duration::from_secs(10 * 365 * 24 * 3600));
    disk.sqlite().forget_messages(far, 0).await.unwrap();
    disk.sqlite().forget_exchanges(far, 0).await.unwrap();
    disk.sqlite().clean(far).await.unwrap();
    assert_eq!(trail.verify(None).await.unwrap().entries, 3);
}

#[test]
fn a_file_that_is_not_there_or_has_no_trail_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join(DATABASE_FILE);
    assert_eq!(verify_file(&database, None).unwrap_err().code, Code::FileUnreadable);
    Connection::open(&database).unwrap().pragma_update(None, "user_version", 12).unwrap();
    assert_eq!(verify_file(&database, None).unwrap_err().code, Code::NotFound);
}
