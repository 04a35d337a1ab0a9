//! Running a tool: its lines passed on while it works, and of what it said the part that says why it failed.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};

use super::{Event, Progress};

/// So many lines are kept of a build that fails: its first errors, or its end where nothing is marked as an error.
const LINES_KEPT: usize = 60;
/// Longer lines of a tool are cut.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// How a tool ended.
#[derive(Debug)]
pub struct Ended<T> {
    pub status: ExitStatus,
    /// What was made of its standard output.
    pub output: T,
    /// Of its standard error.
    pub said: String,
}

/// Runs `command` to its end. `read` takes in its standard output, and must read all of it; the lines of its standard error are passed on.
///
/// # Errors
/// That it could not be started.
pub fn follow<T>(
    command: &mut Command,
    plugin: &str,
    progress: &Progress<'_>,
    read: impl FnOnce(&mut dyn Read) -> T,
) -> std::io::Result<Ended<T>> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (output, said) = std::thread::scope(|scope| {
        let saying = scope.spawn(|| stderr.map(|stderr| heard(stderr, plugin, progress)).unwrap_or_default());
        let output = match stdout {
            Some(mut stdout) => read(&mut stdout),
            None => read(&mut std::io::empty()),
        };
        (output, saying.join().unwrap_or_default())
    });
    Ok(Ended { status: child.wait()?, output, said })
}

/// Passes lines on and keeps those that matter.
fn heard(stderr: impl Read, plugin: &str, progress: &Progress<'_>) -> String {
    let mut kept = VecDeque::new();
    let (mut is_error, mut more) = (false, 0_usize);
    for line in lines(stderr) {
        progress(Event::Line { plugin, line: &line });
        if !is_error && line.starts_with("error") {
            is_error = true;
            kept.clear();
        }
        if kept.len() < LINES_KEPT {
            kept.push_back(line);
        } else if is_error {
            more += 1;
        } else {
            kept.pop_front();
            kept.push_back(line);
        }
    }
    if more > 0 {
        kept.push_back(format!("… and {more} lines more"));
    }
    Vec::from(kept).join("\n")
}

/// The lines of what is read, without what ends them.
pub fn lines(read: impl Read) -> impl Iterator<Item = String> {
    let mut reader = BufReader::new(read);
    std::iter::from_fn(move || {
        let mut line = Vec::new();
        let count = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        (count > 0).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Vec<String> {
        heard(text.as_bytes(), "p", &|_| {}).lines().map(str::to_owned).collect()
    }

    #[test]
    fn keeps_the_last_lines_where_nothing_is_marked_as_an_error() {
        let text: String = (0..LINES_KEPT + 5).map(|number| format!("line {number}\n")).collect();
        let kept = kept(&text);
        assert_eq!((kept.len(), kept[0].as_str()), (LINES_KEPT, "line 5"));
    }

    #[test]
    fn keeps_the_first_errors_and_counts_the_rest() {
        let errors: String = (0..LINES_KEPT + 5).map(|number| format!("error: {number}\n")).collect();
        let kept = kept(&format!("   Compiling p\nwarning: unused\n{errors}"));
        assert_eq!((kept[0].as_str(), kept.last().unwrap().as_str()), ("error: 0", "… and 5 lines more"));
    }

    #[test]
    fn passes_every_line_on_and_gives_what_was_read() {
        let seen = std::sync::Mutex::new(Vec::new());
        let tell = |event: Event<'_>| {
            if let Event::Line { line, .. } = event {
                seen.lock().unwrap().push(line.to_owned());
            }
        };
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo one >&2; echo two >&2; exit 3"]);
        let ended = follow(&mut command, "p", &tell, |stdout| lines(stdout).collect::<Vec<_>>()).unwrap();
        assert_eq!((ended.status.code(), ended.output, ended.said.as_str()), (Some(3), vec!["out".to_owned()], "one\ntwo"));
        assert_eq!(*seen.lock().unwrap(), ["one", "two"]);
    }
}
