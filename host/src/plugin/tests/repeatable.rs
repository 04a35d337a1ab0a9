//! A retry sees what the first attempt saw.

use super::*;

#[tokio::test]
async fn the_same_call_sees_the_same_random_bytes_and_clock() {
    let fixture = fixture(Limits::default());
    for word in ["random", "clock"] {
        assert_eq!(fixture.text(word).await, fixture.text(word).await);
    }
    let retry = Call { attempt: 7, ..call("random") };
    let retried = text(&fixture.invoker.invoke(retry, Effects::default()).await);
    assert_eq!(retried, fixture.text("random").await, "another attempt is the same call");
}

#[tokio::test]
async fn another_place_replay_or_integration_sees_other_random_bytes() {
    let fixture = fixture(Limits::default());
    let mut seen = BTreeSet::new();
    for call in [
        call("random"),
        Call { place: "sink".into(), ..call("random") },
        Call { replay: 2, ..call("random") },
        Call { integration: "invoices".into(), ..call("random") },
    ] {
        seen.insert(text(&fixture.invoker.invoke(call, Effects::default()).await));
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn the_clock_starts_where_the_call_says_and_moves_a_step_per_reading() {
    assert_eq!(fixture(Limits::default()).text("clock").await, "1700000000000 1");
}

#[tokio::test]
async fn a_sleep_moves_the_clock_and_returns_at_once() {
    let report = fixture(Limits::default()).run("sleep 3600000").await;
    assert!(report.wall < std::time::Duration::from_secs(60), "{:?}", report.wall);
    let slept_ms: u64 = text(&report).parse().unwrap();
    assert!((3_600_000..3_600_010).contains(&slept_ms), "{slept_ms}");
}

#[tokio::test]
async fn nothing_of_the_machine_is_seen() {
    assert_eq!(fixture(Limits::default()).text("environment").await, "[] [] Err(NotFound)");
}
