//! Tables as the field prints them: a heading in capitals, the first columns to the left, numbers to the right.

use console::{Term, measure_text_width, pad_str, style};

/// Rows under a heading.
#[derive(Clone, Debug, Default)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    left: usize,
}

/// What stands for a cell that is not known or does not apply.
pub const UNKNOWN: &str = "-";

/// What columns are called where there is no room for the names of Linkerd's tables.
const SHORT: [(&str, &str); 4] =
    [("LATENCY_P50", "P50"), ("LATENCY_P95", "P95"), ("LATENCY_P99", "P99"), ("TCP_CONN", "CONN")];

/// The columns of the terminal that stdout is; none if it is something else.
pub(super) fn terminal() -> Option<usize> {
    Term::stdout().size_checked().map(|(_, columns)| columns.into())
}

/// The columns of stdout: those of the terminal, and 120 in a file or a pipe.
pub fn width() -> usize {
    terminal().unwrap_or(120)
}

impl Table {
    /// A table whose first `left` columns are texts; the others are numbers.
    pub fn new(left: usize, heading: &[&str]) -> Self {
        Self { heading: heading.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new(), left }
    }

    /// Adds a row; missing cells stay empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, three spaces between columns; on a terminal that is too narrow for it, closer and with shorter names.
    pub fn render(&self) -> String {
        self.within(terminal().unwrap_or(usize::MAX))
    }

    fn within(&self, width: usize) -> String {
        let short = || {
            let names = self
                .heading
                .iter()
                .map(|name| SHORT.iter().find(|(long, _)| long == name).map_or(&**name, |s| s.1));
            Self { heading: names.map(str::to_owned).collect(), ..self.clone() }
        };
        if self.width(3) <= width {
            return self.text(3);
        }
        if self.width(2) <= width {
            return self.text(2);
        }
        let short = short();
        let gap = (1..=3).rev().find(|gap| short.width(*gap) <= width);
        short.text(gap.unwrap_or(1))
    }

    fn widths(&self) -> Vec<usize> {
        (0..self.heading.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.chain([&self.heading[column]]).map(|cell| measure_text_width(cell)).max().unwrap_or(0)
            })
            .collect()
    }

    fn width(&self, gap: usize) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + gap * widths.len().saturating_sub(1)
    }

    fn text(&self, gap: usize) -> String {
        let (widths, gap) = (self.widths(), " ".repeat(gap));
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let side =
                    if column < self.left { console::Alignment::Left } else { console::Alignment::Right };
                pad_str(cell, *width, side, None).into_owned()
            });
            cells.collect::<Vec<_>>().join(&gap).trim_end().to_owned()
        };
        let mut text = style(line(&self.heading)).bold().to_string();
        for row in &self.rows {
            text.push('\n');
            text.push_str(&line(row));
        }
        text
    }
}

/// Rows as lines, each column as wide as its widest cell; no blanks at the end of a line.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |i: usize| rows.iter().map(|r| measure_text_width(&r[i])).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: String = cells
            .map(|(cell, w)| format!("{}  ", pad_str(cell, w, console::Alignment::Left, None)))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A share as the field prints it: `84.00%`.
pub fn percent(ratio: Option<f64>) -> String {
    ratio.map_or(UNKNOWN.to_owned(), |ratio| format!("{:.2}%", ratio * 100.0))
}

/// A share of so many in percent, with no more digits than chance leaves such a number: `28` of 80, `28.1` of 2,000. What is
/// not all is never rounded to all, and what is not nothing never to nothing: `99.7` of 300.
pub fn points(ratio: f64, of: u64) -> String {
    let text = |digits: usize| format!("{:.digits$}", ratio * 100.0);
    let least = match of {
        ..1_000 => 0,
        1_000..100_000 => 1,
        _ => 2,
    };
    let rounded_away =
        |text: &String| 0.0 < ratio && ratio < 1.0 && [Ok(0.0), Ok(100.0)].contains(&text.parse());
    (least..6).map(text).find(|text| !rounded_away(text)).unwrap_or_else(|| text(least))
}

/// The same as a cell: `28%`.
pub fn share(ratio: Option<f64>, of: u64) -> String {
    ratio.map_or(UNKNOWN.to_owned(), |ratio| format!("{}%", points(ratio, of)))
}

/// A rate as the field prints it: `2.4rps`.
pub fn rate(per_second: Option<f64>) -> String {
    per_second.map_or(UNKNOWN.to_owned(), |rate| format!("{rate:.1}rps"))
}

/// Milliseconds, whole.
pub fn millis(ms: Option<f64>) -> String {
    ms.map_or(UNKNOWN.to_owned(), |ms| format!("{ms:.0}ms"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_under_each_other() {
        console::set_colors_enabled(false);
        let mut table = Table::new(1, &["NAME", "RPS"]);
        table.row(["a", "10.0rps"]);
        table.row(["longer", "1.0rps"]);
        assert_eq!(table.render(), "NAME         RPS\na        10.0rps\nlonger    1.0rps");
    }

    #[test]
    fn a_narrow_terminal_gets_closer_columns_and_then_shorter_names() {
        console::set_colors_enabled(false);
        let mut table = Table::new(1, &["NAME", "LATENCY_P99"]);
        table.row(["web", "1ms"]);
        assert_eq!(table.within(18), "NAME   LATENCY_P99\nweb            1ms");
        assert_eq!(table.within(17), "NAME  LATENCY_P99\nweb           1ms");
        assert_eq!(table.within(16), "NAME   P99\nweb    1ms");
        assert_eq!(table.within(5), "NAME P99\nweb  1ms");
    }

    #[test]
    fn a_share_has_the_digits_that_its_number_gives() {
        let text =
            [(22.0, 80), (80.0, 80), (0.0, 80), (299.0, 300), (562.0, 2_000), (9_999.0, 10_000), (1.0, 900)];
        let text = text.map(|(part, whole)| points(part / whole as f64, whole));
        assert_eq!(text, ["28", "100", "0", "99.7", "28.1", "99.99", "0.1"]);
        assert_eq!(points(999_999.0 / 1e6, 1_000_000), "99.9999");
        assert_eq!((share(None, 5), share(Some(0.5), 5)), ("-".to_owned(), "50%".to_owned()));
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a".to_owned(), "b".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(columns(&rows), "a     b\nlong\n");
    }
}
