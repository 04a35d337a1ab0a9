//! What came of all scenarios: [`Report`], as lines, as JSON and as JUnit's XML.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::file::Scenario;
use super::judge::{Mismatch, judge};
use super::run::Happened;
use crate::config::quantity;
use crate::config::reader::Places;

/// Every scenario that was run, in the order of the files.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub scenarios: Vec<Tested>,
}

/// One scenario.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tested {
    pub file: PathBuf,
    pub line: usize,
    pub name: String,
    /// The integration, or the plugin.
    pub about: String,
    pub passed: bool,
    pub mismatches: Vec<Mismatch>,
    /// What plugins wrote, of one that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Virtual time that passed in it.
    pub took_ms: u64,
}

impl Tested {
    /// Judges what happened.
    pub fn of(scenario: &Scenario, places: &Places, about: &str, happened: &Happened) -> Self {
        let mismatches = judge(scenario, happened);
        let at = places.at(&scenario.path);
        let passed = mismatches.is_empty();
        Self {
            file: at.file,
            line: at.line,
            name: scenario.name.clone(),
            about: about.to_owned(),
            passed,
            mismatches,
            log: if passed { Vec::new() } else { happened.lines.clone() },
            took_ms: u64::try_from(happened.took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// One line; where it failed, what is not as expected under it.
    pub fn lines(&self) -> Vec<String> {
        let took = std::time::Duration::from_millis(self.took_ms);
        let time = if took.as_secs() >= 60 {
            format!("  [{} pass]", quantity::shown(std::time::Duration::from_secs(took.as_secs() / 60 * 60)))
        } else {
            String::new()
        };
        let mark = if self.passed { "ok    " } else { "FAILED" };
        let mut lines = vec![format!("{mark}  {}: {}{time}", self.about, self.name)];
        if !self.passed {
            lines.push(format!("        {}:{}", self.file.display(), self.line));
        }
        for Mismatch { of, path, expected, got, hint } in &self.mismatches {
            let path = if path.is_empty() { String::new() } else { format!(" {path}") };
            lines.push(format!("        {of}{path}"));
            lines.push(format!("          expected  {expected}"));
            lines.push(format!("          got       {got}"));
            lines.extend(hint.iter().map(|hint| format!("          {hint}")));
        }
        if !self.log.is_empty() {
            lines.push("        what its plugins wrote:".to_owned());
            lines.extend(self.log.iter().map(|line| format!("          {line}")));
        }
        lines
    }
}

impl Report {
    pub fn failed(&self) -> usize {
        self.scenarios.iter().filter(|tested| !tested.passed).count()
    }

    /// The last line.
    pub fn summary(&self) -> String {
        let (all, failed) = (self.scenarios.len(), self.failed());
        let word = if all == 1 { "scenario" } else { "scenarios" };
        match failed {
            0 => format!("{all} {word} passed"),
            failed => format!("{all} {word}: {} passed, {failed} failed", all - failed),
        }
    }

    /// As build servers read it: a suite for each file. <https://github.com/testmoapp/junitxml> describes what is common of it.
    pub fn junit(&self) -> String {
        let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(xml, "<testsuites tests=\"{}\" failures=\"{}\">", self.scenarios.len(), self.failed());
        let mut rest = self.scenarios.as_slice();
        while let Some(first) = rest.first() {
            let (suite, others) = rest.split_at(rest.iter().take_while(|tested| tested.file == first.file).count());
            rest = others;
            suite_of(&mut xml, first, suite);
        }
        xml.push_str("</testsuites>\n");
        xml
    }
}

fn suite_of(xml: &mut String, first: &Tested, suite: &[Tested]) {
    let file = first.file.display().to_string();
    let failed = suite.iter().filter(|tested| !tested.passed).count();
    let _ = writeln!(xml, "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\">", escaped(&file), suite.len());
    for tested in suite {
        let Tested { name, about, line, .. } = tested;
        let _ = write!(
            xml,
            "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{line}\"",
            escaped(name),
            escaped(about),
            escaped(&file)
        );
        if tested.passed {
            xml.push_str("/>\n");
            continue;
        }
        let first = tested.mismatches.first().map(|mismatch| format!("{} {}", mismatch.of, mismatch.path)).unwrap_or_default();
        let text = tested.lines().get(1..).unwrap_or_default().join("\n");
        let _ = writeln!(xml, ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>", escaped(first.trim()), escaped(&text));
    }
    xml.push_str("  </testsuite>\n");
}

/// Text in XML 1.0, where some characters cannot be at all.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}
