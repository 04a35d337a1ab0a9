//! `{{name}}`: fetches the orders that changed since the last poll.

use lockgate_sdk::{Draft, Failure, Field, Item, Page, Source, http};
use serde::Deserialize;
use serde_json::Value;

/// The plugin.
#[derive(Debug)]
pub struct Plugin;

/// The poll's configuration; plugin.toml describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "orders")]
    path: String,
}

fn orders() -> String {
    "/orders".into()
}

/// Asked for at once; a full page means that there is more.
const LIMIT: usize = 100;

impl Source for Plugin {
    fn poll(cursor: Option<String>) -> Result<Page, Failure> {
        let config: Config = lockgate_sdk::config()?;
        // The cursor is the plugin's own to read: the change it has seen last. It is kept together with the page, or not at all.
        let since = cursor.unwrap_or_else(|| "0".into());
        let path = format!("{}?after={since}&limit={LIMIT}", config.path);
        let orders: Vec<Value> = http::Request::get(path).send("shop")?.success()?.json()?;
        let items = orders.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        // An empty page leaves the cursor where it is.
        let cursor = items.last().map_or(since, |item| item.id.clone());
        Ok(Page {
            more: items.len() == LIMIT,
            items,
            cursor,
        })
    }
}

/// `change` counts all changes of the shop, so that an order that changes again is a new message; changes of one order stay in order.
fn item(order: &Value) -> Result<Item, Failure> {
    let (change, number) = (
        Field::root(order).at("change"),
        Field::root(order).at("number"),
    );
    let id = change.required(change.digits()?)?;
    Ok(Item {
        id,
        key: number.text()?.map(str::to_owned),
        draft: Draft::json(order)?,
    })
}

lockgate_sdk::export_source!(Plugin);
