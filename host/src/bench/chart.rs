//! The chart: an SVG with a bar for each row, as long as its goal is reached. Text is text, and colours follow the reader's.

use maud::{Markup, PreEscaped, html};

use super::figures::{Row, readable};
use super::report::Report;

const WIDTH: f64 = 860.0;
const MARGIN: f64 = 16.0;
/// Where bars begin.
const BARS: f64 = 190.0;
/// How far from there a goal is reached.
const GOAL: f64 = 240.0;
/// A bar that reaches more of its goal is cut.
const REACHED_MAX: f64 = 1.5;
/// Where the figures stand.
const FIGURES: f64 = BARS + GOAL * REACHED_MAX + 16.0;
const TOP: f64 = 58.0;
const ROW: f64 = 30.0;
const BAR: f64 = 16.0;
const FOOT: f64 = 52.0;

const STYLE: &str = "
text { font: 13px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .small { font-size: 11px; fill: #59636e }
.figure { font-variant-numeric: tabular-nums } .back { fill: #ffffff } .goal { stroke: #1f2328; stroke-width: 1.5 }
.holds { fill: #1a7f37 } .fails { fill: #bc4c00 } .stated { fill: #59636e }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc } .small { fill: #9198a1 } .back { fill: #0d1117 } .goal { stroke: #f0f6fc }
  .holds { fill: #3fb950 } .fails { fill: #db6d28 } .stated { fill: #9198a1 }
}";

/// The report as an SVG document.
pub fn draw(report: &Report) -> String {
    let height = TOP + ROW * report.rows.len() as f64 + FOOT;
    let bottom = height - FOOT;
    let goal = BARS + GOAL;
    let [machine, versions] = report.circumstances();
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img" {
            title { "Lockgate: what is reached of each performance goal" }
            style { (PreEscaped(STYLE)) }
            rect class="back" width=(WIDTH) height=(height) {}
            text class="title" x=(MARGIN) y="26" { "What is reached of each goal" }
            text class="small" x=(goal) y=(TOP - 8.0) text-anchor="middle" { "goal" }
            @for (index, row) in report.rows.iter().enumerate() {
                (bar(row, TOP + ROW * index as f64))
            }
            line class="goal" x1=(goal) x2=(goal) y1=(TOP - 4.0) y2=(bottom) {}
            text class="small" x=(MARGIN) y=(bottom + 24.0) { (machine) }
            text class="small" x=(MARGIN) y=(bottom + 40.0) { (versions) }
        }
    };
    svg.into_string()
}

fn bar(row: &Row, top: f64) -> Markup {
    let reached = row.reached().unwrap_or(0.0);
    // What could not be measured has no bar.
    let length = if reached.is_finite() { GOAL * reached.clamp(0.0, REACHED_MAX) } else { 0.0 };
    let (class, mark) = match row.holds {
        Some(true) => ("holds", "✓"),
        Some(false) => ("fails", "✗"),
        None => ("stated", ""),
    };
    let baseline = top + BAR - 3.0;
    html! {
        text x=(MARGIN) y=(baseline) { (row.name) }
        rect class=(class) x=(BARS) y=(top) width=(format!("{length:.1}")) height=(BAR) rx="2" {}
        text class="figure" x=(FIGURES) y=(baseline) {
            (readable(row.value)) " " (row.unit) ", ratio " (readable(row.ratio)) " (" (row.goal_text()) ") " (mark)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::room::{Size, Totals};

    fn chart() -> String {
        let rows = vec![
            Row::at_least("end-to-end", "msg/s", [7_100.0, 10_000.0], 0.7, String::new()),
            Row::at_most("intake-p99", "ms", [4.0, 2.0], 1.5, String::new()),
            Row::stated("intake-p50", "ms", [f64::NAN, 2.0], "<&".into()),
        ];
        let folder = tempfile::tempdir().unwrap();
        draw(&Report::of(rows, Totals::default(), Size::QUICK, folder.path(), folder.path()))
    }

    /// Every start tag has its end tag, in order, and every attribute its quotes.
    fn assert_well_formed(xml: &str) {
        let mut open = Vec::new();
        for part in xml.split('<').skip(1) {
            let (tag, _) = part.split_once('>').unwrap_or_else(|| panic!("a tag is not closed: {part}"));
            assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None => open.push(tag.split(' ').next().unwrap()),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn is_well_formed_whatever_was_measured() {
        let svg = chart();
        assert_well_formed(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn says_in_words_what_its_colours_say() {
        let svg = chart();
        assert!(svg.contains("7,100 msg/s, ratio 0.71 (≥ 0.70) ✓"), "{svg}");
        assert!(svg.contains("4.00 ms, ratio 2.00 (≤ 1.50) ✗"), "{svg}");
        assert!(svg.contains("prefers-color-scheme: dark"));
    }
}
