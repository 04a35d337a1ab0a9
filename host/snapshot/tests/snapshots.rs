//! Small components that keep a number: what is kept, what is said, and what cannot be kept.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use std::time::Duration;

use lockgate_snapshot::{Error, Limits, snapshot};

const LIMITS: Limits = Limits { memory_bytes: 1 << 20, wall: Duration::from_secs(30) };
/// `set` keeps a number, `get` gives it back.
const KEEPS: &str = r#"
    (core module $m
      (global $kept (mut i32) (i32.const 0))
      (func (export "set") (param i32) (global.set $kept (local.get 0)))
      (func (export "get") (result i32) (global.get $kept)))
    (core instance $i (instantiate $m))
    (func $set (export "set") (param "value" u32) (canon lift (core func $i "set")))
    (func $get (export "get") (result u32) (canon lift (core func $i "get")))"#;

fn component(text: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {text})")).unwrap()
}

/// Calls `set`, and says `no` if there is something to say.
fn set(component: &[u8], limits: Limits, value: u32, no: Option<&'static str>) -> Result<Vec<u8>, Error<&'static str>> {
    snapshot(
        component,
        limits,
        |_| Ok(()),
        async |store, instance| {
            let set = instance.get_typed_func::<(u32,), ()>(&mut *store, "set")?;
            set.call_async(&mut *store, (value,)).await?;
            Ok(no.map_or(Ok(()), Err))
        },
    )
}

fn get(component: &[u8]) -> u32 {
    let mut got = 0;
    let read = snapshot(
        component,
        LIMITS,
        |_| Ok(()),
        async |store, instance| {
            let get = instance.get_typed_func::<(), (u32,)>(&mut *store, "get")?;
            (got,) = get.call_async(&mut *store, ()).await?;
            Ok(Ok::<(), ()>(()))
        },
    );
    read.unwrap();
    got
}

#[test]
fn what_is_not_kept_is_told_and_what_the_run_says_goes_before_that() {
    let nested = component(&format!("(component $inner {KEEPS}) (instance $i (instantiate $inner)) (export \"set\" (func $i \"set\"))"));
    assert!(matches!(set(&nested, LIMITS, 1, None), Err(Error::Unsupported(_))));
    assert!(matches!(set(&nested, LIMITS, 1, Some("no")), Err(Error::Said("no"))));
    assert!(matches!(set(&component(KEEPS), LIMITS, 1, Some("no")), Err(Error::Said("no"))));
}

#[test]
fn a_run_that_never_ends_traps_or_is_not_there_is_told_as_that() {
    let limits = Limits { wall: Duration::from_millis(50), ..LIMITS };
    let with = |body: &str| {
        component(&format!(
            "(core module $m (func (export \"set\") (param i32) {body})) (core instance $i (instantiate $m)) \
             (func (export \"set\") (param \"value\" u32) (canon lift (core func $i \"set\")))"
        ))
    };
    assert!(matches!(set(&with("(loop br 0)"), limits, 1, None), Err(Error::Endless(_))));
    assert!(matches!(set(&with("unreachable"), LIMITS, 1, None), Err(Error::Trapped(why)) if why.contains("unreachable")));
    let other = component(&KEEPS.replace("\"set\"", "\"other\""));
    assert!(matches!(set(&other, LIMITS, 1, None), Err(Error::Trapped(_))));
}

#[test]
fn what_is_left_open_cannot_be_kept() {
    let leaves_open = component(
        r#"
        (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type (sub resource)))))
        (alias export $poll "pollable" (type $pollable))
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
          (alias outer 1 $pollable (type $outer))
          (export "pollable" (type $pollable (eq $outer)))
          (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
        (core func $subscribe (canon lower (func $clock "subscribe-duration")))
        (core module $m
          (import "clock" "subscribe" (func $subscribe (param i64) (result i32)))
          (func (export "set") (param i32) (drop (call $subscribe (i64.const 1)))))
        (core instance $clocks (export "subscribe" (func $subscribe)))
        (core instance $i (instantiate $m (with "clock" (instance $clocks))))
        (func (export "set") (param "value" u32) (canon lift (core func $i "set")))"#,
    );
    assert!(matches!(set(&leaves_open, LIMITS, 1, None), Err(Error::Open)));
}

#[test]
fn a_component_begins_with_what_was_kept_and_can_be_kept_again() {
    let once = set(&component(KEEPS), LIMITS, 7, None).unwrap();
    assert_eq!(get(&once), 7);
    assert_eq!(get(&set(&once, LIMITS, 8, None).unwrap()), 8);
    assert!(set(&component(KEEPS), LIMITS, 7, None).unwrap() == once, "two runs differ");
}
