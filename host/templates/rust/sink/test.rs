//! The rules of `{{name}}`, failure cases first: through the same entry point that the host calls, natively.

use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{Context, Delivered, Failure, Sink, http};
use serde_json::{Value, json};

use {{crate}}::Plugin;

fn deliver(
    config: Value,
    answer: Result<http::Response, http::Error>,
) -> Run<Result<Delivered, Failure>> {
    let message = testing::message(r#"{ "externalId": "A-1001", "amount": "12.50" }"#);
    Host::new()
        .config(config)
        .answers([answer])
        .run(|| Plugin::deliver(message, Context::default()))
}

#[test]
fn what_may_pass_is_tried_again_and_the_rest_is_a_dead_letter() {
    for (status, may_pass) in [
        (500, true),
        (503, true),
        (429, true),
        (400, false),
        (404, false),
        (422, false),
    ] {
        let failure = deliver(json!({}), testing::answer(status, "no"))
            .result
            .unwrap_err();
        assert_eq!(failure.is_transient(), may_pass, "{status}: {failure}");
    }
}

#[test]
fn a_target_that_is_down_is_tried_again() {
    let failure = deliver(json!({}), Err(http::Error::Unreachable("refused".into())))
        .result
        .unwrap_err();
    assert!(failure.is_transient());
}

#[test]
fn an_answer_that_is_no_json_is_not_taken_for_a_record() {
    assert!(
        deliver(json!({}), testing::answer(200, "<html>"))
            .result
            .is_err()
    );
}

#[test]
fn a_record_that_is_there_already_is_skipped() {
    assert!(matches!(
        deliver(json!({}), testing::answer(409, "")).result,
        Ok(Delivered::Skip(_))
    ));
}

#[test]
fn the_record_goes_out_and_the_receipt_has_its_id() {
    let run = deliver(
        json!({ "path": "/v1/records" }),
        testing::answer(201, r#"{ "id": "r-7" }"#),
    );
    assert!(
        matches!(run.result, Ok(Delivered::Receipt(receipt)) if receipt.remote_id.as_deref() == Some("r-7"))
    );
    assert_eq!(
        (
            run.requests[0].slot.as_str(),
            run.requests[0].request.path.as_str()
        ),
        ("target", "/v1/records")
    );
    let sent: Value = serde_json::from_slice(&run.requests[0].request.body).unwrap();
    assert_eq!(sent, json!({ "externalId": "A-1001", "amount": "12.50" }));
}
