//! The rules of `code-names`, failure cases first.

use code_names::CodeNames;
use lockgate_sdk::testing::{self, Host};
use lockgate_sdk::{Context, Failure, Output, Setup, Transformer};
use serde_json::{Value, json};

fn named(config: Value, body: &str) -> Result<String, Failure> {
    let run = Host::new().config(config).run(|| {
        CodeNames::setup()?;
        CodeNames::transform(testing::message(body), Context::default())
    });
    match run.result? {
        Output::Drafts(drafts) => Ok(String::from_utf8_lossy(&drafts[0].body).into_owned()),
        Output::Skip(skip) => panic!("{skip:?}"),
    }
}

fn countries() -> Value {
    json!({ "field": "country", "names": { "NL": "Nederland" } })
}

#[test]
fn a_table_that_is_wrong_is_refused_before_anything_is_named() {
    for config in
        [json!({ "field": "country", "names": {} }), json!({ "names": { "NL": "Nederland" } }), json!({ "field": "c", "nmes": {} })]
    {
        assert_eq!(named(config.clone(), "{}").unwrap_err().code(), "config-invalid", "{config}");
    }
}

#[test]
fn what_has_no_name_fails_with_its_place() {
    for (body, code, detail) in [
        (r#"{"country": "XX"}"#, "code-unknown", "/country is XX, and names has no name for it"),
        (r#"{"country": null}"#, "required-field-missing", "/country is null"),
        ("{}", "required-field-missing", "/country is missing"),
        (r#"{"country": 7}"#, "field-type-wrong", "/country should be text, and is a number"),
        ("[]", "field-type-wrong", "the document should be an object, and is a list"),
    ] {
        let failure = named(countries(), body).unwrap_err();
        assert_eq!((failure.code(), failure.is_transient()), (code, false), "{body}");
        assert_eq!(failure.detail(), detail, "{body}");
    }
}

#[test]
fn a_code_becomes_its_name_and_the_rest_stays_as_it_was_written() {
    assert_eq!(named(countries(), r#"{"b": 10.00, "country": "NL", "1": 1e2}"#).unwrap(), r#"{"b":10.00,"country":"Nederland","1":1e+2}"#);
    let mut keeps = countries();
    keeps["unknown"] = "keep".into();
    assert_eq!(named(keeps, r#"{"country": "XX"}"#).unwrap(), r#"{"country":"XX"}"#);
}
