//! The flow that hosts are killed in: a webhook whose step counts each message and makes one message of it, or three, or fails for good;
//! a channel; and two readers of it, one for each receiver outside.

use std::net::SocketAddr;

use lockgate::message_store::sqlite::DATABASE_FILE;
use rusqlite::Connection;

use super::item::sent;
use crate::support::build::{odd_guest, plugin_files};
use crate::support::workspace::Workspace;

pub const INTAKE: &str = "intake";
pub const TO_CAREFUL: &str = "to-careful";
pub const TO_CARELESS: &str = "to-careless";

/// A workspace with the flow, for receivers at `outside`.
pub fn workspace(outside: SocketAddr) -> Workspace {
    let workspace = Workspace::empty();
    let folder = workspace.path().join("own");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(odd_guest(), folder.join("odd@1.0.0.wasm")).unwrap();
    workspace.write("lockgate.toml", &format!("[plugins]\npaths = [\"own\", {:?}]\n", plugin_files().display().to_string()));
    workspace.write("careful.secret", "secret");
    workspace.write("environments/test.toml", &environment(outside));
    describe(&workspace, "0");
    workspace
}

/// Writes the integrations with another description, so that all three have another release.
pub fn describe(workspace: &Workspace, description: &str) {
    let write = |name: &str, rest: &str| {
        let head = format!("[integration]\ndescription = \"{description}\"\nowner = {{ team = \"t\", contact = \"c\" }}\n");
        workspace.write(
            &format!("integrations/{name}.toml"),
            &format!("{head}{rest}\n[delivery]\nbackoff = {{ base = \"10ms\", cap = \"100ms\" }}\n"),
        );
    };
    write(
        INTAKE,
        "[[source]]\nwebhook = { path = \"/orders\", verify = \"none\" }\nid = [\"header:X-Id\"]\nkey = \"header:X-Key\"\n\
         [[step]]\nplugin = \"odd@1\"\ngrant = [\"key-value\", \"queue\"]\nbind = { target = \"careless\" }\n\
         [sink]\nchannel = \"orders\"",
    );
    for (name, alias) in [(TO_CAREFUL, "careful"), (TO_CARELESS, "careless")] {
        let sink = format!("[sink]\nplugin = \"http-post@1\"\nconfig = {{ path = \"/orders\" }}\nbind = {{ target = \"{alias}\" }}");
        write(name, &format!("[[source]]\nchannel = \"orders\"\n{sink}"));
    }
}

/// What the first version of Lockgate would have left of messages `1..=last` of `key`: accepted, and nothing done. Gives their ids.
pub fn leave_as_version_1(workspace: &Workspace, key: &str, last: u64) -> Vec<String> {
    std::fs::create_dir_all(workspace.data()).unwrap();
    let database = Connection::open(workspace.data().join(DATABASE_FILE)).unwrap();
    database.execute_batch(include_str!("../../host/src/message_store/sqlite/version_1.sql")).unwrap();
    database.pragma_update(None, "user_version", 1).unwrap();
    let mut message = database
        .prepare(
            "INSERT INTO message (id, key, content_type, headers, tracked, origin, accepted_at, body)
             VALUES (randomblob(16), ?1, 'text/plain', '[]', '[]', 'webhook /orders', ?2, CAST(?3 AS BLOB)) RETURNING seq, hex(id)",
        )
        .unwrap();
    let mut ids = Vec::new();
    for number in 1..=last {
        let (seq, id): (i64, String) =
            message.query_row((key, number.cast_signed(), sent(key, number)), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let state = if number == 1 { "ready" } else { "behind" };
        database
            .execute(
                "INSERT INTO delivery (integration, message, stage, lane, origin, state, due_at) VALUES (?1, ?2, 'steps', ?3, ?2, ?4, 0)",
                (INTAKE, seq, key, state),
            )
            .unwrap();
        database.execute("INSERT INTO standing (message, integration, state) VALUES (?1, ?2, 'waiting')", (seq, INTAKE)).unwrap();
        ids.push(id);
    }
    ids
}

fn environment(outside: SocketAddr) -> String {
    format!(
        "[alias.careful]\nurl = \"http://{outside}/careful\"\nnetwork = [\"127.0.0.0/8\"]\n\
         auth = {{ oauth2-client-credentials = {{ token-url = \"http://{outside}/token\", client-id = \"c\", client-secret = {{ file = \"careful.secret\" }} }} }}\n\
         [alias.careless]\nurl = \"http://{outside}/careless\"\nnetwork = [\"127.0.0.0/8\"]\n"
    )
}
