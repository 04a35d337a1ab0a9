//! The rules of `salesforce`, failure cases first, against scripted answers in the shapes Salesforce documents.

#![expect(clippy::unwrap_used, reason = "a test's own functions stop it where they find what they do not expect")]

use lockgate_sdk::testing::{self, Host, Run};
use lockgate_sdk::{Context, Delivered, Failure, Receipt, Sink, http};
use salesforce::{Salesforce, verdict};
use serde_json::{Value, json};

type Answer = Result<http::Response, http::Error>;

fn message() -> Value {
    json!({ "records": [
        { "type": "Account", "externalIdField": "Shop_Customer_Id__c", "externalId": "9007199254740993", "fields": { "Name": "Zoë & <Söhne> 🚢" } },
        { "type": "Opportunity", "externalIdField": "Shop_Order_Id__c", "externalId": "820982911946154508",
          "fields": { "Name": "Order #1001", "Amount": 10, "Account": { "Shop_Customer_Id__c": "9007199254740993" } } },
    ] })
}

fn deliver(body: &str, answer: Answer) -> Run<Result<Delivered, Failure>> {
    Host::new().answers([answer]).run(|| Salesforce::deliver(testing::message(body), Context::default()))
}

fn failure(answer: Answer) -> Failure {
    deliver(&message().to_string(), answer).result.unwrap_err()
}

fn part(index: usize, status: u16, body: Value) -> Value {
    json!({ "body": body, "httpHeaders": {}, "httpStatusCode": status, "referenceId": format!("record{index}") })
}

fn composite(parts: &[Value]) -> Answer {
    testing::answer(200, json!({ "compositeResponse": parts }).to_string())
}

fn error(code: &str) -> Value {
    json!([{ "message": format!("about {code}"), "errorCode": code, "fields": [] }])
}

fn halted() -> Value {
    json!([{ "errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back since another operation in the same transaction failed." }])
}

#[test]
fn a_message_that_is_no_list_of_records_never_reaches_salesforce() {
    let record = |change: Value| {
        let mut record = message()["records"][0].clone();
        record.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({ "records": [record] })
    };
    let table = [
        (json!([]), "field-type-wrong", "the document should be an object"),
        (json!({}), "required-field-missing", "/records is missing"),
        (json!({ "records": [7] }), "field-type-wrong", "/records/0 should be an object"),
        (record(json!({ "type": null })), "required-field-missing", "/records/0/type is null"),
        (record(json!({ "type": "Account/../User" })), "record-invalid", "/records/0/type is no Salesforce API name"),
        (record(json!({ "externalIdField": "1x" })), "record-invalid", "/records/0/externalIdField is no"),
        (record(json!({ "externalId": "" })), "record-invalid", "/records/0/externalId is empty"),
        (record(json!({ "externalId": 9007199254740993u64 })), "field-type-wrong", "/records/0/externalId should be text"),
        (record(json!({ "fields": null })), "required-field-missing", "/records/0/fields is null"),
        (record(json!({ "fields": { "shop_customer_id__C": "1" } })), "record-invalid", "is what the record is found by"),
        (record(json!({ "fields": { "id": "001" } })), "record-invalid", "is what the record is found by"),
        (record(json!({ "fields": { "Name": "@{record0.id}" } })), "reference-in-text", "/records/0/fields/Name contains `@{`"),
        (record(json!({ "fields": { "Owner": { "Email": "x@{y}" } } })), "reference-in-text", "/records/0/fields/Owner/Email"),
        (json!({ "records": vec![message()["records"][0].clone(); 26] }), "too-many-records", "26 records"),
    ];
    for (body, code, detail) in table {
        let run = deliver(&body.to_string(), composite(&[]));
        let failure = run.result.unwrap_err();
        assert_eq!((failure.code(), failure.is_transient(), run.requests.len()), (code, false, 0), "{body}");
        assert!(failure.detail().contains(detail), "{failure}");
    }
    assert_eq!(deliver("<xml/>", composite(&[])).result.unwrap_err().code(), "body-invalid");
}

#[test]
fn a_message_without_records_is_skipped() {
    let run = deliver(r#"{"records": []}"#, composite(&[]));
    assert!(matches!(run.result, Ok(Delivered::Skip(skip)) if skip.code == "no-records"));
}

#[test]
fn an_unknown_configuration_key_is_refused() {
    let host = Host::new().config(json!({ "api-pth": "/services/data/v61.0" }));
    let run = host.run(|| Salesforce::deliver(testing::message(message().to_string()), Context::default()));
    assert_eq!(run.result.unwrap_err().code(), "config-invalid");
}

#[test]
fn what_stands_in_the_way_is_passed_on() {
    assert!(failure(Err(http::Error::TimedOut)).is_transient());
    assert!(!failure(Err(http::Error::Denied("POST /composite is not allowed".into()))).is_transient());
}

#[test]
fn errors_are_sorted_the_way_salesforce_documents_them() {
    let may_pass = [
        "UNABLE_TO_LOCK_ROW",
        "REQUEST_LIMIT_EXCEEDED",
        "REQUEST_RUNNING_TOO_LONG",
        "QUERY_TIMEOUT",
        "SERVER_UNAVAILABLE",
        "API_CURRENTLY_DISABLED",
        "FUNCTIONALITY_TEMPORARILY_UNAVAILABLE",
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "PLATFORM_EVENT_PUBLISHING_UNAVAILABLE",
        "INVALID_SESSION_ID",
        "UNKNOWN_EXCEPTION",
    ];
    let will_not_pass = [
        "REQUIRED_FIELD_MISSING",
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        "INVALID_FIELD",
        "INVALID_FIELD_FOR_INSERT_UPDATE",
        "INVALID_TYPE",
        "INVALID_CROSS_REFERENCE_KEY",
        "INVALID_EMAIL_ADDRESS",
        "STRING_TOO_LONG",
        "NUMBER_OUTSIDE_VALID_RANGE",
        "MALFORMED_ID",
        "DUPLICATE_VALUE",
        "DUPLICATES_DETECTED",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION",
        "FIELD_FILTER_VALIDATION_EXCEPTION",
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
        "CANNOT_EXECUTE_FLOW_TRIGGER",
        "ENTITY_IS_DELETED",
        "ENTITY_IS_LOCKED",
        "INSUFFICIENT_ACCESS_OR_READONLY",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
        "API_DISABLED_FOR_ORG",
        "STORAGE_LIMIT_EXCEEDED",
        "JSON_PARSER_ERROR",
        "NOT_FOUND",
        "A_CODE_OF_TOMORROW",
    ];
    for code in may_pass {
        let failure = failure(composite(&[part(0, 400, halted()), part(1, 400, error(code))]));
        assert_eq!((failure.code().to_owned(), failure.is_transient()), (code.to_lowercase().replace('_', "-"), true));
    }
    for code in will_not_pass {
        let failure = failure(composite(&[part(0, 400, error(code)), part(1, 400, halted())]));
        assert_eq!((failure.code().to_owned(), failure.is_transient()), (code.to_lowercase().replace('_', "-"), false));
    }
    assert!(verdict::may_pass("A_CODE_OF_TOMORROW", 503) && !verdict::may_pass("A_CODE_OF_TOMORROW", 404));
}

#[test]
fn the_record_that_caused_it_is_named_and_not_the_ones_rolled_back_with_it() {
    let cause = json!([{ "message": "bad value for restricted picklist field: XTS", "errorCode": "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "fields": ["CurrencyIsoCode"] }]);
    let failure = failure(composite(&[part(0, 400, halted()), part(1, 400, cause)]));
    assert_eq!(failure.code(), "invalid-or-null-for-restricted-picklist");
    assert_eq!(
        failure.detail(),
        "Opportunity 820982911946154508 (record 2 of 2): INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST [CurrencyIsoCode]: bad value for restricted picklist field: XTS"
    );
}

#[test]
fn one_error_that_will_not_pass_among_others_that_may_is_permanent() {
    let failure = failure(composite(&[part(0, 400, error("UNABLE_TO_LOCK_ROW")), part(1, 400, error("REQUIRED_FIELD_MISSING"))]));
    assert_eq!((failure.code(), failure.is_transient()), ("required-field-missing", false));
    assert!(failure.detail().contains("UNABLE_TO_LOCK_ROW"), "both are told: {failure}");
}

#[test]
fn a_roll_back_without_a_cause_may_pass() {
    let failure = failure(composite(&[part(0, 400, halted()), part(1, 400, halted())]));
    assert_eq!((failure.code(), failure.is_transient()), ("processing-halted", true));
}

#[test]
fn a_part_without_readable_errors_is_sorted_by_its_status() {
    for (status, transient) in [(503, true), (500, true), (429, true), (400, false), (404, false)] {
        for body in [Value::Null, json!("oops"), json!({ "error": 1 }), json!([7])] {
            let failure = failure(composite(&[part(0, 201, json!({ "id": "001" })), part(1, status, body)]));
            assert_eq!((failure.code().to_owned(), failure.is_transient()), (format!("http-{status}"), transient));
        }
    }
}

#[test]
fn an_external_id_that_several_records_share_is_permanent() {
    let found = json!(["/services/data/v60.0/sobjects/Account/001A", "/services/data/v60.0/sobjects/Account/001B"]);
    let failure = failure(composite(&[part(0, 300, found), part(1, 400, halted())]));
    assert_eq!((failure.code(), failure.is_transient()), ("external-id-not-unique", false));
}

#[test]
fn an_answer_that_is_an_error_as_a_whole_is_sorted_by_code_then_status() {
    let table = [
        (403, error("REQUEST_LIMIT_EXCEEDED").to_string(), "request-limit-exceeded", true),
        (503, error("SERVER_UNAVAILABLE").to_string(), "server-unavailable", true),
        (500, error("UNKNOWN_EXCEPTION").to_string(), "unknown-exception", true),
        (500, error("APEX_ERROR").to_string(), "apex-error", true),
        (403, error("API_DISABLED_FOR_ORG").to_string(), "api-disabled-for-org", false),
        (400, error("JSON_PARSER_ERROR").to_string(), "json-parser-error", false),
        (404, error("NOT_FOUND").to_string(), "not-found", false),
        (503, "<html>Down for maintenance</html>".to_owned(), "http-503", true),
        (502, String::new(), "http-502", true),
        (400, "not json".to_owned(), "http-400", false),
        (302, String::new(), "http-302", false),
    ];
    for (status, body, code, transient) in table {
        let failure = failure(testing::answer(status, body));
        assert_eq!((failure.code(), failure.is_transient()), (code, transient), "{status}");
    }
}

#[test]
fn retry_after_is_honoured_where_the_failure_may_pass() {
    for body in [error("REQUEST_LIMIT_EXCEEDED").to_string(), String::new()] {
        let failure = failure(testing::answer_with(503, &[("Retry-After", "90")], body));
        assert!(matches!(failure, Failure::Transient { retry_after_ms: Some(90_000), .. }), "{failure:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_read_may_pass() {
    let ok = part(0, 201, json!({ "id": "001" }));
    let twice = [ok.clone(), ok.clone()];
    for answer in [
        testing::answer(200, "<html>"),
        testing::answer(200, ""),
        testing::answer(204, ""),
        testing::answer(200, "{}"),
        testing::answer(200, r#"{"compositeResponse": null}"#),
        composite(&[]),
        composite(&[ok]),
        composite(&twice),
    ] {
        let failure = failure(answer);
        assert_eq!((failure.code(), failure.is_transient()), ("answer-invalid", true));
    }
}

#[test]
fn all_records_go_out_in_one_request_all_or_none_and_in_order() {
    let body = message().to_string().replace("\"Amount\":10", "\"Amount\":10.00");
    let run = deliver(&body, composite(&[part(0, 200, Value::Null), part(1, 201, json!({ "id": "006", "success": true, "errors": [] }))]));
    run.result.unwrap();
    let sent = &run.requests[0];
    assert_eq!((sent.slot.as_str(), sent.request.method.as_str(), sent.request.path.as_str()), ("target", "POST", "/composite"));
    assert_eq!(sent.request.label.as_deref(), Some("composite"));
    let expected = r#"{"allOrNone":true,"collateSubrequests":false,"compositeRequest":[{"method":"PATCH","url":"/services/data/v60.0/sobjects/Account/Shop_Customer_Id__c/9007199254740993","referenceId":"record0","body":{"Name":"Zoë & <Söhne> 🚢"}},{"method":"PATCH","url":"/services/data/v60.0/sobjects/Opportunity/Shop_Order_Id__c/820982911946154508","referenceId":"record1","body":{"Name":"Order #1001","Amount":10.00,"Account":{"Shop_Customer_Id__c":"9007199254740993"}}}]}"#;
    assert_eq!(String::from_utf8(sent.request.body.clone()).unwrap(), expected);
}

#[test]
fn the_receipt_has_the_last_records_id_and_tells_of_all() {
    let parts = [
        part(1, 201, json!({ "id": "006B", "success": true, "errors": [], "created": true })),
        part(0, 200, json!({ "id": "001A", "success": true })),
    ];
    let Ok(Delivered::Receipt(receipt)) = deliver(&message().to_string(), composite(&parts)).result else { panic!("no receipt") };
    assert_eq!(receipt.remote_id.as_deref(), Some("006B"));
    let detail: Value = serde_json::from_str(&receipt.detail.unwrap()).unwrap();
    assert_eq!(detail[0], json!({ "type": "Account", "externalId": "9007199254740993", "id": "001A", "created": false }));
    assert_eq!(detail[1]["created"], true);
}

#[test]
fn an_update_answered_without_a_body_has_no_id() {
    let parts = [part(0, 204, Value::Null), part(1, 204, Value::Null)];
    let Ok(Delivered::Receipt(Receipt { remote_id, .. })) = deliver(&message().to_string(), composite(&parts)).result else { panic!() };
    assert_eq!(remote_id, None);
}

#[test]
fn an_external_id_is_one_segment_of_the_url_whatever_it_holds() {
    let mut body = message();
    body["records"][0]["externalId"] = json!("../a b?c=d&é#%2F");
    let run = deliver(&body.to_string(), composite(&[]));
    let sent: Value = serde_json::from_slice(&run.requests[0].request.body).unwrap();
    let url = "/services/data/v60.0/sobjects/Account/Shop_Customer_Id__c/%2E%2E%2Fa%20b%3Fc%3Dd%26%C3%A9%23%252F";
    assert_eq!(sent["compositeRequest"][0]["url"], url);
}
