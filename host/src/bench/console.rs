//! `console-page`: how long a person waits for a page of the console with a million messages stored and a thousand integrations loaded, the
//! slowest of all pages. Searches are those that an index leads to and those that nothing leads to, with many answers and with none.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use super::figures::{Row, median, readable};
use super::orders::{customer, order_number};
use super::past::Past;
use super::room::Room;
use super::stopwatch;
use super::subject::{Subject, address};
use super::wire::Wire;
use super::workspace::Flow;
use crate::admin::token;
use crate::app::running;
use crate::problem::{Code, Problem};

/// Longer than this, and a person notices.
const MOST_MS: f64 = 100.0;
/// How often each page is loaded, for each round of other rows.
const VISITS: usize = 4;
/// The console shows the same look at everything for less than this; after it, the next page has to take another.
const OVERVIEW_LASTS: Duration = Duration::from_secs(1);

/// `console-page`.
pub async fn page(room: &Room<'_>) -> Result<Row, Problem> {
    let flows: Vec<Flow> = Flow::many(room.size.integrations, 0).into_iter().chain([Flow::parked()]).collect();
    let folder = room.workspace("console", &flows)?;
    let past = Past { flows: &flows, count: room.size.stored };
    past.write(&folder.join("data"), &|text| room.say(text)).await?;
    let _host = Subject::lockgate(&folder).await?;
    let reader = Reader::signed_in(&folder.join("data")).await?;
    let mut pages = pages(&reader, &past).await?;
    for _ in 0..room.size.rounds * VISITS {
        for page in &mut pages {
            page.visit(&reader).await?;
        }
    }
    for page in &pages {
        room.say(format!("{}: {} ms, at most {} ms, {:.0} KiB", page.name, readable(page.p50()), readable(page.most()), page.kib));
    }
    let slowest = pages.iter().max_by(|one, other| one.p50().total_cmp(&other.p50()));
    let (name, p50) = slowest.map_or(("none", f64::NAN), |page| (page.name, page.p50()));
    let most = pages.iter().map(Page::most).fold(0.0, f64::max);
    let note = format!(
        "the slowest of {} pages, {name}, with {} messages stored and {} integrations; the longest wait of all was {} ms",
        pages.len(),
        past.count,
        flows.len(),
        readable(most)
    );
    Ok(Row::at_most("console-page", "ms", [p50, MOST_MS], 1.0, note))
}

/// A page and how long it took each time.
struct Page {
    name: &'static str,
    path: String,
    /// It is to take a look at everything for itself, and not to find one that was just taken.
    shows_overview: bool,
    took_ms: Vec<f64>,
    kib: f64,
}

impl Page {
    async fn visit(&mut self, reader: &Reader) -> Result<(), Problem> {
        if self.shows_overview {
            stopwatch::sleep(OVERVIEW_LASTS).await;
        }
        let started = stopwatch::now();
        let shown = reader.page(&self.path).await?;
        self.took_ms.push(started.elapsed().as_secs_f64() * 1e3);
        self.kib = shown.len() as f64 / 1024.0;
        Ok(())
    }

    fn p50(&self) -> f64 {
        median(self.took_ms.iter().copied())
    }

    fn most(&self) -> f64 {
        self.took_ms.iter().copied().fold(0.0, f64::max)
    }
}

/// All kinds of pages. A message, a dead letter and a cause are those that the lists lead to first.
async fn pages(reader: &Reader, past: &Past<'_>) -> Result<Vec<Page>, Problem> {
    let (middle, one) = (past.count / 2, past.one_with_dead_letters());
    let first = |path: &'static str, to: &'static str| async move { link(&reader.page(path).await?, to) };
    let delivered = first("/messages?outcome=delivered", "/messages/").await?;
    let large = first("/messages?find=large", "/messages/").await?;
    let cause = first("/dead-letters", "/dead-letters/").await?;
    let id = delivered.trim_start_matches("/messages/");
    let overviews = [
        ("overview", "/".to_owned()),
        ("overview, last page", "/?page=20".to_owned()),
        ("one integration", format!("/integrations/{one}")),
        ("aliases", "/aliases".to_owned()),
        ("one alias", "/aliases/billing".to_owned()),
    ];
    let others = [
        ("messages", "/messages".to_owned()),
        ("messages, from the middle", format!("/messages?before={middle}")),
        ("messages, by an id's beginning", format!("/messages?find={}", id.get(..18).unwrap_or(id))),
        ("messages, by key", format!("/messages?find={}", customer(middle))),
        ("messages, by tracked value", format!("/messages?find=order%3D{}", order_number(middle))),
        ("messages, by outcome", "/messages?outcome=dead-lettered".to_owned()),
        ("messages, by outcome of one integration", format!("/messages?integration={one}&outcome=dead-lettered")),
        ("messages, an hour", "/messages?since=12h&until=11h".to_owned()),
        ("messages, an hour of one integration", format!("/messages?since=12h&until=11h&integration={one}")),
        ("messages, nothing fits", "/messages?find=nobody".to_owned()),
        ("messages, no outcome fits", "/messages?outcome=discarded".to_owned()),
        ("messages, all fit", "/messages?find=channel%3Dweb".to_owned()),
        ("messages, all fit in all ways", "/messages?find=channel%3Dweb&outcome=delivered&since=25h".to_owned()),
        // Dead letters are all odd ones: two long lists that have nothing in common.
        ("messages, nothing leads", "/messages?find=half%3Deven&outcome=dead-lettered".to_owned()),
        ("a message", delivered.clone()),
        ("a message of 4 MiB", large),
        ("dead letters", "/dead-letters".to_owned()),
        ("dead letters, of a class", "/dead-letters?class=trapped".to_owned()),
        ("one cause", cause),
    ];
    let page = |shows_overview: bool| move |(name, path)| Page { name, path, shows_overview, took_ms: Vec::new(), kib: 0.0 };
    Ok(overviews.into_iter().map(page(true)).chain(others.into_iter().map(page(false))).collect())
}

/// The first address in `page` that begins with `to` and goes on.
fn link(page: &str, to: &str) -> Result<String, Problem> {
    let mut links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let found = links.find(|link| link.len() > to.len() && link.starts_with(to));
    found.map(str::to_owned).ok_or_else(|| failed(format!("a page has no link to {to}")))
}

/// Somebody who is signed in.
struct Reader {
    admin: SocketAddr,
    cookie: String,
}

impl Reader {
    async fn signed_in(data: &Path) -> Result<Self, Problem> {
        let running = running::read(data).ok_or_else(|| failed("the host runs nowhere"))?;
        let admin = address(&running.admin)?;
        let token = token::load(data)?.ok_or_else(|| failed("the host has no token"))?;
        let bearer = format!("Authorization: Bearer {}\r\nContent-Length: 0\r\n", String::from_utf8_lossy(token.expose()));
        let link = Wire::ask(admin, "POST", "/api/v1/console-links", &bearer).await.and_then(|answer| {
            let answer: serde_json::Value = serde_json::from_str(&answer.body).ok()?;
            Some(answer["path"].as_str()?.to_owned())
        });
        let link = link.ok_or_else(|| failed("the host gives no link into the console"))?;
        let opened = Wire::ask(admin, "GET", &link, "").await.ok_or_else(|| failed("the console does not open"))?;
        let cookie = opened.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next());
        let cookie = cookie.ok_or_else(|| failed("the console gives no session"))?.to_owned();
        Ok(Self { admin, cookie })
    }

    /// All of a page.
    async fn page(&self, path: &str) -> Result<String, Problem> {
        let answer = Wire::ask(self.admin, "GET", path, &format!("Cookie: {}\r\n", self.cookie)).await;
        match answer {
            Some(answer) if answer.status == Some(200) => Ok(answer.body),
            Some(answer) => Err(failed(format!("{path} was answered {:?}", answer.status))),
            None => Err(failed(format!("{path} was not answered"))),
        }
    }
}

fn failed(what: impl Into<String>) -> Problem {
    Problem::new(Code::BenchFailed, what).fix("run it again; if it stays so, report it")
}
