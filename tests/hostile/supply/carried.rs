//! What a plugin carries in its data: systems that its integrations could not choose.

use serde_json::Value;

use super::{Place, component};
use crate::support::host::Host;

#[test]
fn urls_in_a_component_are_found_wherever_they_stand_and_stay_where_a_person_says_so() {
    let mut place = Place::new();
    let host = Host::start(&place.workspace);
    let wide: String = "wss://feed.acme.example/".encode_utf16().flat_map(u16::to_le_bytes).map(|byte| format!("\\{byte:02x}")).collect();
    let memory = format!(
        "(memory 1) (data (i32.const 0) \"not foundhttps://api.acme.example/v1\\00http://www.w3.org/2001/XMLSchema\") (data \"{wide}\")"
    );
    place.with_hostile(&component(&memory));
    let told = place.refused_check();
    for part in [
        "LG-2023 integration hostile, sink: plugin hostile@1.0.0 holds what its integrations cannot choose: https://api.acme.example/v1, wss://feed.acme.example/",
        "known-urls = [\"https://api.acme.example/\"]",
        "integrations/hostile.toml:7:",
    ] {
        assert!(told.contains(part), "{part} is not in: {told}");
    }
    assert!(!told.contains("w3.org"), "{told}");
    let inspected = place.workspace.lockgate(&["inspect", "own/hostile@1.0.0.wasm", "--json"]);
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["urls"], serde_json::json!(["https://api.acme.example/v1", "wss://feed.acme.example/"]));
    place.rules("known-urls = [\"https://api.acme.example/\"]");
    assert!(place.refused_check().contains("cannot choose: wss://feed.acme.example/"), "each is known by itself");
    place.rules("known-urls = [\"https://api.acme.example/\", \"wss://feed.acme.example/\"]");
    place.checks();
    place.goes_on(&host);
}
