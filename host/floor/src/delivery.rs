//! Invoices out: each worker maps and sends one order after the other over a connection of its own.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::record::{self, Command, Delivery, INTEGRATION, Settled};
use crate::{Error, give_up};

/// Deals deliveries out to the workers in turn.
pub struct Dealer {
    queues: Vec<mpsc::UnboundedSender<Delivery>>,
    next: usize,
}

/// As many queues as there are workers. Bounded together, by what intake takes.
pub fn queues(workers: usize) -> (Dealer, Vec<mpsc::UnboundedReceiver<Delivery>>) {
    let (queues, receivers) = (0..workers.max(1)).map(|_| mpsc::unbounded_channel()).unzip();
    (Dealer { queues, next: 0 }, receivers)
}

impl Dealer {
    pub fn deal(&mut self, delivery: Delivery) {
        self.next = (self.next + 1) % self.queues.len();
        if let Some(queue) = self.queues.get(self.next) {
            // A worker that is gone has ended the program.
            drop(queue.send(delivery));
        }
    }
}

/// A worker.
pub fn spawn(queue: mpsc::UnboundedReceiver<Delivery>, target: SocketAddr, writer: mpsc::Sender<Command>) {
    tokio::spawn(async move {
        if let Err(error) = work(queue, target, writer).await {
            give_up("sending an invoice", &error);
        }
    });
}

async fn work(mut queue: mpsc::UnboundedReceiver<Delivery>, target: SocketAddr, writer: mpsc::Sender<Command>) -> Result<(), Error> {
    let mut connection = None;
    let host = target.to_string();
    while let Some(delivery) = queue.recv().await {
        let started_at = record::now();
        writer.send(Command::Start { delivery: delivery.place.delivery, at: started_at }).await?;
        let sender = match &mut connection {
            Some(sender) => sender,
            None => connection.insert(connect(target).await?),
        };
        let settled = deliver(sender, &host, delivery, started_at).await?;
        // Nobody waits for this commit: if it is lost the order is sent again, under the same key.
        writer.send(Command::Settle(Box::new(settled))).await?;
    }
    Ok(())
}

async fn connect(target: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn deliver(sender: &mut SendRequest<Full<Bytes>>, host: &str, delivery: Delivery, started_at: i64) -> Result<Settled, Error> {
    let invoice = invoice(&delivery.order.body)?;
    let key = idempotency_key(&delivery.order.id);
    let digest = hex::encode(Sha256::digest(&invoice));
    let request = Request::post("/invoices")
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", &key)
        .body(Full::from(invoice.clone()))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let answer = answer.into_body().collect().await?.to_bytes();
    if !status.is_success() {
        return Err(format!("the target answered {status}").into());
    }
    let ended_at = record::now();
    Ok(Settled {
        place: delivery.place,
        trace: trace(&key, &digest, status.as_u16(), ended_at - started_at),
        key: delivery.order.key,
        started_at,
        ended_at,
        receipt: format!("{{\"remote-id\":null,\"remote-version\":null,\"detail\":\"HTTP {}\"}}", status.as_u16()),
        sent: invoice,
        answer,
    })
}

/// The five fields: what the plugin does in its sandbox.
///
/// # Errors
/// If `order` is none.
pub fn invoice(order: &[u8]) -> Result<Bytes, Error> {
    let order: order_to_invoice::Order<'_> = serde_json::from_slice(order)?;
    let invoice = order.invoice().map_err(|failure| format!("{failure:?}"))?;
    Ok(serde_json::to_vec(&invoice)?.into())
}

/// The same for the same order, whenever it is sent.
fn idempotency_key(id: &[u8; 16]) -> String {
    let mut hash = Sha256::new();
    hash.update(INTEGRATION);
    hash.update(id);
    hex::encode(hash.finalize())
}

/// What the host's ledger has of an attempt: two calls and a request. What a sandbox takes is not measured, since there is none.
fn trace(key: &str, digest: &str, status: u16, took_ms: i64) -> String {
    format!(
        "{{\"calls\":[{{\"place\":\"step 1\",\"plugin\":\"order-to-invoice\",\"version\":\"1.0.0\",\"digest\":\"{NATIVE}\",\"result\":\"1 draft\",\
         \"cpu-us\":0,\"wall-us\":0,\"requests\":[]}},{{\"place\":\"sink\",\"plugin\":\"http-post\",\"version\":\"1.0.0\",\"digest\":\"{NATIVE}\",\
         \"result\":\"receipt\",\"cpu-us\":0,\"wall-us\":0,\"requests\":[{{\"slot\":\"target\",\"alias\":\"billing\",\"method\":\"POST\",\
         \"path\":\"/invoices\",\"idempotency-key\":\"{key}\",\"body-sha256\":\"{digest}\",\"answer\":\"{status}\",\"answer-excerpt\":null,\
         \"took-ms\":{took_ms}}}]}}]}}"
    )
}

/// Where the host names the component that was called.
const NATIVE: &str = "0000000000000000000000000000000000000000000000000000000000000000";
