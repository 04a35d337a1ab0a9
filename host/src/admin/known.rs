//! Whether an integration that somebody asks for was ever here: a name that was mistyped is told, and not taken for one that has nothing.

use std::collections::BTreeSet;

use http::StatusCode;

use super::api::ApiParts;
use super::store_refusal::refusal;
use crate::config::reader::nearest;
use crate::ingress::answer::Refusal;
use crate::problem::Code;

/// Names listed where none is near.
const NAMES_MAX: usize = 5;

/// `name`, if one is given, is active, or was.
///
/// # Errors
/// 404 with the nearest name, or those there are.
pub(super) async fn integration(parts: &ApiParts, name: Option<&str>) -> Result<(), Refusal> {
    let Some(name) = name else { return Ok(()) };
    let routes = parts.intake.routes();
    if routes.integration(name).is_some() {
        return Ok(());
    }
    let mut known = parts.store.releases().integrations().await.map_err(|error| refusal(&error))?;
    if known.contains(name) {
        return Ok(());
    }
    known.extend(routes.integrations().map(|integration| integration.name.clone()));
    Err(Refusal::new(StatusCode::NOT_FOUND, Code::NotFound, format!("there is no integration {name}{}", there_is(name, &known))))
}

fn there_is(name: &str, known: &BTreeSet<String>) -> String {
    if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        return format!("; did you mean {near}?");
    }
    let listed: Vec<&str> = known.iter().take(NAMES_MAX).map(String::as_str).collect();
    match known.len().checked_sub(NAMES_MAX) {
        _ if listed.is_empty() => ", nor any other".to_owned(),
        None | Some(0) => format!("; there are: {}", listed.join(", ")),
        Some(more) => format!("; there are: {}, and {more} more", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_or_what_there_is() {
        let known = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(there_is("orders-to-cmr", &known(&["orders-to-crm", "orders-to-erp"])), "; did you mean orders-to-crm?");
        assert_eq!(there_is("x", &known(&["orders", "invoices"])), "; there are: invoices, orders");
        assert_eq!(there_is("x", &known(&["a1", "b1", "c1", "d1", "e1", "f1", "g1"])), "; there are: a1, b1, c1, d1, e1, and 2 more");
        assert_eq!(there_is("x", &known(&[])), ", nor any other");
    }
}
