//! A report of what a release would make otherwise, for people: as lines and as a file. What `rehearse` and `shadow` print.

use std::io::Write as _;
use std::path::Path;

use super::output::on_one_line;
use crate::message::ID_CHARS_SHOWN;
use crate::partial;
use crate::printable::printable;
use crate::problem::{Code, Problem};
use crate::rehearsal::{Group, Report, Sample, Verdict, page};

/// Its owner's alone, since there are messages in it.
pub fn write_page(file: &Path, report: &Report) -> Result<(), Problem> {
    write_file(file, page(report).as_bytes())
}

/// There whole, or not at all.
pub fn write_file(file: &Path, content: &[u8]) -> Result<(), Problem> {
    let written = partial::in_folder(folder_of(file)).and_then(|mut partial| {
        partial.write_all(content)?;
        partial.persist(file).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| cannot_be_written(file, &error))
}

/// Says that [`write_file`] could not, before work is done that would be for nothing.
pub fn require_writable(file: &Path) -> Result<(), Problem> {
    if file.is_dir() {
        return Err(cannot_be_written(file, &std::io::ErrorKind::IsADirectory.into()));
    }
    partial::in_folder(folder_of(file)).map(drop).map_err(|error| cannot_be_written(file, &error))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn cannot_be_written(file: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::FileUnreadable, format!("{} cannot be written: {error}", file.display())).fix("name another file")
}

/// What a report says, line by line.
pub fn report_lines(report: &Report) -> Vec<String> {
    let candidate = &report.candidate;
    let mut lines = vec![format!("{} release {} on {}", candidate.integration, candidate.release.short(), messages(report.messages))];
    lines.extend(
        Verdict::ALL
            .iter()
            .map(|verdict| (verdict.as_str().replace('-', " "), report.count(*verdict)))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("  {count:>7}  {verdict}")),
    );
    let mut groups = |title: &str, groups: &[Group]| {
        if !groups.is_empty() {
            lines.extend([String::new(), title.to_owned()]);
            groups.iter().for_each(|group| lines.extend(told(group)));
        }
    };
    groups("would fail, and did not:", &report.newly_failing);
    groups("failed, and would not:", &report.newly_passing);
    groups("asked by nobody before:", &report.diverged);
    groups("what would be another:", &report.changes);
    groups("not comparable:", &report.not_comparable);
    lines.extend(remarks(report));
    lines
}

fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut remark = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("{} {what}", messages(count)));
        }
    };
    remark(report.sink_left_out, "compared up to the sink, which takes several at once");
    remark(report.left_out, "older, left out; --limit takes more");
    if report.more > 0 {
        remarks.push(format!("{} more changes are not listed", report.more));
    }
    remarks.extend(report.passed_over.iter().map(|passed| format!("not read: {}, {}", on_one_line(&passed.file), passed.why)));
    if !remarks.is_empty() {
        remarks.insert(0, String::new());
    }
    remarks
}

fn told(group: &Group) -> Vec<String> {
    let path = if group.path.is_empty() { String::new() } else { format!(" {}", on_one_line(&group.path)) };
    let mut lines = vec![format!("  {}{path}  ({})", on_one_line(&group.of), messages(group.count))];
    lines.extend(group.samples.iter().map(sample));
    lines
}

fn sample(sample: &Sample) -> String {
    let id = sample.message.to_string();
    let id = id.get(..ID_CHARS_SHOWN).unwrap_or(&id).to_owned();
    let part = sample.part.map(|part| format!(" part {}", part.saturating_add(1))).unwrap_or_default();
    let shown =
        |value: &Option<serde_json::Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), |value| on_one_line(&value.to_string()));
    match (&sample.before, &sample.after) {
        (None, None) => format!("      {id}{part}"),
        (before, after) => printable(&format!("      {id}{part}  {} -> {}", shown(before), shown(after))),
    }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}
