//! Releases.

use super::super::releases::RELEASES_KEPT;
use super::super::{Activation, ActiveRelease, By, TriedRow};
use crate::integration::{PinnedPlugin, Release, ReleaseId, Trying};
use crate::message_store::StoreError;
use crate::message_store::audit::tests::note;
use crate::message_store::suite::world::{OnDisk, START};
use crate::problem::Code;

pub fn release(integration: &str, file: &str) -> Release {
    let version = semver::Version::new(1, 2, 0);
    let plugin = PinnedPlugin { name: "shop-order".into(), version, digest: "ab".repeat(32) };
    Release { integration: integration.into(), file: file.into(), plugins: vec![plugin] }
}

fn activation(integration: &str, release: ReleaseId) -> Activation {
    Activation {
        integration: integration.into(),
        release,
        channels: Vec::new(),
        from_beginning: Vec::new(),
        reorders: false,
        trial_did: None,
    }
}

async fn active(releases: &super::super::Releases) -> Vec<(Release, ReleaseId)> {
    let active = releases.active().await.unwrap();
    active.into_iter().map(|ActiveRelease { release, id, .. }| (release, id)).collect()
}

#[tokio::test]
async fn a_release_that_was_not_stored_or_is_another_integrations_is_not_activated() {
    let disk = OnDisk::open();
    let releases = disk.sqlite().releases();
    let crm = releases.put(&release("crm", "a"), START, "anna").await.unwrap();
    for (integration, id) in [("crm", ReleaseId("00".repeat(32))), ("audit", crm)] {
        match releases.activate(vec![activation(integration, id)], START, By::start()).await {
            Err(StoreError::Failed(problem)) => assert_eq!(problem.code, Code::NotFound),
            other => panic!("{other:?}"),
        }
    }
    assert!(releases.active().await.unwrap().is_empty());
}

#[tokio::test]
async fn all_releases_are_activated_or_none() {
    let disk = OnDisk::open();
    let releases = disk.sqlite().releases();
    let crm = releases.put(&release("crm", "a"), START, "anna").await.unwrap();
    let missing = ReleaseId("00".repeat(32));
    let activated = releases.activate(vec![activation("crm", crm), activation("audit", missing)], START, By::start()).await;
    assert!(matches!(activated, Err(StoreError::Failed(_))), "{activated:?}");
    assert!(releases.active().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_active_release_of_each_integration_is_the_one_activated_last() {
    let disk = OnDisk::open();
    let releases = disk.sqlite().releases();
    let (old, new, audit) = (release("crm", "a"), release("crm", "b"), release("audit", "c"));
    for stored in [&old, &new, &audit, &new] {
        let id = releases.put(stored, START, "anna").await.unwrap();
        assert_eq!(id, stored.id());
        releases.activate(vec![activation(&stored.integration, id)], START, By::start()).await.unwrap();
    }
    assert_eq!(active(&releases).await, [(audit.clone(), audit.id()), (new.clone(), new.id())]);
    assert_eq!(releases.get(&old.id()).await.unwrap(), Some(old));
    assert_eq!(releases.get(&ReleaseId("ff".repeat(32))).await.unwrap(), None);
    let retirements = disk.sqlite().retirements();
    retirements.begin("crm", START, None, note()).await.unwrap();
    assert_eq!(releases.active().await.unwrap().len(), 2, "it drains");
    assert!(retirements.finish("crm", START, note()).await.unwrap());
    assert_eq!(active(&releases).await, [(audit.clone(), audit.id())]);
    releases.activate(vec![activation("crm", new.id())], START, By::start()).await.unwrap();
    assert_eq!(retirements.all().await.unwrap(), [], "it runs again");
}

#[tokio::test]
async fn the_latest_releases_are_kept_and_those_that_are_needed() {
    let disk = OnDisk::open();
    let releases = disk.sqlite().releases();
    let at = |number: i64| START.plus(std::time::Duration::from_secs(u64::try_from(number).unwrap()));
    let put = async |number: i64| releases.put(&release("crm", &number.to_string()), at(number), "anna").await.unwrap();
    let (before, active, tried) = (put(0).await, put(1).await, put(2).await);
    let another = releases.put(&release("audit", "a"), START, "anna").await.unwrap();
    for (number, id) in [(0, &before), (1, &active)] {
        releases.activate(vec![activation("crm", id.clone())], at(number), By::start()).await.unwrap();
    }
    let row = TriedRow { integration: "crm".into(), release: tried.clone(), trying: Trying::Shadow, at: at(2), who: "anna".into() };
    releases.start_trial(row, note()).await.unwrap();
    let old = put(3).await;
    for number in 4..4 + RELEASES_KEPT {
        put(number).await;
    }
    assert!(releases.get(&old).await.unwrap().is_none(), "the oldest is forgotten");
    for kept in [&before, &active, &tried, &another] {
        assert!(releases.get(kept).await.unwrap().is_some());
    }
    assert_eq!(releases.of("crm").await.unwrap().len(), usize::try_from(RELEASES_KEPT).unwrap() + 3);
    assert_eq!(releases.before_the_active("crm").await.unwrap(), Some(before));
    assert_eq!(releases.tried().await.unwrap()[0].trying, Trying::Shadow);
}
