//! What a plugin on the SDK prints reaches the log by value; a panic's message is the reason of its trap; and it has all the memory
//! there is, in blocks of any size.

use super::*;

fn printing() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| std::fs::read(build("guest-printing")).unwrap())
}

async fn run(limits: Limits, body: &str) -> Report {
    let fixture = fixture(limits);
    plugins().load(&pinned(printing()), printing()).unwrap();
    fixture.invoke(Call { plugin: pinned(printing()), ..call(body) }).await
}

#[tokio::test]
async fn a_panics_message_is_told_however_long_it_is() {
    let why = "on purpose, with a message that does not fit into one piece of 64 bytes: ü€😀, and on, and on, and on it goes";
    let (class, detail) = fault(run(Limits::default(), &format!("panic {why}")).await);
    assert_eq!(class, FailureClass::Trapped);
    assert!(detail.contains(why) && detail.contains("panicked at"), "{detail}");
}

#[tokio::test]
async fn a_flood_of_printed_lines_costs_nothing_but_the_lines() {
    for log_bytes in [100, 64 * 1024] {
        assert_eq!(text(&run(Limits { log_bytes, ..Limits::default() }, "print 500").await), "printed, and then 0 bytes");
    }
}

#[tokio::test]
async fn printing_is_calling_the_host_and_bounded_with_it() {
    let (class, _) = fault(run(Limits { host_calls: 100, ..Limits::default() }, "print 500").await);
    assert_eq!(class, FailureClass::HostCallsExceeded);
}

#[tokio::test]
async fn the_rest_of_the_standard_library_finds_an_empty_machine() {
    let report = run(Limits::default(), "look").await;
    assert_eq!(text(&report), "0 variables, path false, file false, clock 1700000000000");
}

#[tokio::test]
async fn memory_that_a_plugin_frees_is_there_again() {
    let report = run(Limits::default(), "allocate 30000").await;
    assert_eq!(text(&report), "64 blocks, whole true, zeroed true");
}
