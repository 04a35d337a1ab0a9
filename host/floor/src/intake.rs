//! Orders in: read, verified, handed to the writer, answered once they are on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hmac::{Hmac, Mac};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::record::{self, Accepted, Command, Order, PATH};
use crate::{Counts, Error, WAITING_MAX, give_up};

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
/// Headers that speak of the connection or prove an identity are not kept.
const DROPPED: [HeaderName; 7] = [AUTHORIZATION, COOKIE, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, SIGNATURE];

pub struct Intake {
    /// Keyed once, copied for every order.
    mac: Hmac<Sha256>,
    writer: mpsc::Sender<Command>,
    counts: Arc<Counts>,
}

/// What is read of an order before it is stored.
#[derive(Deserialize)]
struct Head<'a> {
    number: &'a str,
    customer: Customer,
}

#[derive(Deserialize)]
struct Customer {
    id: u64,
}

#[derive(Serialize)]
struct Tracked<'a> {
    name: &'a str,
    value: &'a str,
}

type Answer = Response<Full<Bytes>>;

impl Intake {
    pub fn new(secret: &str, writer: mpsc::Sender<Command>, counts: Arc<Counts>) -> Result<Self, Error> {
        Ok(Self { mac: Hmac::new_from_slice(secret.as_bytes())?, writer, counts })
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, hyper::Error> {
        if request.method() == Method::GET {
            return Ok(self.settled());
        }
        if request.uri().path() != PATH {
            return Ok(plain(StatusCode::NOT_FOUND));
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        if !self.verifies(&head.headers, &body) {
            return Ok(plain(StatusCode::UNAUTHORIZED));
        }
        let waiting = self.counts.accepted.load(Ordering::Relaxed).saturating_sub(self.counts.settled.load(Ordering::Relaxed));
        if waiting >= WAITING_MAX {
            return Ok(plain(StatusCode::SERVICE_UNAVAILABLE));
        }
        let Some(order) = order(&head.headers, body) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        Ok(self.take(order).await)
    }

    fn verifies(&self, headers: &HeaderMap, body: &[u8]) -> bool {
        let mut tag = [0; 32];
        let given = headers.get(SIGNATURE).is_some_and(|value| hex::decode_to_slice(value.as_bytes(), &mut tag).is_ok());
        let mut mac = self.mac.clone();
        mac.update(body);
        given && mac.verify_slice(&tag).is_ok()
    }

    async fn take(&self, order: Order) -> Answer {
        let id = order.id;
        let (reply, answer) = oneshot::channel();
        if self.writer.send(Command::Accept(Box::new(order), reply)).await.is_err() {
            return plain(StatusCode::SERVICE_UNAVAILABLE);
        }
        let (id, status) = match answer.await {
            Ok(Accepted::New) => (id, "accepted"),
            Ok(Accepted::Duplicate(first)) => (first, "duplicate"),
            Err(_) => return plain(StatusCode::SERVICE_UNAVAILABLE),
        };
        let body = format!("{{\"id\":\"{}\",\"status\":\"{status}\"}}", uuid::Uuid::from_bytes(id));
        let mut answer = Response::new(Full::from(body));
        *answer.status_mut() = StatusCode::ACCEPTED;
        answer.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
        answer
    }

    /// How many have been settled, for whoever measures.
    fn settled(&self) -> Answer {
        Response::new(Full::from(self.counts.settled.load(Ordering::Relaxed).to_string()))
    }
}

#[expect(clippy::disallowed_methods, reason = "an id as the host gives it, of the machine's own time and chance")]
fn order(headers: &HeaderMap, body: Bytes) -> Option<Order> {
    let head: Head<'_> = serde_json::from_slice(&body).ok()?;
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let kept = headers.iter().filter(|(name, _)| !DROPPED.contains(name)).map(|(name, value)| (name.as_str(), text(value)));
    Some(Order {
        id: uuid::Uuid::now_v7().into_bytes(),
        token: Sha256::digest(&body).into(),
        key: head.customer.id.to_string(),
        number: head.number.to_owned(),
        tracked: serde_json::to_string(&[Tracked { name: "order", value: head.number }]).ok()?,
        content_type: headers.get(CONTENT_TYPE).map(text)?,
        headers: serde_json::to_string(&kept.collect::<Vec<_>>()).ok()?,
        accepted_at: record::now(),
        body,
    })
}

fn plain(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// Connections, one task each.
pub async fn serve(listener: TcpListener, intake: Intake) {
    let intake = Arc::new(intake);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(connection(stream, intake.clone()))),
            Err(error) => give_up("accepting connections", &error),
        }
    }
}

async fn connection(stream: TcpStream, intake: Arc<Intake>) {
    // Only slower without.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let intake = intake.clone();
        async move { intake.answer(request).await }
    });
    // A sender that goes away is its own business.
    drop(hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await);
}
