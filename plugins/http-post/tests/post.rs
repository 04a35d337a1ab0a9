//! The rules of `http-post`, failure cases first.

use http_post::HttpPost;
use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{Context, Delivered, Failure, Message, Receipt, Sink, http};
use serde_json::{Value, json};

fn post(config: Value, answer: Result<http::Response, http::Error>) -> Run<Result<Delivered, Failure>> {
    let message = Message { content_type: "application/xml; charset=utf-8".into(), ..testing::message("<a>\u{1f6a2} &amp; 10.00</a>") };
    Host::new().config(config).answers([answer]).run(|| HttpPost::deliver(message, Context::default()))
}

#[test]
fn statuses_that_may_pass_are_transient_and_the_rest_is_permanent() {
    for (status, transient) in
        [(408, true), (425, true), (429, true), (500, true), (503, true), (301, false), (400, false), (404, false), (422, false)]
    {
        let failure = post(json!({}), testing::answer(status, "no")).result.unwrap_err();
        assert_eq!((failure.code().to_owned(), failure.is_transient()), (format!("http-{status}"), transient));
    }
}

#[test]
fn retry_after_is_honoured() {
    let failure = post(json!({}), testing::answer_with(429, &[("Retry-After", "7")], "")).result.unwrap_err();
    assert!(matches!(failure, Failure::Transient { retry_after_ms: Some(7_000), .. }));
}

#[test]
fn no_answer_is_transient_and_a_denied_path_is_not() {
    assert!(post(json!({}), Err(http::Error::Unreachable("refused".into()))).result.unwrap_err().is_transient());
    assert!(!post(json!({}), Err(http::Error::Denied("path".into()))).result.unwrap_err().is_transient());
}

#[test]
fn a_configuration_of_another_shape_is_refused() {
    for config in [json!({ "pth": "/" }), json!({ "path": 1 })] {
        assert_eq!(post(config.clone(), testing::answer(200, "")).result.unwrap_err().code(), "config-invalid", "{config}");
    }
}

#[test]
fn the_body_goes_out_byte_for_byte_with_its_content_type() {
    let run = post(json!({ "path": "/v1/orders?source=lockgate" }), testing::answer(204, ""));
    let http::Request { method, path, headers, body, .. } = &run.requests[0].request;
    assert_eq!((run.requests[0].slot.as_str(), method.as_str(), path.as_str()), ("target", "POST", "/v1/orders?source=lockgate"));
    assert_eq!(headers[0].value, "application/xml; charset=utf-8");
    assert_eq!(body, "<a>\u{1f6a2} &amp; 10.00</a>".as_bytes());
}

#[test]
fn the_receipt_has_location_and_etag() {
    let run = post(json!({}), testing::answer_with(201, &[("ETag", "\"v7\""), ("Location", "/orders/9")], ""));
    let receipt = Receipt { remote_id: Some("/orders/9".into()), remote_version: Some("\"v7\"".into()), detail: Some("HTTP 201".into()) };
    assert_eq!(run.result, Ok(Delivered::Receipt(receipt)));
    assert_eq!(run.requests[0].request.path, "/");
}
