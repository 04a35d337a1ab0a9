//! The rules of `hello`, failure cases first: through the same entry point that the host calls, natively.

use hello::Plugin;
use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{Context, Delivered, Failure, Sink};
use serde_json::json;

fn deliver(body: &str) -> Run<Result<Delivered, Failure>> {
    let host = Host::new().config(json!({ "greeting": "Good morning" }));
    host.run(|| Plugin::deliver(testing::message(body), Context::default()))
}

#[test]
fn a_message_without_a_name_is_a_dead_letter_that_names_the_field() {
    let failure = deliver("{}").result.unwrap_err();
    assert!(!failure.is_transient());
    assert!(failure.detail().contains("/name"), "{failure}");
}

#[test]
fn a_message_that_is_no_json_is_a_dead_letter() {
    assert_eq!(
        deliver("<name/>").result.unwrap_err().code(),
        "body-invalid"
    );
}

#[test]
fn whoever_a_message_names_is_greeted() {
    let run = deliver(r#"{ "name": "Ada" }"#);
    assert!(run.result.is_ok());
    assert_eq!(run.lines[0].1, "Good morning, Ada!");
}
