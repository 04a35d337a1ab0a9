//! `lockgate:plugin@0.1.0`: its imports on [`CallState`], its exports as [`Exports`].

use std::time::Duration;

use wasmtime::component::{HasData, Instance, InstancePre, Linker};
use wasmtime::{AsContextMut, Store};

use self::generated::exports::lockgate::plugin::{batch_sink, setup, sink, source, transformer};
use self::generated::lockgate::plugin::{config, http, key_value, log, queue, types};
use crate::capability::http as http_capability;
use crate::capability::key_value::{Answer, KvError};
use crate::capability::queue::QueueError;
use crate::capability::{config as config_capability, log as log_capability};
use crate::message::{Headers, Message, Tracked};
use crate::plugin::fault::{CODE_BYTES_MAX, DETAIL_BYTES_MAX, Stop, cut};
use crate::plugin::offer::Offer;
use crate::plugin::state::CallState;
use crate::plugin::{Call, CallFailure, Draft, Export, Item, Output, Page, QueueSend};

mod generated {
    wasmtime::component::bindgen!({
        path: "../wit/lockgate-plugin-0.1.0",
        inline: "
            package lockgate:host;
            world every {
                include lockgate:plugin/connector@0.1.0;
                export lockgate:plugin/setup@0.1.0;
            }
        ",
        world: "lockgate:host/every",
        imports: {
            "lockgate:plugin/http": async | trappable,
            "lockgate:plugin/key-value": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The package's interfaces, as components name them.
pub const PACKAGE: &str = "lockgate:plugin/";
pub const VERSION: &str = "@0.1.0";
/// The code of the failure where a plugin takes its configuration for wrong at the start of a call.
const SETUP_REFUSED: &str = "setup-refused";
/// Values by which people find a message are cut to this.
const TRACKED_NAME_BYTES_MAX: usize = 64;
const TRACKED_VALUE_BYTES_MAX: usize = 256;

/// The interface of what is done once for a configuration.
pub const SETUP: &str = "lockgate:plugin/setup@0.1.0";

/// The name of an export's interface.
pub fn interface_of(export: Export) -> &'static str {
    match export {
        Export::Transform => "lockgate:plugin/transformer@0.1.0",
        Export::Deliver => "lockgate:plugin/sink@0.1.0",
        Export::DeliverBatch => "lockgate:plugin/batch-sink@0.1.0",
        Export::Poll => "lockgate:plugin/source@0.1.0",
    }
}

/// Text that `log.print` takes by value.
type PrintedBytes = (u64, u64, u64, u64, u64, u64, u64, u64);

struct Host;

impl HasData for Host {
    type Data<'a> = &'a mut CallState;
}

/// Links log, config and whatever `offer` holds.
pub fn link(linker: &mut Linker<CallState>, offer: Offer) -> wasmtime::Result<()> {
    types::add_to_linker::<_, Host>(linker, |state| state)?;
    log::add_to_linker::<_, Host>(linker, |state| state)?;
    config::add_to_linker::<_, Host>(linker, |state| state)?;
    if offer.http {
        http::add_to_linker::<_, Host>(linker, |state| state)?;
    }
    if offer.key_value {
        key_value::add_to_linker::<_, Host>(linker, |state| state)?;
    }
    if offer.queue {
        queue::add_to_linker::<_, Host>(linker, |state| state)?;
    }
    Ok(())
}

/// Where in a component its exports are, looked up once.
#[derive(Clone)]
pub struct Exports {
    transformer: Option<transformer::GuestIndices>,
    sink: Option<sink::GuestIndices>,
    batch_sink: Option<batch_sink::GuestIndices>,
    source: Option<source::GuestIndices>,
    setup: Option<setup::GuestIndices>,
}

impl std::fmt::Debug for Exports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exports").finish_non_exhaustive()
    }
}

impl Exports {
    /// Goes by what the component really exports.
    pub fn of(component: &InstancePre<CallState>) -> Self {
        Self {
            transformer: transformer::GuestIndices::new(component).ok(),
            sink: sink::GuestIndices::new(component).ok(),
            batch_sink: batch_sink::GuestIndices::new(component).ok(),
            source: source::GuestIndices::new(component).ok(),
            setup: setup::GuestIndices::new(component).ok(),
        }
    }

    /// Whether this one is there, with its function.
    pub fn has(&self, export: Export) -> bool {
        match export {
            Export::Transform => self.transformer.is_some(),
            Export::Deliver => self.sink.is_some(),
            Export::DeliverBatch => self.batch_sink.is_some(),
            Export::Poll => self.source.is_some(),
        }
    }

    /// Calls `setup`, if it has one, with nothing of the host but `config` and `log`.
    pub async fn set_up(
        &self,
        store: &mut Store<CallState>,
        instance: &Instance,
        config: &str,
    ) -> wasmtime::Result<Result<(), CallFailure>> {
        let Some(setup) = &self.setup else { return Ok(Ok(())) };
        let guest = setup.load(store.as_context_mut(), instance).map_err(|why| Stop::WrongType(SETUP, why.to_string()))?;
        store.data_mut().is_setting_up = true;
        let done = guest.call_setup(&mut *store, config).await;
        store.data_mut().is_setting_up = false;
        let refused = |why| CallFailure::Permanent { code: SETUP_REFUSED.to_owned(), detail: cut(why, DETAIL_BYTES_MAX) };
        Ok(done?.map_err(refused))
    }

    /// Calls one export.
    pub async fn call(
        &self,
        store: &mut Store<CallState>,
        instance: &Instance,
        call: &Call,
    ) -> wasmtime::Result<Result<Output, CallFailure>> {
        let headers: Vec<_> = call.messages().map(|message| header_params(message)).collect();
        let mut ids = vec![uuid::Uuid::encode_buffer(); headers.len()];
        let shown = call.messages().zip(&headers).zip(&mut ids);
        let mut messages = shown.map(|((message, headers), id)| message_param(message, headers, id)).collect::<Vec<_>>();
        let context = types::Context { attempt: call.attempt, replay: call.replay, idempotency_base: &call.idempotency_base };
        let wrong_type = |why: wasmtime::Error| Stop::WrongType(interface_of(call.export), why.to_string());
        let lacks = || wasmtime::format_err!("the component does not export {}", interface_of(call.export));
        match call.export {
            Export::Transform => {
                let guest = self.transformer.as_ref().ok_or_else(lacks)?.load(store.as_context_mut(), instance).map_err(wrong_type)?;
                let message = messages.swap_remove(0);
                Ok(guest.call_transform(store, message, context).await?.map(Output::from).map_err(CallFailure::from))
            }
            Export::Deliver => {
                let guest = self.sink.as_ref().ok_or_else(lacks)?.load(store.as_context_mut(), instance).map_err(wrong_type)?;
                let message = messages.swap_remove(0);
                Ok(guest.call_deliver(store, message, context).await?.map(Output::from).map_err(CallFailure::from))
            }
            Export::DeliverBatch => {
                let guest = self.batch_sink.as_ref().ok_or_else(lacks)?.load(store.as_context_mut(), instance).map_err(wrong_type)?;
                let results = guest.call_deliver_batch(store, &messages, context).await?;
                let results = results.into_iter().map(|result| result.map(Output::from).map_err(CallFailure::from));
                Ok(Ok(Output::Each(results.collect())))
            }
            Export::Poll => {
                let guest = self.source.as_ref().ok_or_else(lacks)?.load(store.as_context_mut(), instance).map_err(wrong_type)?;
                Ok(guest.call_poll(store, call.cursor.as_deref()).await?.map(Output::from).map_err(CallFailure::from))
            }
        }
    }
}

fn header_params(message: &Message) -> Vec<types::HeaderParam<'_>> {
    message.headers.0.iter().map(|(name, value)| types::HeaderParam { name, value }).collect()
}

fn message_param<'a>(message: &'a Message, headers: &'a [types::HeaderParam<'a>], id: &'a mut [u8]) -> types::Message<'a> {
    types::Message {
        id: message.id.0.as_hyphenated().encode_lower(id),
        key: message.key.as_ref().map(|key| key.0.as_str()),
        content_type: &message.content_type,
        headers,
        body: &message.body,
        received_at: u64::try_from(message.accepted_at.0).unwrap_or(0),
    }
}

impl CallState {
    /// One call of a capability, which is not there while the plugin is set up.
    fn capability(&self, interface: &'static str) -> Result<(), Stop> {
        if self.is_setting_up {
            return Err(Stop::InSetup(interface));
        }
        self.shared.meter.host_call()
    }
}

impl types::Host for CallState {}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, text: String, fields: Vec<log::Field>) -> wasmtime::Result<()> {
        self.shared.meter.host_call()?;
        let level = match level {
            log::Level::Trace => log_capability::Level::Trace,
            log::Level::Debug => log_capability::Level::Debug,
            log::Level::Info => log_capability::Level::Info,
            log::Level::Warn => log_capability::Level::Warn,
            log::Level::Error => log_capability::Level::Error,
        };
        let fields: Vec<_> = fields.iter().map(|field| (field.name.as_str(), field.value.as_str())).collect();
        self.shared.log.write(self.shared.speaker(), level, &text, &fields);
        Ok(())
    }

    fn print(&mut self, to: log::Output, count: u8, bytes: PrintedBytes) -> wasmtime::Result<()> {
        self.shared.meter.host_call()?;
        let (a, b, c, d, e, f, g, h) = bytes;
        let bytes = [a, b, c, d, e, f, g, h].map(u64::to_le_bytes);
        let bytes = bytes.as_flattened();
        let line = match to {
            log::Output::Standard => &mut self.standard_output,
            log::Output::Error => &mut self.standard_error,
        };
        line.print(&self.shared.log, self.shared.speaker(), bytes.get(..count.into()).unwrap_or(bytes));
        Ok(())
    }
}

impl config::Host for CallState {
    fn get(&mut self) -> wasmtime::Result<String> {
        self.shared.meter.host_call()?;
        Ok(config_capability::get(&self.shared.call))
    }
}

impl http::Host for CallState {
    async fn send(&mut self, slot: String, request: http::Request) -> wasmtime::Result<Result<http::Response, http::HttpError>> {
        self.capability("http")?;
        Ok(self.http.send(&slot, request.into()).await.map(http::Response::from).map_err(http::HttpError::from))
    }

    async fn send_all(
        &mut self,
        slot: String,
        requests: Vec<http::Request>,
    ) -> wasmtime::Result<Vec<Result<http::Response, http::HttpError>>> {
        self.capability("http")?;
        let answers = self.http.send_all(&slot, requests.into_iter().map(Into::into).collect()).await;
        Ok(answers.into_iter().map(|answer| answer.map(http::Response::from).map_err(http::HttpError::from)).collect())
    }
}

impl key_value::Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, key_value::KvError>> {
        self.capability("key-value")?;
        told(self.key_value.get(&key).await)
    }

    async fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), key_value::KvError>> {
        self.capability("key-value")?;
        told(self.key_value.set(key, value, ttl_ms.map(Duration::from_millis)).await)
    }

    async fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), key_value::KvError>> {
        self.capability("key-value")?;
        told(self.key_value.delete(key).await)
    }

    async fn list(
        &mut self,
        prefix: String,
        cursor: Option<String>,
        limit: u32,
    ) -> wasmtime::Result<Result<key_value::KeyPage, key_value::KvError>> {
        self.capability("key-value")?;
        let page = self.key_value.list(&prefix, cursor, limit).await;
        told(page.map(|page| page.map(|(keys, cursor)| key_value::KeyPage { keys, cursor })))
    }

    async fn compare_and_swap(
        &mut self,
        key: String,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<bool, key_value::KvError>> {
        self.capability("key-value")?;
        told(self.key_value.compare_and_swap(key, expected, value).await)
    }

    async fn increment(&mut self, key: String, delta: i64) -> wasmtime::Result<Result<i64, key_value::KvError>> {
        self.capability("key-value")?;
        told(self.key_value.increment(key, delta).await)
    }
}

/// The host's own trouble ends the call; the plugin's is for the plugin.
fn told<T>(answer: Answer<T>) -> wasmtime::Result<Result<T, key_value::KvError>> {
    Ok(answer?.map_err(|error| match error {
        KvError::InvalidKey => key_value::KvError::InvalidKey,
        KvError::ValueTooLarge => key_value::KvError::ValueTooLarge,
        KvError::QuotaExceeded => key_value::KvError::QuotaExceeded,
        KvError::NotANumber => key_value::KvError::NotANumber,
    }))
}

impl queue::Host for CallState {
    fn send(&mut self, channel: String, draft: queue::Draft, options: queue::Options) -> wasmtime::Result<Result<(), queue::QueueError>> {
        self.capability("queue")?;
        let queue::Options { delay_ms, dedup_token } = options;
        let send = QueueSend { channel, draft: draft.into(), delay: delay_ms.map(Duration::from_millis), dedup_token };
        Ok(self.queue.send(send).map_err(|error| match error {
            QueueError::NoSuchChannel => queue::QueueError::NoSuchChannel,
            QueueError::TooLarge => queue::QueueError::TooLarge,
            QueueError::TooMany => queue::QueueError::TooMany,
        }))
    }
}

impl From<http::Request> for http_capability::Request {
    fn from(request: http::Request) -> Self {
        let http::Request { method, path, headers, body, label, timeout_ms } = request;
        Self {
            method,
            path,
            headers: headers.into_iter().map(|header| (header.name, header.value)).collect(),
            body: body.into(),
            label,
            timeout: timeout_ms.map(|timeout_ms| Duration::from_millis(timeout_ms.into())),
        }
    }
}

impl From<http_capability::Response> for http::Response {
    fn from(response: http_capability::Response) -> Self {
        let headers = response.headers.into_iter().map(|(name, value)| http::Header { name, value }).collect();
        Self { status: response.status, headers, body: response.body.into() }
    }
}

impl From<http_capability::HttpError> for http::HttpError {
    fn from(error: http_capability::HttpError) -> Self {
        use http_capability::HttpError as E;
        match error {
            E::Denied(why) => Self::Denied(why),
            E::TimedOut => Self::TimedOut,
            E::Unreachable(why) => Self::Unreachable(why),
            E::TooLarge => Self::TooLarge,
            E::BreakerOpen => Self::BreakerOpen,
            E::RateLimited(wait) => Self::RateLimited(wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))),
            E::CredentialRefused => Self::CredentialRefused,
            E::TooManyRequests => Self::TooManyRequests,
        }
    }
}

impl From<types::Draft> for Draft {
    fn from(draft: types::Draft) -> Self {
        let types::Draft { content_type, headers, body, tracked } = draft;
        let headers = headers.into_iter().map(|header| (header.name.to_ascii_lowercase(), header.value)).collect();
        let tracked = tracked.into_iter().map(|tracked| Tracked {
            name: cut(tracked.name.to_ascii_lowercase(), TRACKED_NAME_BYTES_MAX),
            value: cut(tracked.value, TRACKED_VALUE_BYTES_MAX),
        });
        Self { content_type, headers: Headers(headers), body: body.into(), tracked: tracked.collect() }
    }
}

impl From<transformer::Output> for Output {
    fn from(output: transformer::Output) -> Self {
        match output {
            transformer::Output::Drafts(drafts) => Self::Drafts(drafts.into_iter().map(Draft::from).collect()),
            transformer::Output::Skip(skip) => skip.into(),
        }
    }
}

impl From<types::Delivered> for Output {
    fn from(delivered: types::Delivered) -> Self {
        match delivered {
            types::Delivered::Receipt(types::Receipt { remote_id, remote_version, detail }) => {
                let short = |text: Option<String>| text.map(|text| cut(text, DETAIL_BYTES_MAX));
                Self::Receipt { remote_id: short(remote_id), remote_version: short(remote_version), detail: short(detail) }
            }
            types::Delivered::Skip(skip) => skip.into(),
        }
    }
}

impl From<source::Page> for Output {
    fn from(source::Page { items, cursor, more }: source::Page) -> Self {
        let items = items.into_iter().map(|source::Item { id, key, draft }| Item { id, key, draft: draft.into() });
        Self::Page(Page { items: items.collect(), cursor, more })
    }
}

impl From<types::Skip> for Output {
    fn from(skip: types::Skip) -> Self {
        Self::Skip { code: cut(skip.code, CODE_BYTES_MAX), detail: cut(skip.detail, DETAIL_BYTES_MAX) }
    }
}

impl From<types::Failure> for CallFailure {
    fn from(failure: types::Failure) -> Self {
        match failure {
            types::Failure::Transient(types::TransientFailure { code, detail, retry_after }) => Self::Transient {
                code: cut(code, CODE_BYTES_MAX),
                detail: cut(detail, DETAIL_BYTES_MAX),
                retry_after: retry_after.map(Duration::from_millis),
            },
            types::Failure::Permanent(types::PermanentFailure { code, detail }) => {
                Self::Permanent { code: cut(code, CODE_BYTES_MAX), detail: cut(detail, DETAIL_BYTES_MAX) }
            }
        }
    }
}
