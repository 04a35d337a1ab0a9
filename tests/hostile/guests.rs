//! Plugins that no compiler would make, one for each attack (`guests/hostile`): what a plugin can do with the instructions it has
//! and with what it says to the host about its memory. Each costs its own message, with a named outcome, and nothing else.

use super::flows::{SHORT, Scene, workspace};
use crate::support::wat::{attack, source};

/// Messages of an attack at once: as many as an integration delivers at a time, by default.
const AT_ONCE: usize = 8;

/// Runs an attack: every message of it becomes a dead letter of `class`, whose reason holds `told`, and the host is as before.
#[track_caller]
fn ends_as(name: &str, class: &str, told: &str) {
    let scene = Scene::start(&attack(name), SHORT);
    scene.attack(AT_ONCE, "x");
    scene.innocent_flows();
    for letter in scene.dead_letters(AT_ONCE) {
        let reason = letter["detail"].as_str().unwrap_or_default();
        assert!(letter["class"] == class && reason.contains(told), "{letter:#}");
    }
    scene.is_as_before();
}

/// Such a plugin never runs: the host does not start with it, and says why in the words `told`.
#[track_caller]
fn is_refused(plugin: &[u8], told: &str) {
    let refused = workspace(plugin, "").command("run").output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains(told), "{:?} {said}", refused.status);
}

macro_rules! attacks {
    ($($name:ident => $class:literal, $told:literal;)*) => {
        $(#[test]
        fn $name() {
            ends_as(stringify!($name), $class, $told);
        })*
    };
}

attacks! {
    loop_in_export => "cpu-exceeded", "ms used of 200 ms a call (limits.cpu)";
    loop_in_start => "cpu-exceeded", "(limits.cpu)";
    loop_in_realloc => "cpu-exceeded", "(limits.cpu)";
    loop_in_post_return => "cpu-exceeded", "(limits.cpu)";
    memory_copy => "cpu-exceeded", "(limits.cpu)";
    memory_fill => "cpu-exceeded", "(limits.cpu)";
    memory_bomb => "out-of-memory", "of 67108864 a call (limits.memory)";
    memory_larger_than_allowed => "out-of-memory", "of 67108864 a call (limits.memory)";
    table_bomb => "trapped", "unreachable";
    table_fill => "cpu-exceeded", "(limits.cpu)";
    recursion => "trapped", "call stack exhausted";
    recursion_through_the_host => "trapped", "cannot leave component instance";
    handle_bomb => "trapped", "table";
    huge_list_argument => "trapped", "";
    long_list_argument => "output-too-large", "(twice limits.output)";
    huge_list_result => "trapped", "";
    aliased_items => "output-too-large", "limits.output";
    empty_items => "output-too-large", "output messages: 100000 of 10000";
    bad_utf8 => "trapped", "utf-8";
    bad_discriminant => "trapped", "discriminant";
    bad_enum_argument => "trapped", "discriminant";
    pointer_outside => "trapped", "out of bounds";
    pointer_at_the_edge => "trapped", "out of bounds";
    pointer_unaligned => "trapped", "aligned";
    realloc_outside => "trapped", "beyond end of memory";
}

#[test]
fn trap_after_writes() {
    let scene = Scene::start(&attack("trap_after_writes"), SHORT);
    scene.attack(1, "x");
    assert_eq!(scene.dead_letters(1)[0]["class"], "trapped");
    scene.is_as_before();
    let messages = scene.host.api("/api/v1/messages?integration=attacked");
    assert_eq!(messages["messages"].as_array().unwrap().len(), 0, "{messages}");
    let database = rusqlite::Connection::open(scene.workspace.data().join("lockgate.db")).unwrap();
    let rows: i64 = database.query_row("SELECT count(*) FROM key_value", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

/// What several memories of one component may hold together is bounded as well: `sums_memory_over_all_instances`.
#[test]
fn memories_in_turns() {
    is_refused(&attack("memories_in_turns"), "memories");
}

#[test]
fn table_larger_than_allowed() {
    is_refused(&attack("table_larger_than_allowed"), "table");
}

#[test]
fn instances_nested() {
    let text = source("instances_nested").replace("@many", &"(core instance (instantiate $m))".repeat(100));
    is_refused(&wat::parse_str(text).unwrap(), "instances");
}

/// A component in a component, ten thousand deep: each level is a header, and a section with the next one.
#[test]
fn a_component_ten_thousand_deep_is_refused() {
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let deep = (0..10_000).fold(empty.clone(), |inner, _| with_section(empty.clone(), &inner));
    is_refused(&with_section(attack("loop_in_export"), &deep), "nested");
}

/// `component` with a section that holds the component `inner`.
fn with_section(mut component: Vec<u8>, inner: &[u8]) -> Vec<u8> {
    const COMPONENT_SECTION: u8 = 4;
    component.push(COMPONENT_SECTION);
    let mut length = inner.len();
    while length >= 0x80 {
        component.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    component.push(u8::try_from(length).unwrap());
    component.extend(inner);
    component
}

#[test]
fn a_release_that_does_not_load_is_not_activated_and_the_one_before_runs_on() {
    let scene = Scene::start(&attack("loop_in_export"), SHORT);
    let Scene { workspace, host, .. } = scene;
    assert!(host.stop().success());
    std::fs::write(workspace.path().join("plugins/attack@1.0.1.wasm"), attack("memories_in_turns")).unwrap();
    assert!(workspace.lockgate(&["update"]).status.success());
    let refused = workspace.command("run").arg("--deploy").output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let scene = Scene::over(workspace);
    assert!(scene.host.logged().contains("workspace differs"), "{}", scene.host.logged());
    scene.attack(1, "x");
    assert_eq!(scene.dead_letters(1)[0]["class"], "cpu-exceeded");
}

// A guest without a test of its name breaks the build.
include!(concat!(env!("OUT_DIR"), "/hostile_guests.rs"));
