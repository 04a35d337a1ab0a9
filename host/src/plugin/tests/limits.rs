//! Whatever a plugin does, it costs its own call and nothing else.

use std::time::Duration;

use super::*;
use crate::clock::ManualClock;
use crate::telemetry::events::{Filter, Start};

fn short() -> Limits {
    Limits { cpu: Duration::from_millis(60), ..Limits::default() }
}

#[tokio::test]
async fn stops_a_loop_and_another_call_runs_meanwhile() {
    let fixture = fixture(short());
    let (looped, echoed) = tokio::join!(fixture.run("loop"), fixture.text("echo"));
    assert_eq!(echoed, "echo", "on the same thread, while the loop still runs");
    assert!(looped.cpu >= Duration::from_millis(60) && looped.cpu < Duration::from_secs(5), "{:?}", looped.cpu);
    let (class, detail) = fault(looped);
    assert_eq!(class, FailureClass::CpuExceeded);
    assert!(detail.contains("of 60 ms a call"), "{detail}");
}

#[tokio::test]
async fn counts_cpu_time_over_many_host_calls() {
    let limits = Limits { host_calls: u64::MAX, ..short() };
    assert_eq!(fixture(limits).fault("loop-in-steps").await.0, FailureClass::CpuExceeded);
}

#[tokio::test]
async fn stops_a_guest_that_takes_too_much_memory() {
    let (class, detail) = fixture(Limits { memory_bytes: 8 << 20, ..Limits::default() }).fault("bloat").await;
    assert_eq!(class, FailureClass::OutOfMemory);
    assert!(detail.contains("of 8388608 a call"), "{detail}");
    assert_eq!(fixture(Limits::default()).fault("bloat").await.0, FailureClass::OutOfMemory);
}

#[tokio::test]
async fn refuses_to_start_a_guest_larger_than_the_limit() {
    assert_eq!(fixture(Limits { memory_bytes: 1 << 16, ..Limits::default() }).fault("echo").await.0, FailureClass::OutOfMemory);
}

#[tokio::test]
async fn reports_a_trap_with_what_the_plugin_said() {
    let (class, detail) = fixture(Limits::default()).fault("trap why not").await;
    assert_eq!(class, FailureClass::Trapped);
    assert!(detail.contains("odd on purpose: why not"), "{detail}");
    assert!(detail.contains("unreachable"), "{detail}");
}

#[tokio::test]
async fn reports_an_exit_and_an_exhausted_stack() {
    let fixture = fixture(Limits::default());
    let (class, detail) = fixture.fault("exit").await;
    assert_eq!(class, FailureClass::Trapped);
    // WASI 0.2 knows success and failure only.
    assert!(detail.contains("exit status 1"), "{detail}");
    assert_eq!(fixture.fault("recurse").await.0, FailureClass::Trapped);
    assert_eq!(fixture.text("echo").await, "echo");
}

#[tokio::test]
async fn refuses_output_that_is_too_large() {
    let fixture = fixture(Limits { output_bytes: 1 << 20, output_messages: 3, ..Limits::default() });
    let (class, detail) = fixture.fault("big-output 1048577").await;
    assert_eq!(class, FailureClass::OutputTooLarge);
    assert!(detail.contains("of 1048576 a call"), "{detail}");
    assert_eq!(fixture.fault("many-outputs 4").await.0, FailureClass::OutputTooLarge);
    assert!(fixture.run("many-outputs 3").await.result.is_ok());
}

#[tokio::test]
async fn never_copies_output_far_beyond_the_limit() {
    let fixture = fixture(Limits { hostcall_bytes: 1 << 20, ..Limits::default() });
    let (class, detail) = fixture.fault("big-output 2000000").await;
    assert_eq!(class, FailureClass::OutputTooLarge, "{detail}");
}

#[tokio::test]
async fn stops_a_guest_that_calls_the_host_too_often() {
    let fixture = fixture(Limits { host_calls: 100, ..Limits::default() });
    assert_eq!(fixture.text("host-calls 50").await, "called");
    let (class, detail) = fixture.fault("host-calls 200").await;
    assert_eq!(class, FailureClass::HostCallsExceeded);
    assert!(detail.contains("100 a call"), "{detail}");
}

#[tokio::test]
async fn stops_a_call_whose_target_never_answers() {
    let clock = Arc::new(ManualClock::at(Timestamp(1_000)));
    let fixture = fixture_with(Limits::default(), clock.clone(), Box::new(|_| None));
    let mut running = std::pin::pin!(fixture.run("http target"));
    while fixture.egress.sent.lock().unwrap().is_empty() {
        assert!(futures_util::poll!(running.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(29));
    assert!(futures_util::poll!(running.as_mut()).is_pending());
    clock.advance(Duration::from_secs(1));
    let report = running.await;
    assert_eq!(report.requests.len(), 1, "the ledger has what was under way");
    assert_eq!(report.requests[0].answer, "cut-off");
    assert_eq!(fault(report).0, FailureClass::TimedOut);
}

#[tokio::test]
async fn a_flood_of_log_lines_costs_nothing_but_the_lines() {
    assert_eq!(fixture(Limits { log_bytes: 100, ..Limits::default() }).text("log 5000").await, "flooded");
    assert_eq!(fixture(Limits { log_bytes: 100, ..Limits::default() }).text("print 500").await, "printed");
}

#[tokio::test]
async fn calls_over_the_bound_wait_for_their_turn() {
    let fixture = fixture(Limits { calls_at_once: 1, ..Limits::default() });
    let texts = futures_util::future::join_all((0..20).map(|_| fixture.text("echo"))).await;
    assert_eq!(texts, vec!["echo"; 20]);
}

#[tokio::test]
async fn a_panic_in_the_host_ends_one_call_only() {
    let clock = Arc::new(SystemClock::new());
    let fixture = fixture_with(Limits::default(), clock, Box::new(|_| panic!("a fault of the host, on purpose")));
    match fixture.run("http target").await.result {
        Err(CallFailure::Transient { code, .. }) => assert_eq!(code, "host-panicked"),
        other => panic!("{other:?}"),
    }
    assert_eq!(fixture.text("echo").await, "echo");
}

/// A component that instantiates a core module twice. It holds `parts` and a function `f`, the `transform` without its arguments.
fn with_core(parts: &str) -> Vec<u8> {
    let text = format!(
        "(component
            (core module $m {parts} (func (export \"f\")))
            (core instance $i (instantiate $m))
            (core instance $j (instantiate $m))
            (func $f (canon lift (core func $i \"f\")))
            (instance $t (export \"transform\" (func $f)))
            (export \"lockgate:plugin/transformer@0.1.0\" (instance $t)))"
    );
    wat::parse_str(text).unwrap()
}

async fn run_core(limits: Limits, parts: &str) -> (FailureClass, String) {
    let fixture = fixture(limits);
    let bytes = with_core(parts);
    plugins().load(&pinned(&bytes), &bytes).unwrap();
    fault(fixture.invoke(Call { plugin: pinned(&bytes), ..call("") }).await)
}

#[tokio::test]
async fn stops_a_start_function_that_loops() {
    let (class, detail) = run_core(short(), "(func $start (loop br 0)) (start $start)").await;
    assert_eq!(class, FailureClass::CpuExceeded, "{detail}");
}

#[tokio::test]
async fn sums_memory_over_all_instances() {
    let limits = Limits { memory_bytes: 3 << 16, ..Limits::default() };
    let (class, detail) = run_core(limits, "(memory 2)").await;
    assert_eq!(class, FailureClass::OutOfMemory, "{detail}");
}

#[tokio::test]
async fn an_export_of_another_type_cannot_run() {
    let (class, detail) = run_core(Limits::default(), "").await;
    assert_eq!(class, FailureClass::Unrunnable, "{detail}");
    assert!(detail.contains("lockgate:plugin/transformer@0.1.0"), "{detail}");
}

#[tokio::test]
async fn what_is_over_a_limit_is_told_with_the_use_and_the_key_to_change() {
    let few =
        fixture(Limits { cpu: Duration::from_millis(60), memory_bytes: 8 << 20, host_calls: 100, output_messages: 3, ..Limits::default() });
    for (body, told) in [
        ("loop", "of 60 ms a call (limits.cpu)"),
        ("bloat", "of 8388608 a call (limits.memory)"),
        ("host-calls 200", "101 made of 100 a call (limits.host-calls)"),
        ("many-outputs 4", "output messages: 4 of 3 a call (limits.output-messages)"),
    ] {
        let (_, detail) = few.fault(body).await;
        assert!(detail.contains(told), "{body}: {detail}");
    }
}

#[tokio::test]
async fn a_limit_that_only_the_plugin_would_see_is_told_to_the_people_too() {
    let fixture = fixture(Limits { requests: 2, ..Limits::default() });
    let mut heard = fixture.events.read(Filter::default(), Start::Now);
    fixture.run("http-many 5").await;
    let line = "over the limit on requests: 5 asked for of 2 (limits.requests); the plugin got an error";
    let told: Vec<_> = heard.look().told.into_iter().map(|told| told.event.text.into_owned()).collect();
    assert_eq!(told, [line]);
}
