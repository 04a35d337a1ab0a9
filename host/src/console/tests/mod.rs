//! The pages over real loopback sockets, beside the API they share a listener with.

mod access;
mod assets;

use crate::admin::tests::Host;
use crate::ingress::tests::support::Reply;

/// Somebody's browser.
struct Browser<'a> {
    host: &'a Host,
    cookie: String,
}

impl<'a> Browser<'a> {
    /// One that opened a link.
    async fn signed_in(host: &'a Host) -> Self {
        let reply = ask(host, "GET", &link(host), "", "").await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{reply:?}");
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { host, cookie }
    }

    async fn get(&self, path: &str) -> Reply {
        ask(self.host, "GET", path, &format!("cookie: {}\r\n", self.cookie), "").await
    }

    async fn post(&self, path: &str, headers: &str, form: &str) -> Reply {
        let headers = format!("cookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n{headers}", self.cookie);
        ask(self.host, "POST", path, &headers, form).await
    }

    /// What the forms of this session carry, read from a page as a browser does.
    async fn form_token(&self) -> String {
        let page = self.get("/").await.body;
        let (_, after) = page.split_once("name=\"form-token\" value=\"").unwrap_or_else(|| panic!("{page}"));
        after.split('"').next().unwrap().to_owned()
    }
}

/// The path of a link that was just made.
fn link(host: &Host) -> String {
    host.sessions.link().path()
}

async fn ask(host: &Host, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    host.send(format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    ))
    .await
}
