//! Writes scalars on one line and breaks them at spaces after column 80, like Go's YAML library.

use super::text::{pad, printable};

/// Beyond this column a blank becomes a line break.
pub(super) const WIDTH: usize = 80;

/// How the lines of one text are laid out.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// The indentation of the lines after the first.
    pub(super) indent: usize,
    /// The column beyond which to break.
    pub(super) width: usize,
}

/// Writes a plain scalar.
pub(super) fn plain(out: &mut String, text: &str, line: Line) {
    let mut column = column(out);
    let mut characters = text.chars().peekable();
    let mut blank_before = false;
    while let Some(c) = characters.next() {
        // Of several blanks in a row none may be folded: the reader would join them to one.
        if c == ' ' && !blank_before && column > line.width && characters.peek() != Some(&' ') {
            column = fold(out, line);
        } else {
            out.push(c);
            column += 1;
        }
        blank_before = c == ' ';
    }
}

/// Writes a scalar in single quotes. A single quote in the text is doubled.
pub(super) fn single(out: &mut String, text: &str, line: Line) {
    out.push('\'');
    let mut column = column(out);
    let mut characters = text.chars().enumerate().peekable();
    let last = text.chars().count().saturating_sub(1);
    let mut blank_before = false;
    while let Some((index, c)) = characters.next() {
        let folds = c == ' ' && !blank_before && column > line.width && index > 0 && index < last;
        if folds && characters.peek().is_none_or(|(_, next)| *next != ' ') {
            column = fold(out, line);
        } else {
            if c == '\'' {
                out.push('\'');
                column += 1;
            }
            out.push(c);
            column += 1;
        }
        blank_before = c == ' ';
    }
    out.push('\'');
}

/// Writes a scalar in double quotes, with escapes.
pub(super) fn double(out: &mut String, text: &str, line: Line) {
    out.push('"');
    let mut column = column(out);
    let last = text.chars().count().saturating_sub(1);
    let mut blank_before = false;
    let mut characters = text.chars().enumerate().peekable();
    while let Some((index, c)) = characters.next() {
        if c == ' ' && !blank_before && column > line.width && index > 0 && index < last {
            column = fold(out, line);
            // The blank that follows would belong to the line's indentation.
            if characters.peek().is_some_and(|(_, next)| *next == ' ') {
                out.push('\\');
                column += 1;
            }
            blank_before = true;
            continue;
        }
        let before = out.len();
        escape(out, c);
        column += out[before..].chars().count();
        blank_before = c == ' ';
    }
    out.push('"');
}

fn escape(out: &mut String, c: char) {
    let short = match c {
        '\0' => Some('0'),
        '\u{7}' => Some('a'),
        '\u{8}' => Some('b'),
        '\t' => Some('t'),
        '\n' => Some('n'),
        '\u{B}' => Some('v'),
        '\u{C}' => Some('f'),
        '\r' => Some('r'),
        '\u{1B}' => Some('e'),
        '"' => Some('"'),
        '\\' => Some('\\'),
        '\u{85}' => Some('N'),
        '\u{2028}' => Some('L'),
        '\u{2029}' => Some('P'),
        _ => None,
    };
    match (short, u32::from(c)) {
        (Some(short), _) => out.extend(['\\', short]),
        _ if printable(c) => out.push(c),
        (_, code @ ..=0xFF) => out.push_str(&format!("\\x{code:02X}")),
        (_, code @ ..=0xFFFF) => out.push_str(&format!("\\u{code:04X}")),
        (_, code) => out.push_str(&format!("\\U{code:08X}")),
    }
}

/// Breaks the line and returns the column of the next line.
fn fold(out: &mut String, line: Line) -> usize {
    out.push('\n');
    pad(out, line.indent);
    line.indent
}

/// Returns the number of characters of the last line.
fn column(out: &str) -> usize {
    out[out.rfind('\n').map_or(0, |end| end + 1)..].chars().count()
}
