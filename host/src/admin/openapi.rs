//! `GET /api/v1/openapi.json`: the API described (OpenAPI 3.1), as it was built.

use axum::body::Body;
use http::{HeaderValue, Response, header};

/// Held against the table of routes by a test.
const DOCUMENT: &str = include_str!("openapi.json");

/// The document.
pub async fn show() -> Response<Body> {
    let mut response = Response::new(Body::from(DOCUMENT));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::admin::Role;
    use crate::admin::api::routes;
    use crate::admin::operate::{Became, Done};
    use crate::message::{FailureClass, MessageId};
    use crate::message_store::DeadLetterId;
    use crate::message_store::audit::{Act, Came, Way};
    use crate::message_store::sqlite::ledger::State;
    use crate::telemetry::events::{Kind, Level};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    #[test]
    fn describes_every_endpoint_and_no_other() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let described = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        });
        let there = routes().into_iter().map(|route| (route.method.to_string(), route.path.to_owned()));
        assert_eq!(described.collect::<BTreeSet<_>>(), there.collect::<BTreeSet<_>>());
    }

    #[test]
    fn says_which_endpoints_need_a_token_and_of_which_role() {
        let document = document();
        for route in routes() {
            let operation = &document["paths"][route.path][route.method.as_str().to_lowercase()];
            let open = operation["security"] == serde_json::json!([]);
            assert_eq!(open, route.needs.is_none(), "{}", route.path);
            let role = route.needs.map(Role::as_str);
            assert_eq!(operation["x-role"].as_str(), role, "{} {}", route.method, route.path);
        }
    }

    /// What a schema lists is every word there is.
    #[test]
    fn lists_every_word_of_what_has_a_few() {
        fn words<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Vec<&'static str> {
            all.iter().map(|each| word(*each)).collect()
        }
        let document = document();
        for (schema, words) in [
            ("EventKind", words(Kind::ALL, Kind::as_str)),
            ("Level", words(Level::ALL, Level::as_str)),
            ("Standing", words(State::ALL, State::as_str)),
            ("FailureClass", words(FailureClass::ALL, FailureClass::as_str)),
            ("Role", words(Role::GIVEN, Role::as_str)),
            ("AuditWay", words(Way::ALL, Way::as_str)),
            ("AuditAct", words(Act::ALL, Act::as_str)),
            ("AuditCame", words(Came::ALL, Came::as_str)),
        ] {
            assert_eq!(document["components"]["schemas"][schema]["enum"], serde_json::json!(words), "{schema}");
        }
    }

    /// Everything that may stand in an answer is described there.
    #[test]
    fn describes_all_that_may_become_of_a_dead_letter() {
        let (id, at, message) = (DeadLetterId(1), "then".to_owned(), MessageId(uuid::Uuid::nil()));
        let document = document();
        let results = &document["components"]["schemas"]["Results"]["properties"]["results"]["items"]["properties"];
        let edited = &document["components"]["schemas"]["Edited"]["properties"];
        for became in [
            Became::WouldBeQueued,
            Became::Queued { replay: 1 },
            Became::Superseded { newer: 1 },
            Became::Skipped,
            Became::Discarded,
            Became::AlreadyReplayed { at: at.clone(), replay: 1, edited_as: Some(message) },
            Became::AlreadyDiscarded { at, reason: String::new() },
            Became::NotFound,
            Became::IntegrationRetired { integration: String::new() },
            Became::Failed,
        ] {
            let answer = serde_json::to_value(Done { id, became }).unwrap();
            let described = |schema: &Value| schema["result"]["enum"].as_array().unwrap().contains(&answer["result"]);
            assert!(described(results) || described(edited), "{answer}");
            for schema in [results, edited].into_iter().filter(|schema| described(schema)) {
                for field in answer.as_object().unwrap().keys() {
                    assert!(schema.get(field).is_some(), "{field} of {answer}");
                }
            }
        }
    }

    #[test]
    fn refers_only_to_what_is_there() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    found.extend(map.get("$ref").and_then(Value::as_str));
                    map.values().for_each(|value| references(value, found));
                }
                Value::Array(list) => list.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }
}
