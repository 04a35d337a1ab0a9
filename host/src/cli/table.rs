//! Tables for people: columns as wide as their widest cell; on a terminal the last column is cut to what fits, elsewhere nothing is.
//!
//! Depends on `output` only.

use super::output;

/// The last column is never cut below this, however narrow the terminal.
const LAST_COLUMN_MIN: usize = 12;

/// Prints a table with a header.
pub fn print(header: &[&str], rows: &[Vec<String>]) {
    text(header, rows).iter().for_each(output::line);
}

/// The lines of [`print`].
pub fn text(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    lines(header, rows, terminal_columns())
}

/// Columns of the terminal on standard output; none where that is a file or a pipe.
fn terminal_columns() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

fn lines(header: &[&str], rows: &[Vec<String>], columns: Option<usize>) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(&header).chain(rows).map(|row| row.iter().map(|cell| on_one_line(cell)).collect()).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let mut widths: Vec<usize> = (0..header.len()).map(width).collect();
    if let (Some(columns), Some((last, others))) = (columns, widths.split_last_mut()) {
        let taken: usize = others.iter().map(|width| width + 2).sum();
        *last = (*last).min(columns.saturating_sub(taken).max(LAST_COLUMN_MIN));
    }
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| padded(cut(cell, *width), *width)).collect();
        cells.join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// A cell is one line, whatever a plugin or a target put into a text.
fn on_one_line(cell: &str) -> String {
    cell.replace(['\n', '\t'], " ")
}

/// As many characters of `cell` as `width`, the last a mark where there were more.
pub fn cut(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width { cell.to_owned() } else { cell.chars().take(width.saturating_sub(1)).chain(['…']).collect() }
}

/// Not by a width in a format string: that has room for 65,535 and panics beyond.
fn padded(mut cell: String, width: usize) -> String {
    cell.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: Option<usize>) -> Vec<String> {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        lines(&["ID", "WHY"], &[row(["1", "the target\nsaid no, and then some more"]), row(["1002", "é"])], columns)
    }

    #[test]
    fn cuts_nothing_where_no_terminal_reads_it() {
        assert_eq!(table(None), ["ID    WHY", "1     the target said no, and then some more", "1002  é"]);
    }

    #[test]
    fn takes_a_cell_of_any_length() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let long = "k".repeat(100_000);
        assert_eq!(lines(&["KEY", "WHY"], &[row([&long, "x"])], None)[1].len(), 100_003);
    }

    #[test]
    fn cuts_the_last_column_to_the_terminal() {
        assert_eq!(table(Some(24))[1], "1     the target said n…");
        assert_eq!(table(Some(3))[1], "1     the target …", "never to nothing");
    }
}
