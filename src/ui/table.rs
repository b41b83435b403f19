//! Tables as the field prints them: a heading in capitals, the first columns to the left, numbers to the right.

use console::{measure_text_width, pad_str, style};

/// Rows under a heading.
#[derive(Clone, Debug, Default)]
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
    left: usize,
}

/// What stands for a cell that is not known or does not apply.
pub const UNKNOWN: &str = "-";

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

    /// The heading's cells.
    pub fn heading(&self) -> &[String] {
        &self.heading
    }

    /// The rows' cells.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// The text, three spaces between columns.
    pub fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.heading.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells.chain([&self.heading[column]]).map(|cell| measure_text_width(cell)).max().unwrap_or(0)
            })
            .collect();
        let line = |row: &[String]| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let side =
                    if column < self.left { console::Alignment::Left } else { console::Alignment::Right };
                pad_str(cell, *width, side, None).into_owned()
            });
            cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
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
    fn columns_line_up() {
        let rows = [["a".to_owned(), "b".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(columns(&rows), "a     b\nlong\n");
    }
}
