//! Releases on the page of their integration: what was another, what waits and what it asks for, as text.

use super::*;
use crate::clock::Timestamp;
use crate::integration::Release;
use crate::message_store::audit::{Act, Note, Way};
use crate::message_store::sqlite::{Activation, By, Proposal};

fn release(file: &str) -> Release {
    Release { integration: "orders".into(), file: file.into(), plugins: Vec::new() }
}

#[tokio::test]
async fn shows_what_was_another_and_what_waits_as_text() {
    let host = Host::start().await;
    let releases = host.store.releases();
    let browser = Browser::signed_in(&host).await;
    assert!(browser.get("/integrations/orders").await.body.contains("No release is stored"));
    for (at, file) in [(1, "[delivery]\nconcurrency = 1\n"), (2, "[delivery]\nconcurrency = 2\n")] {
        let release = releases.put(&release(file), Timestamp(at), "anna").await.unwrap();
        let integration = "orders".to_owned();
        let activation =
            Activation { integration, release, channels: Vec::new(), from_beginning: Vec::new(), reorders: false, trial_did: None };
        releases.activate(vec![activation], Timestamp(at), By::start()).await.unwrap();
    }
    let third = releases.put(&release("# <b>third</b>\n"), Timestamp(3), "<script>alert(1)</script>").await.unwrap();
    let proposal = Proposal {
        integration: "orders".into(),
        release: third.clone(),
        at: Timestamp(3),
        who: "<script>alert(2)</script>".into(),
        needed: 2,
        not_author: true,
        asks: vec!["<img src=x onerror=alert(3)>".into()],
        trying: None,
    };
    releases.propose(proposal, Note::new(Timestamp(3), ("anna", Way::Api), Act::Propose, "integration orders")).await.unwrap();
    let page = browser.get("/integrations/orders").await;
    for told in ["delivery.concurrency", "waits for approval", "0 of 2 given", "&lt;img src=x", third.short(), "was active"] {
        assert!(page.body.contains(told), "{told}: {page:?}");
    }
    assert!(!page.body.contains("<script>alert") && !page.body.contains("<img src=x"), "{page:?}");
}
