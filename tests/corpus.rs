//! Real payloads and test vectors, where `LOCKGATE_CORPUS` names a folder with them.

use std::path::Path;

use serde_json::Value;

use crate::support::host::Host;
use crate::support::http::request;
use crate::support::shop::{accepted, post_body};
use crate::support::shop_to_crm::{Outside, workspace};
use crate::support::workspace::Workspace;
use crate::support::{corpus, eventually};

/// The orders among the payloads in `folder`, each with a customer: the example orders by that.
pub fn shopify_orders(folder: &Path) -> Vec<Value> {
    let mut orders = Vec::new();
    for file in ["order.json", "order_with_properties.json", "orders.json"] {
        let text = std::fs::read_to_string(folder.join("payloads/shopify").join(file)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        match (&value["order"], value["orders"].as_array()) {
            (_, Some(list)) => orders.extend(list.iter().cloned()),
            (Value::Null, None) => orders.push(value),
            (order, None) => orders.push(order.clone()),
        }
    }
    for order in &mut orders {
        // Some of the fixtures are of orders without a customer; the example orders by the customer.
        if order["customer"]["id"].is_null() {
            order["customer"] =
                serde_json::json!({"id": 207_119_551, "email": "bob.norman@hostmail.com", "first_name": "Bob", "last_name": "Norman"});
        }
    }
    orders
}

#[test]
fn shopify_orders_go_through_the_example() {
    let Some(folder) = corpus("shopify_orders_go_through_the_example") else { return };
    let outside = Outside::start();
    let workspace = workspace(&outside);
    let host = Host::start(&workspace);
    let orders = shopify_orders(&folder);
    assert!(orders.len() >= 3);
    let mut ids = Vec::new();
    for (number, order) in orders.iter().enumerate() {
        ids.push(accepted(&post_body(&host.ingress, &format!("evt-{number}"), order.to_string().as_bytes()).unwrap()));
    }
    // Every one has an outcome that is told; none is lost on the way, none is stuck.
    for (id, order) in ids.iter().zip(&orders) {
        let message = eventually("the order has an outcome", || {
            let message = host.api(&format!("/api/v1/messages/{id}"));
            message["outcomes"].as_array().is_some_and(|outcomes| !outcomes.is_empty()).then_some(message)
        });
        println!("{}: {}", order["name"], message["outcomes"][0]);
        let letters = message["dead-letters"].as_array().unwrap();
        assert!(letters.is_empty(), "{} is dead-lettered: {letters:#?}", order["name"]);
    }
}

/// A workspace that takes any body on `/in` and keeps it in a channel that an audit service reads.
fn raw_workspace(outside: &Outside) -> Workspace {
    let base = workspace(outside);
    for name in ["shop-orders", "orders-to-crm", "orders-to-audit"] {
        std::fs::remove_file(base.path().join(format!("integrations/{name}.toml"))).unwrap();
    }
    base.write(
        "integrations/raw.toml",
        "[integration]\ndescription = \"Bytes as they come\"\nowner = { team = \"x\", contact = \"x@acme.example\" }\n\
         [[source]]\nwebhook = { path = \"/in\", verify = \"none\" }\nid = [\"header:x-id\"]\n\
         [sink]\nplugin = \"http-post@1\"\nconfig = { path = \"/orders\" }\nbind = { target = \"audit\" }\n",
    );
    base
}

#[test]
fn bytes_are_stored_and_sent_as_they_came_whatever_json_makes_of_them() {
    let Some(folder) = corpus("bytes_are_stored_and_sent_as_they_came_whatever_json_makes_of_them") else { return };
    let outside = Outside::start();
    let workspace = raw_workspace(&outside);
    let host = Host::start(&workspace);
    let mut sent = Vec::new();
    for entry in std::fs::read_dir(folder.join("testsuites/json-parsing")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "json") {
            let body = std::fs::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let headers = [("content-type", "application/json"), ("x-id", name.as_str())];
            let answer = request("POST", &format!("{}/in", host.ingress), &headers, body.clone()).unwrap();
            assert_eq!(answer.status, 202, "{name}: {:?}", answer.body);
            sent.push(body);
        }
    }
    assert!(sent.len() > 300, "{} cases", sent.len());
    eventually("all have arrived", || (outside.audit.kept().bodies.len() == sent.len()).then_some(()));
    let mut arrived: Vec<Vec<u8>> = outside.audit.kept().bodies.iter().map(|(_, body)| body.to_vec()).collect();
    arrived.sort();
    sent.sort();
    assert!(arrived == sent, "bytes were changed on the way");
}

#[test]
fn naughty_strings_survive_the_way() {
    let Some(folder) = corpus("naughty_strings_survive_the_way") else { return };
    let outside = Outside::start();
    let workspace = raw_workspace(&outside);
    let host = Host::start(&workspace);
    let strings = std::fs::read(folder.join("testsuites/blns.json")).unwrap();
    let headers = [("content-type", "application/json")];
    let answer = request("POST", &format!("{}/in", host.ingress), &headers, strings.clone()).unwrap();
    assert_eq!(answer.status, 202);
    eventually("they have arrived", || outside.audit.kept().bodies.first().map(|(_, body)| assert!(*body == strings)));
}
