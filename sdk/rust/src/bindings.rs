//! What wit-bindgen makes of `wit/`, and the only place where generated types meet the SDK's own.
//!
//! Imports are declared once, in the sink's world, and left out of a component whose code does not call them; what a
//! component exports is decided by the export macro its author writes. Authors never see these names.

use crate::{http, key_value};

pub mod sink {
    wit_bindgen::generate!({ path: "../../wit/lockgate-plugin-0.1.0", world: "sink-plugin", pub_export_macro: true });
}

pub mod transformer {
    wit_bindgen::generate!({
        path: "../../wit/lockgate-plugin-0.1.0",
        world: "transformer-plugin",
        pub_export_macro: true,
        with: {
            "lockgate:plugin/types@0.1.0": crate::__bindings::sink::lockgate::plugin::types,
            "lockgate:plugin/log@0.1.0": crate::__bindings::sink::lockgate::plugin::log,
            "lockgate:plugin/config@0.1.0": crate::__bindings::sink::lockgate::plugin::config,
        },
    });
}

pub mod batch_sink {
    wit_bindgen::generate!({
        path: "../../wit/lockgate-plugin-0.1.0",
        world: "batch-sink-plugin",
        pub_export_macro: true,
        with: {
            "lockgate:plugin/types@0.1.0": crate::__bindings::sink::lockgate::plugin::types,
            "lockgate:plugin/log@0.1.0": crate::__bindings::sink::lockgate::plugin::log,
            "lockgate:plugin/config@0.1.0": crate::__bindings::sink::lockgate::plugin::config,
            "lockgate:plugin/http@0.1.0": crate::__bindings::sink::lockgate::plugin::http,
        },
    });
}

pub mod source {
    wit_bindgen::generate!({
        path: "../../wit/lockgate-plugin-0.1.0",
        world: "source-plugin",
        pub_export_macro: true,
        with: {
            "lockgate:plugin/types@0.1.0": crate::__bindings::sink::lockgate::plugin::types,
            "lockgate:plugin/log@0.1.0": crate::__bindings::sink::lockgate::plugin::log,
            "lockgate:plugin/config@0.1.0": crate::__bindings::sink::lockgate::plugin::config,
            "lockgate:plugin/http@0.1.0": crate::__bindings::sink::lockgate::plugin::http,
            "lockgate:plugin/key-value@0.1.0": crate::__bindings::sink::lockgate::plugin::key_value,
            "lockgate:plugin/queue@0.1.0": crate::__bindings::sink::lockgate::plugin::queue,
        },
    });
}

pub mod setup {
    wit_bindgen::generate!({
        path: "../../wit/lockgate-plugin-0.1.0",
        world: "setup-plugin",
        pub_export_macro: true,
        with: {
            "lockgate:plugin/log@0.1.0": crate::__bindings::sink::lockgate::plugin::log,
            "lockgate:plugin/config@0.1.0": crate::__bindings::sink::lockgate::plugin::config,
        },
    });
}

use batch_sink::exports::lockgate::plugin::batch_sink as wit_batch_sink;
use setup::exports::lockgate::plugin::setup as wit_setup;
use sink::exports::lockgate::plugin::sink as wit_sink;
use sink::lockgate::plugin::{http as wit_http, key_value as wit_key_value, types};
use source::exports::lockgate::plugin::source as wit_source;
use transformer::exports::lockgate::plugin::transformer as wit_transformer;

impl<T: crate::Transformer> wit_transformer::Guest for T {
    fn transform(message: types::Message, context: types::Context) -> Result<wit_transformer::Output, types::Failure> {
        match T::transform(message.into(), context.into())? {
            crate::Output::Drafts(drafts) => Ok(wit_transformer::Output::Drafts(drafts.into_iter().map(Into::into).collect())),
            crate::Output::Skip(skip) => Ok(wit_transformer::Output::Skip(skip.into())),
        }
    }
}

impl<T: crate::Setup> wit_setup::Guest for T {
    /// `config` is what `config.get` gives, which `crate::config` reads.
    fn setup(_config: String) -> Result<(), String> {
        T::setup().map_err(|failure| failure.detail().to_owned())
    }
}

impl<T: crate::Sink> wit_sink::Guest for T {
    fn deliver(message: types::Message, context: types::Context) -> Result<types::Delivered, types::Failure> {
        Ok(T::deliver(message.into(), context.into())?.into())
    }
}

impl<T: crate::BatchSink> wit_batch_sink::Guest for T {
    fn deliver_batch(messages: Vec<types::Message>, context: types::Context) -> Vec<Result<types::Delivered, types::Failure>> {
        let results = T::deliver_batch(messages.into_iter().map(Into::into).collect(), context.into());
        results.into_iter().map(|result| Ok(result?.into())).collect()
    }
}

impl<T: crate::Source> wit_source::Guest for T {
    fn poll(cursor: Option<String>) -> Result<wit_source::Page, types::Failure> {
        let crate::Page { items, cursor, more } = T::poll(cursor)?;
        let items = items.into_iter().map(|crate::Item { id, key, draft }| wit_source::Item { id, key, draft: draft.into() }).collect();
        Ok(wit_source::Page { items, cursor, more })
    }
}

impl From<types::Header> for crate::Header {
    fn from(types::Header { name, value }: types::Header) -> Self {
        Self { name, value }
    }
}

impl From<crate::Header> for types::Header {
    fn from(crate::Header { name, value }: crate::Header) -> Self {
        Self { name, value }
    }
}

impl From<types::Message> for crate::Message {
    fn from(message: types::Message) -> Self {
        Self {
            id: message.id,
            key: message.key,
            content_type: message.content_type,
            headers: message.headers.into_iter().map(Into::into).collect(),
            body: message.body,
            received_at_ms: message.received_at,
        }
    }
}

impl From<types::Context> for crate::Context {
    fn from(types::Context { attempt, replay, idempotency_base }: types::Context) -> Self {
        Self { attempt, replay, idempotency_base }
    }
}

impl From<crate::Draft> for types::Draft {
    fn from(draft: crate::Draft) -> Self {
        let tracked = draft.tracked.into_iter().map(|crate::Tracked { name, value }| types::TrackedValue { name, value }).collect();
        Self { content_type: draft.content_type, headers: draft.headers.into_iter().map(Into::into).collect(), body: draft.body, tracked }
    }
}

impl From<crate::Skip> for types::Skip {
    fn from(crate::Skip { code, detail }: crate::Skip) -> Self {
        Self { code, detail }
    }
}

impl From<crate::Delivered> for types::Delivered {
    fn from(delivered: crate::Delivered) -> Self {
        match delivered {
            crate::Delivered::Receipt(crate::Receipt { remote_id, remote_version, detail }) => {
                Self::Receipt(types::Receipt { remote_id, remote_version, detail })
            }
            crate::Delivered::Skip(skip) => Self::Skip(skip.into()),
        }
    }
}

impl From<crate::Failure> for types::Failure {
    fn from(failure: crate::Failure) -> Self {
        match failure {
            crate::Failure::Transient { code, detail, retry_after_ms } => {
                Self::Transient(types::TransientFailure { code, detail, retry_after: retry_after_ms })
            }
            crate::Failure::Permanent { code, detail } => Self::Permanent(types::PermanentFailure { code, detail }),
        }
    }
}

impl From<http::Request> for wit_http::Request {
    fn from(request: http::Request) -> Self {
        Self {
            method: request.method,
            path: request.path,
            headers: request.headers.into_iter().map(Into::into).collect(),
            body: request.body,
            label: request.label,
            timeout_ms: request.timeout_ms,
        }
    }
}

impl From<wit_http::Response> for http::Response {
    fn from(wit_http::Response { status, headers, body }: wit_http::Response) -> Self {
        Self { status, headers: headers.into_iter().map(Into::into).collect(), body }
    }
}

impl From<wit_http::HttpError> for http::Error {
    fn from(error: wit_http::HttpError) -> Self {
        match error {
            wit_http::HttpError::Denied(rule) => Self::Denied(rule),
            wit_http::HttpError::TimedOut => Self::TimedOut,
            wit_http::HttpError::Unreachable(why) => Self::Unreachable(why),
            wit_http::HttpError::TooLarge => Self::TooLarge,
            wit_http::HttpError::BreakerOpen => Self::BreakerOpen,
            wit_http::HttpError::RateLimited(retry_after_ms) => Self::RateLimited { retry_after_ms },
            wit_http::HttpError::CredentialRefused => Self::CredentialRefused,
            wit_http::HttpError::TooManyRequests => Self::TooManyRequests,
        }
    }
}

impl From<wit_key_value::KvError> for key_value::Error {
    fn from(error: wit_key_value::KvError) -> Self {
        match error {
            wit_key_value::KvError::InvalidKey => Self::InvalidKey,
            wit_key_value::KvError::ValueTooLarge => Self::ValueTooLarge,
            wit_key_value::KvError::QuotaExceeded => Self::QuotaExceeded,
            wit_key_value::KvError::NotANumber => Self::NotANumber,
        }
    }
}

/// The host's functions in the SDK's own types; `testing::imports` has the same ones for native tests.
pub(crate) mod imports {
    use super::sink::lockgate::plugin::{config, http as wit_http, key_value as wit_key_value, log as wit_log, queue as wit_queue};
    use crate::{Draft, http, key_value, log, queue};

    pub fn config_get() -> String {
        config::get()
    }

    pub fn log_write(level: log::Level, text: &str, fields: &[(&str, &str)]) {
        let level = match level {
            log::Level::Trace => wit_log::Level::Trace,
            log::Level::Debug => wit_log::Level::Debug,
            log::Level::Info => wit_log::Level::Info,
            log::Level::Warn => wit_log::Level::Warn,
            log::Level::Error => wit_log::Level::Error,
        };
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| wit_log::Field { name: (*name).to_owned(), value: (*value).to_owned() }).collect();
        wit_log::write(level, text, &fields);
    }

    pub fn http_send(slot: &str, request: http::Request) -> Result<http::Response, http::Error> {
        Ok(wit_http::send(slot, &request.into())?.into())
    }

    pub fn http_send_all(slot: &str, requests: Vec<http::Request>) -> Vec<Result<http::Response, http::Error>> {
        let requests: Vec<_> = requests.into_iter().map(Into::into).collect();
        wit_http::send_all(slot, &requests).into_iter().map(|answer| Ok(answer?.into())).collect()
    }

    pub fn key_value_get(key: &str) -> Result<Option<Vec<u8>>, key_value::Error> {
        Ok(wit_key_value::get(key)?)
    }

    pub fn key_value_set(key: &str, value: &[u8], ttl_ms: Option<u64>) -> Result<(), key_value::Error> {
        Ok(wit_key_value::set(key, value, ttl_ms)?)
    }

    pub fn key_value_delete(key: &str) -> Result<(), key_value::Error> {
        Ok(wit_key_value::delete(key)?)
    }

    pub fn key_value_list(prefix: &str, cursor: Option<&str>, limit: u32) -> Result<key_value::KeyPage, key_value::Error> {
        let wit_key_value::KeyPage { keys, cursor } = wit_key_value::list(prefix, cursor, limit)?;
        Ok(key_value::KeyPage { keys, cursor })
    }

    pub fn key_value_compare_and_swap(key: &str, expected: Option<&[u8]>, value: &[u8]) -> Result<bool, key_value::Error> {
        Ok(wit_key_value::compare_and_swap(key, expected, value)?)
    }

    pub fn key_value_increment(key: &str, delta: i64) -> Result<i64, key_value::Error> {
        Ok(wit_key_value::increment(key, delta)?)
    }

    pub fn queue_send(channel: &str, draft: Draft, options: queue::Options) -> Result<(), queue::Error> {
        let options = wit_queue::Options { delay_ms: options.delay_ms, dedup_token: options.dedup_token };
        wit_queue::send(channel, &draft.into(), &options).map_err(|error| match error {
            wit_queue::QueueError::NoSuchChannel => queue::Error::NoSuchChannel,
            wit_queue::QueueError::TooLarge => queue::Error::TooLarge,
            wit_queue::QueueError::TooMany => queue::Error::TooMany,
        })
    }
}
