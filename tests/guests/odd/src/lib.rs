//! A guest that does the one odd thing that the message's body names, so that each of the host's limits has something to
//! stop. Built for `wasm32-wasip2` by the host's own tests.

#![cfg(target_family = "wasm")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({ path: "../../../wit/lockgate-plugin-0.1.0", world: "connector" });

use exports::lockgate::plugin::{batch_sink, sink, source, transformer};
use lockgate::plugin::types::{Context, Delivered, Draft, Failure, Message, PermanentFailure, Receipt, Skip, TransientFailure};
use lockgate::plugin::{config, http, key_value, log, queue};

struct Odd;

export!(Odd);

impl transformer::Guest for Odd {
    fn transform(message: Message, context: Context) -> Result<transformer::Output, Failure> {
        let text = String::from_utf8_lossy(&message.body).into_owned();
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let size = || rest.parse::<usize>().unwrap_or(0);
        match word {
            "echo" => return Ok(transformer::Output::Drafts(vec![draft(message.body)])),
            "tally" => return tally(rest),
            "skip" => return Ok(transformer::Output::Skip(Skip { code: "odd".into(), detail: rest.into() })),
            "transient" => {
                return Err(Failure::Transient(TransientFailure { code: "busy".into(), detail: rest.into(), retry_after: Some(250) }));
            }
            "permanent" => return Err(Failure::Permanent(PermanentFailure { code: "bad".into(), detail: rest.into() })),
            "big-output" => return Ok(transformer::Output::Drafts(vec![draft(vec![b'x'; size()])])),
            "many-outputs" => return Ok(transformer::Output::Drafts((0..size()).map(|_| draft(Vec::new())).collect())),
            _ => {}
        }
        let said = match word {
            "context" => format!("{} {} {} {}", context.attempt, context.replay, message.received_at, message.key.unwrap_or_default()),
            "loop" => spin(),
            "loop-in-steps" => spin_between_host_calls(),
            "bloat" => bloat(),
            "trap" => panic!("odd on purpose: {rest}"),
            "exit" => std::process::exit(3),
            "recurse" => recurse(1).to_string(),
            "random" => random(),
            "clock" => clock(),
            "sleep" => sleep(rest.parse().unwrap_or(0)),
            "environment" => environment(),
            "log" => flood(size()),
            "print" => print(size()),
            "host-calls" => host_calls(size()),
            "config" => config::get(),
            "kv" => kv(),
            "increment" => format!("{:?}", key_value::increment(rest, 1)),
            "queue" => format!("{:?}", send_to(rest)),
            "http" => get(rest, 1),
            "http-many" => get("target", size()),
            other => format!("unknown word {other}"),
        };
        Ok(transformer::Output::Drafts(vec![draft(said.into_bytes())]))
    }
}

impl sink::Guest for Odd {
    fn deliver(message: Message, _context: Context) -> Result<Delivered, Failure> {
        let request = http::Request {
            method: "POST".into(),
            path: "/records".into(),
            headers: Vec::new(),
            body: message.body,
            label: None,
            timeout_ms: None,
        };
        match http::send("target", &request) {
            Ok(response) => Ok(Delivered::Receipt(Receipt {
                remote_id: Some(response.status.to_string()),
                remote_version: None,
                detail: String::from_utf8(response.body).ok(),
            })),
            Err(error) => {
                Err(Failure::Transient(TransientFailure { code: "not-sent".into(), detail: format!("{error:?}"), retry_after: None }))
            }
        }
    }
}

/// Does with each message what its body says.
impl batch_sink::Guest for Odd {
    fn deliver_batch(messages: Vec<Message>, context: Context) -> Vec<Result<Delivered, Failure>> {
        let results = messages.into_iter().map(|message| match message.body.as_slice() {
            b"trap" => panic!("odd on purpose"),
            b"skip" => Ok(Delivered::Skip(Skip { code: "odd".into(), detail: String::new() })),
            b"permanent" => Err(Failure::Permanent(PermanentFailure { code: "bad".into(), detail: String::new() })),
            _ => {
                let detail = Some(format!("{} {} {}", message.key.unwrap_or_default(), context.attempt, context.replay));
                Ok(Delivered::Receipt(Receipt { remote_id: Some(message.id), remote_version: None, detail }))
            }
        });
        results.collect()
    }
}

/// Asks its target, which answers with lines: the next cursor, `more` or `end`, then `id key body` for each item.
impl source::Guest for Odd {
    fn poll(cursor: Option<String>) -> Result<source::Page, Failure> {
        let request = http::Request {
            method: "GET".into(),
            path: format!("/changes?since={}", cursor.unwrap_or_default()),
            headers: Vec::new(),
            body: Vec::new(),
            label: None,
            timeout_ms: None,
        };
        let transient = |detail| Failure::Transient(TransientFailure { code: "not-fetched".into(), detail, retry_after: None });
        let answer = http::send("target", &request).map_err(|error| transient(format!("{error:?}")))?;
        if answer.status != 200 {
            return Err(transient(answer.status.to_string()));
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let mut lines = text.lines();
        let (cursor, more) = (lines.next().unwrap_or_default().to_owned(), lines.next() == Some("more"));
        let item = |line: &str| {
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            let mut part = || parts.next().unwrap_or_default();
            source::Item { id: part(), key: Some(part()), draft: draft(part().into_bytes()) }
        };
        Ok(source::Page { items: lines.map(item).collect(), cursor, more })
    }
}

/// `KEY NUMBER PARTS` counts one more of KEY and gives so many parts, `KEY NUMBER 0` and on; none of them is a failure for good.
fn tally(rest: &str) -> Result<transformer::Output, Failure> {
    let (of, parts) = rest.rsplit_once(' ').unwrap_or((rest, ""));
    let (key, _) = of.split_once(' ').unwrap_or((of, ""));
    if let Err(error) = key_value::increment(key, 1) {
        return Err(Failure::Permanent(PermanentFailure { code: "not-counted".into(), detail: format!("{error:?}") }));
    }
    let drafts: Vec<_> = (0..parts.parse::<usize>().unwrap_or(0)).map(|part| draft(format!("{of} {part}").into_bytes())).collect();
    if drafts.is_empty() {
        return Err(Failure::Permanent(PermanentFailure { code: "poison".into(), detail: of.into() }));
    }
    Ok(transformer::Output::Drafts(drafts))
}

fn draft(body: Vec<u8>) -> Draft {
    Draft { content_type: "text/plain".into(), headers: Vec::new(), body, tracked: Vec::new() }
}

fn spin() -> String {
    let mut n = 1_u64;
    loop {
        n = std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        if n == 0 {
            return "never".into();
        }
    }
}

fn spin_between_host_calls() -> String {
    loop {
        for n in 0..100_000_u64 {
            std::hint::black_box(n);
        }
        let _ = key_value::get("k");
    }
}

fn bloat() -> String {
    let mut kept = Vec::new();
    loop {
        kept.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn recurse(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 32]);
    recurse(n + 1) + frame[7]
}

fn random() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{} {}", RandomState::new().hash_one(1), RandomState::new().hash_one(2))
}

fn clock() -> String {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = Instant::now();
    let passed = Instant::now() - first;
    format!("{} {}", wall.as_millis(), passed.as_millis())
}

fn sleep(ms: u64) -> String {
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(ms));
    format!("{}", before.elapsed().as_millis())
}

fn environment() -> String {
    let folders = std::fs::read_dir("/").map(|entries| entries.count()).map_err(|error| error.kind());
    format!("{:?} {:?} {folders:?}", std::env::vars().collect::<Vec<_>>(), std::env::args().collect::<Vec<_>>())
}

fn flood(lines: usize) -> String {
    for line in 0..lines {
        let field = log::Field { name: "line".into(), value: line.to_string() };
        log::write(log::Level::Info, "a line of a flood, about forty bytes long", &[field]);
    }
    "flooded".into()
}

fn print(lines: usize) -> String {
    for line in 0..lines {
        println!("printed line {line}");
    }
    "printed".into()
}

fn host_calls(count: usize) -> String {
    for _ in 0..count {
        std::hint::black_box(config::get());
    }
    "called".into()
}

fn kv() -> String {
    let set = key_value::set("a", b"1", None);
    let read = key_value::get("a");
    let swapped = key_value::compare_and_swap("a", Some(b"1"), b"41");
    let sum = key_value::increment("a", 1);
    let page = key_value::list("", None, 10);
    let deleted = key_value::delete("gone");
    format!("{set:?} {read:?} {swapped:?} {sum:?} {:?} {deleted:?}", page.map(|page| page.keys))
}

fn send_to(channel: &str) -> Result<(), queue::QueueError> {
    let options = queue::Options { delay_ms: Some(5), dedup_token: Some("once".into()) };
    queue::send(channel, &draft(b"queued".to_vec()), &options)
}

fn get(slot: &str, count: usize) -> String {
    let request = http::Request {
        method: "GET".into(),
        path: "/things".into(),
        headers: Vec::new(),
        body: Vec::new(),
        label: None,
        timeout_ms: None,
    };
    let answers = http::send_all(slot, &vec![request; count]);
    let words: Vec<_> = answers
        .into_iter()
        .map(|answer| match answer {
            Ok(response) => response.status.to_string(),
            Err(error) => format!("{error:?}"),
        })
        .collect();
    words.join("\n")
}
