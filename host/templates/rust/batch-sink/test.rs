//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls, natively.

use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{BatchSink, Context, Delivered, Failure, http};
use serde_json::Value;

use {{crate}}::Plugin;

fn deliver(
    bodies: &[&str],
    answer: Result<http::Response, http::Error>,
) -> Run<Vec<Result<Delivered, Failure>>> {
    Host::new().answers([answer]).run(|| {
        Plugin::deliver_batch(
            testing::messages(bodies.iter().copied()),
            Context::default(),
        )
    })
}

#[test]
fn a_target_that_is_down_is_a_failure_of_every_message_that_may_pass() {
    let run = deliver(&["1", "2"], Err(http::Error::Unreachable("refused".into())));
    assert!(
        run.result
            .iter()
            .all(|result| result.as_ref().is_err_and(Failure::is_transient))
    );
}

#[test]
fn a_row_the_target_says_nothing_of_is_tried_again() {
    let run = deliver(&["1", "2"], testing::answer(200, r#"[{ "id": "a" }]"#));
    assert!(run.result[0].is_ok());
    assert!(run.result[1].as_ref().is_err_and(Failure::is_transient));
}

#[test]
fn what_is_wrong_with_one_message_is_nobody_elses_failure() {
    let run = deliver(
        &["1", "{", "3"],
        testing::answer(200, r#"[{ "id": "a" }, { "error": "too long" }]"#),
    );
    assert!(run.result[0].is_ok());
    assert_eq!(run.result[1].as_ref().unwrap_err().code(), "body-invalid");
    assert_eq!(run.result[2].as_ref().unwrap_err().code(), "row-refused");
}

#[test]
fn the_good_rows_go_out_in_one_request_and_in_order() {
    let run = deliver(&["1", "{", "3"], testing::answer(200, "[]"));
    let sent: Vec<Value> = serde_json::from_slice(&run.requests[0].request.body).unwrap();
    assert_eq!(
        sent.iter().map(|row| &row["data"]).collect::<Vec<_>>(),
        [1, 3]
    );
}
