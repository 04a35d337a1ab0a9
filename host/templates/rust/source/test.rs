//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls, natively.

use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{Failure, Page, Source, http};

use {{crate}}::Plugin;

fn poll(
    cursor: Option<&str>,
    answer: Result<http::Response, http::Error>,
) -> Run<Result<Page, Failure>> {
    Host::new()
        .answers([answer])
        .run(|| Plugin::poll(cursor.map(str::to_owned)))
}

#[test]
fn a_shop_that_is_down_is_asked_again_from_the_same_place() {
    assert!(
        poll(Some("41"), testing::answer(503, "busy"))
            .result
            .unwrap_err()
            .is_transient()
    );
}

#[test]
fn an_order_without_its_change_is_a_failure_that_names_the_field() {
    let failure = poll(None, testing::answer(200, r#"[{ "number": "A-1001" }]"#))
        .result
        .unwrap_err();
    assert!(failure.detail().contains("/change"), "{failure}");
}

#[test]
fn an_empty_page_leaves_the_cursor_where_it_is() {
    let page = poll(Some("41"), testing::answer(200, "[]")).result.unwrap();
    assert_eq!(
        (page.cursor.as_str(), page.items.len(), page.more),
        ("41", 0, false)
    );
}

#[test]
fn the_next_poll_starts_behind_the_last_change() {
    let answer = testing::answer(
        200,
        r#"[{ "number": "A-1001", "change": 41 }, { "number": "A-1002", "change": 42 }]"#,
    );
    let run = poll(None, answer);
    let page = run.result.unwrap();
    assert_eq!(page.cursor, "42");
    assert_eq!(
        (page.items[0].id.as_str(), page.items[0].key.as_deref()),
        ("41", Some("A-1001"))
    );
    assert_eq!(run.requests[0].request.path, "/orders?after=0&limit=100");
}
