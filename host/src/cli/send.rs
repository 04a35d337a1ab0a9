//! `lockgate send`: a message by hand.

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use http::Method;

use super::client::{Client, encoded, or_fix};
use super::{Common, Failure, output};
use crate::problem::{Code, Problem};

/// Put a message into an integration by hand; prints its id
///
/// It enters as if it had come through the integration's first source. No signature is asked for: the host's token is the proof. Without
/// --dedup a file may be sent any number of times; each is a message of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  lockgate send shop-orders orders/plain.json
  jq '.note = \"again\"' order.json | lockgate send shop-orders -")]
pub struct Send {
    /// The integration
    name: String,
    /// A file with the body; `-` reads standard input
    file: PathBuf,
    /// The body's content type
    #[arg(long, default_value = "application/json", value_name = "TYPE")]
    content_type: String,
    /// Take it only if the same was not taken before
    #[arg(long)]
    dedup: bool,
}

impl Send {
    pub async fn run(self, common: &Common) -> Result<(), Failure> {
        let body = read(&self.file)?;
        let path = format!("/api/v1/messages?integration={}&dedup={}", encoded(&self.name), self.dedup);
        let answer = Client::find(common)?.ask(Method::POST, &path, &self.content_type, body).await;
        let answer = answer.map_err(|problem| or_fix(problem, "`lockgate status` lists the integrations"))?;
        if common.json {
            output::json(&answer);
        } else {
            output::line(format_args!("{} {}", output::text(&answer, "status"), output::text(&answer, "id")));
        }
        Ok(())
    }
}

/// More than any host takes (`limits.body` is at most 64 MiB).
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The bytes of a file, or of standard input for `-`.
pub(super) fn read(file: &PathBuf) -> Result<Bytes, Problem> {
    use std::io::Read;
    let source: std::io::Result<Box<dyn Read>> = if file.as_os_str() == "-" {
        Ok(Box::new(std::io::stdin()))
    } else {
        std::fs::File::open(file).map(|file| Box::new(file) as Box<dyn Read>)
    };
    let mut body = Vec::new();
    let read = source.and_then(|source| source.take(BODY_BYTES_MAX + 1).read_to_end(&mut body));
    let wrong = |why: String| Problem::new(Code::WrongUsage, format!("{}: {why}", file.display()));
    match read {
        Ok(_) if body.len() as u64 > BODY_BYTES_MAX => {
            Err(wrong("larger than 64 MiB".to_owned()).fix("no host takes a body of more than 64 MiB"))
        }
        Ok(_) => Ok(Bytes::from(body)),
        Err(error) => Err(wrong(error.to_string()).fix("name a file that can be read, or - for standard input")),
    }
}
