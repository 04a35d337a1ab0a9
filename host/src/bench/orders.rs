//! The orders that are sent: [`Orders`] makes them before the clock runs, each with a number of its own and a valid signature.
//!
//! An order is a template with places for what differs: its number, its customer, its signature, and its path where there are several. Only
//! signatures take time to make, so only they are kept: 64 bytes an order.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::workspace::numbered;
use crate::problem::{Code, Problem};

/// Stands before an order's number, in the order and wherever a mapping puts it: by it the target recognises what arrived.
pub const MARK: &[u8] = b"LGB-";
/// Digits behind the mark.
pub const DIGITS: usize = 10;
/// Digits of a path's number.
const PATH_DIGITS: usize = 4;
/// Orders come from so many customers in turn: few enough to come back, enough to seldom have two on their way at once.
const CUSTOMERS: u64 = 100_000;
const FIRST_CUSTOMER: u64 = 7_300_000_000;

/// An order: 313 bytes of JSON.
pub const BODY: &str = r#"{"number":"LGB-0000000000","placed_at":"2026-03-14T09:26:53+01:00","channel":"web","customer":{"id":7300000000,"name":"Zoe van Dijk","email":"zoe@canal.example"},"currency":"EUR","total":64.85,"lines":[{"sku":"LAMP-BRASS","quantity":2,"price":29.95},{"sku":"SHIPPING","quantity":1,"price":4.95}],"note":null}"#;
const NO_SIGNATURE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Where orders are sent to, in turn.
pub struct Paths {
    first: String,
    /// Of one path no part differs.
    count: usize,
}

impl Paths {
    pub fn one(path: &str) -> Self {
        Self { first: path.to_owned(), count: 1 }
    }

    /// `path/0000`, `path/0001` …
    pub fn many(path: &str, count: usize) -> Self {
        Self { first: numbered(path, 0), count: count.max(1) }
    }
}

/// Orders for one listener.
pub struct Orders {
    mac: Hmac<Sha256>,
    request: Vec<u8>,
    /// Where the number of the path ends.
    path_end: usize,
    paths: u64,
    number: usize,
    customer: usize,
    signature: usize,
    body: usize,
}

/// Orders that are ready to be sent, numbered without a gap.
pub struct Batch {
    pub first: u64,
    signatures: Vec<[u8; 64]>,
}

impl Orders {
    /// Orders to `host` and `paths`, signed with `secret` in `X-Signature`; `headers` are sent along.
    pub fn new(host: &str, paths: &Paths, headers: &[(String, String)], secret: &str) -> Result<Self, Problem> {
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let start = format!("POST {}", paths.first);
        let head = format!(
            "{start} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n{more}X-Signature: {NO_SIGNATURE}\r\nContent-Length: {}\r\n\r\n",
            BODY.len()
        );
        let place = |text: &str, within: &str| within.find(text).map_or(0, |at| at + text.len());
        let mac = Hmac::new_from_slice(secret.as_bytes())
            .map_err(|error| Problem::new(Code::BenchFailed, format!("orders cannot be signed: {error}")).fix("take another secret"))?;
        let body = head.len();
        Ok(Self {
            mac,
            path_end: start.len(),
            paths: paths.count as u64,
            number: body + place("LGB-", BODY),
            customer: body + place("\"customer\":{\"id\":", BODY),
            signature: place("X-Signature: ", &head),
            request: [head, BODY.to_owned()].concat().into(),
            body,
        })
    }

    /// Signs `count` orders from the number `first` on.
    pub fn sign(&self, first: u64, count: usize) -> Batch {
        let mut request = self.request.clone();
        let numbers = (first..).take(count);
        Batch { first, signatures: numbers.map(|number| self.signature_of(&mut request, number)).collect() }
    }

    /// A request to write orders into.
    pub fn blank(&self) -> Vec<u8> {
        self.request.clone()
    }

    /// Makes `request` the `index`-th order of `batch`.
    pub fn write(&self, request: &mut [u8], batch: &Batch, index: usize) {
        let number = batch.first + index as u64;
        self.write_body(request, number);
        if self.paths > 1 {
            write_digits(request, self.path_end - PATH_DIGITS, PATH_DIGITS, number % self.paths);
        }
        if let (Some(place), Some(signature)) = (request.get_mut(self.signature..self.signature + 64), batch.signatures.get(index)) {
            place.copy_from_slice(signature);
        }
    }

    fn signature_of(&self, request: &mut [u8], number: u64) -> [u8; 64] {
        self.write_body(request, number);
        let mut mac = self.mac.clone();
        mac.update(request.get(self.body..).unwrap_or_default());
        let mut signature = [0; 64];
        // 32 bytes are 64 digits.
        let _ = hex::encode_to_slice(mac.finalize().into_bytes(), &mut signature);
        signature
    }

    fn write_body(&self, request: &mut [u8], number: u64) {
        write_digits(request, self.number, DIGITS, number);
        write_digits(request, self.customer, DIGITS, customer(number));
    }
}

impl Batch {
    pub fn len(&self) -> usize {
        self.signatures.len()
    }
}

/// The body of the order `number`.
pub fn body(number: u64) -> Vec<u8> {
    BODY.replace("LGB-0000000000", &order_number(number)).replace("7300000000", &customer(number).to_string()).into()
}

/// What the order `number` is called.
pub fn order_number(number: u64) -> String {
    format!("LGB-{number:010}")
}

/// Who has sent the order `number`.
pub fn customer(number: u64) -> u64 {
    FIRST_CUSTOMER + number % CUSTOMERS
}

fn write_digits(request: &mut [u8], at: usize, digits: usize, mut number: u64) {
    for digit in request.get_mut(at..at + digits).unwrap_or_default().iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

/// The number of the order that `body` speaks of.
pub fn number_in(body: &[u8]) -> Option<u64> {
    let at = body.windows(MARK.len()).position(|window| window == MARK)? + MARK.len();
    std::str::from_utf8(body.get(at..at + DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order 42, as head and body.
    fn order_42(paths: &Paths) -> (String, String) {
        let orders = Orders::new("127.0.0.1:1", paths, &[("X-More".into(), "1".into())], "secret").unwrap();
        let batch = orders.sign(41, 2);
        let mut request = orders.blank();
        orders.write(&mut request, &batch, 1);
        let text = String::from_utf8(request).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    #[test]
    fn every_order_is_signed_and_has_its_own_number() {
        let (head, body) = order_42(&Paths::one("/orders"));
        assert!(head.starts_with("POST /orders HTTP/1.1\r\n"), "{head}");
        assert_eq!(body.as_bytes(), super::body(42));
        assert_eq!(number_in(body.as_bytes()), Some(42));
        assert!(body.contains("\"customer\":{\"id\":7300000042,"), "{body}");
        let mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap().chain_update(&body);
        assert!(head.contains(&format!("X-Signature: {}\r\n", hex::encode(mac.finalize().into_bytes()))), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
    }

    #[test]
    fn several_paths_get_their_orders_in_turn() {
        let (head, _) = order_42(&Paths::many("/orders", 10));
        assert!(head.starts_with("POST /orders/0002 HTTP/1.1\r\n"), "{head}");
    }

    #[test]
    fn what_has_no_mark_has_no_number() {
        assert_eq!(number_in(b"{}"), None);
        assert_eq!(number_in(b"{\"reference\":\"LGB-000\"}"), None);
    }
}
