//! Requests that went out under a key a request before them had, with another body: a target that honours `Idempotency-Key` takes
//! them for the first one, and never sees what changed.
//!
//! Reads of a trace (see `delivery::trace`) what it needs: the key and the digest of each request.

use std::collections::HashMap;

use serde_json::Value;

/// Marks them with `other-body` in `traces`, which are in the order in which they were made.
pub(super) fn mark<'a>(traces: impl Iterator<Item = &'a mut Value>) {
    let mut bodies = HashMap::new();
    for request in traces.flat_map(requests_mut) {
        let Some((key, body)) = sent(request) else { continue };
        if bodies.entry(key).or_insert_with(|| body.clone()) != &body {
            request["other-body"] = Value::Bool(true);
        }
    }
}

/// Whether `later` sent another body under a key of `earlier`; both are traces as JSON.
pub(super) fn differ(earlier: &str, later: &str) -> bool {
    let read = |trace: &str| serde_json::from_str::<Value>(trace).unwrap_or_default();
    let (mut earlier, mut later) = (read(earlier), read(later));
    // A call may use a key twice: what it sends under it is the same, in all, as long as all of it is.
    let mut bodies: HashMap<String, Vec<String>> = HashMap::new();
    for (key, body) in requests_mut(&mut earlier).filter_map(|request| sent(request)) {
        bodies.entry(key).or_default().push(body);
    }
    requests_mut(&mut later)
        .filter_map(|request| sent(request))
        .any(|(key, body)| bodies.get(&key).is_some_and(|sent| !sent.contains(&body)))
}

fn requests_mut(trace: &mut Value) -> impl Iterator<Item = &mut Value> {
    let calls = trace["calls"].as_array_mut().into_iter().flatten();
    calls.flat_map(|call| call["requests"].as_array_mut().into_iter().flatten())
}

fn sent(request: &Value) -> Option<(String, String)> {
    Some((request["idempotency-key"].as_str()?.to_owned(), request["body-sha256"].as_str()?.to_owned()))
}
