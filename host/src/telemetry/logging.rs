//! Logs: to standard error, for people on a terminal, as JSON for machines. What is logged is set by `LOCKGATE_LOG`.

use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::events::Events;
use super::events::warnings::Warnings;
use crate::problem::{Code, Problem};

type BoxedSubscriber = Box<dyn tracing::Subscriber + Send + Sync>;

/// The environment variable that says what is logged: `info`, `debug`, `lockgate::ingress=debug,info`.
pub const FILTER_VARIABLE: &str = "LOCKGATE_LOG";
const DEFAULT_FILTER: &str = "info";
/// For the demo, which tells for itself what becomes of messages: only faults of the host.
const QUIET_FILTER: &str = "error,lockgate::delivery::telling=off";

/// How a line of log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Sets logging up for the process, on standard error; warnings are told to `events`, too. To be called once, before anything is
/// logged.
///
/// # Errors
/// `LOCKGATE_LOG` is not a filter, or logging has been set up already.
pub fn init(format: LogFormat, events: &Arc<Events>) -> Result<(), Problem> {
    set(stderr(format, DEFAULT_FILTER)?.with(Warnings(events.clone())))
}

/// The same for people, silent but for faults of the host unless `LOCKGATE_LOG` asks for more.
///
/// # Errors
/// As [`init`].
pub fn init_quiet() -> Result<(), Problem> {
    set(stderr(LogFormat::Human, QUIET_FILTER)?)
}

fn stderr(format: LogFormat, default: &str) -> Result<BoxedSubscriber, Problem> {
    let filter = filter(std::env::var(FILTER_VARIABLE).ok().as_deref(), default)?;
    let colours = format == LogFormat::Human && std::io::IsTerminal::is_terminal(&std::io::stderr());
    Ok(subscriber(format, filter, colours, std::io::stderr))
}

fn set(subscriber: impl Into<tracing::Dispatch>) -> Result<(), Problem> {
    subscriber.try_init().map_err(|error| Problem::new(Code::Internal, format!("logging is set up already: {error}")))
}

fn filter(text: Option<&str>, default: &str) -> Result<EnvFilter, Problem> {
    let text = text.filter(|text| !text.trim().is_empty()).unwrap_or(default);
    EnvFilter::builder().parse(text).map_err(|error| {
        Problem::new(Code::WrongUsage, format!("{FILTER_VARIABLE}={text} is not a log filter: {error}"))
            .fix(format!("{FILTER_VARIABLE}=info, or debug, or lockgate::ingress=debug,info"))
    })
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> BoxedSubscriber
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // A line that cannot be written (the other end of the pipe is gone, the disk is full) is lost. To complain about it
    // would write to standard error again, and panic in the middle of a request.
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours).log_internal_errors(false);
    match format {
        LogFormat::Human => Box::new(base.with_target(false).finish()),
        LogFormat::Json => Box::new(base.json().flatten_event(true).with_current_span(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, filter_text: Option<&str>) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = subscriber(format, filter(filter_text, DEFAULT_FILTER).unwrap(), false, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(integration = "orders", "a message came");
            tracing::debug!("details");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// A pipe nobody reads any more.
    struct Broken;

    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn goes_on_when_its_lines_cannot_be_written() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let subscriber = subscriber(format, filter(None, DEFAULT_FILTER).unwrap(), false, || Broken);
            tracing::subscriber::with_default(subscriber, || tracing::info!("nobody reads this"));
        }
    }

    #[test]
    fn refuses_a_filter_that_is_none() {
        let problem = filter(Some("lockgate=loud=very"), DEFAULT_FILTER).unwrap_err();
        assert_eq!(problem.code, Code::WrongUsage);
        assert!(problem.fix.is_some());
    }

    #[test]
    fn logs_info_and_no_details_unless_told() {
        let text = logged(LogFormat::Human, None);
        assert!(text.contains("a message came") && !text.contains("details"), "{text}");
        assert!(logged(LogFormat::Human, Some("debug")).contains("details"));
    }

    #[test]
    fn knows_its_own_filters() {
        assert!(filter(None, DEFAULT_FILTER).is_ok() && filter(None, QUIET_FILTER).is_ok());
    }

    #[test]
    fn writes_one_json_object_a_line_when_asked() {
        let text = logged(LogFormat::Json, None);
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "a message came");
        assert_eq!(line["integration"], "orders");
        assert_eq!(line["level"], "INFO");
    }
}
