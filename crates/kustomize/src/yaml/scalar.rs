//! Writes a string as a plain, quoted or block scalar.

use super::fold;
use super::text::{pad, printable};

/// Writes `text` as a value whose parent is indented by `indent`.
pub(super) fn write(out: &mut String, text: &str, indent: usize) {
    let shape = Shape::of(text);
    if text.contains('\n') && shape.block {
        literal(out, text, indent);
    } else {
        line(out, text, &shape, indent, false);
    }
}

/// Writes `text` as a key: always on one line.
pub(super) fn write_key(out: &mut String, text: &str, indent: usize) {
    line(out, text, &Shape::of(text), indent, true);
}

fn line(out: &mut String, text: &str, shape: &Shape, indent: usize, key: bool) {
    let width = if key { usize::MAX } else { fold::WIDTH };
    let at = fold::Line { indent: indent + 2, width };
    if text.is_empty() || reads_as_other(text) || shape.double || (text.contains('\n')) {
        fold::double(out, text, at);
    } else if shape.plain {
        fold::plain(out, text, at);
    } else {
        fold::single(out, text, at);
    }
}

/// A block scalar: the lines as they are, with a head that keeps the line ends at its end.
fn literal(out: &mut String, text: &str, indent: usize) {
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    match text.strip_suffix('\n') {
        None => out.push('-'),
        Some(rest) if rest.is_empty() || rest.ends_with('\n') => out.push('+'),
        Some(_) => {}
    }
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent + 2);
            out.push_str(line);
        }
    }
}

/// The YAML styles that can represent a string.
struct Shape {
    /// Without quotes.
    plain: bool,
    /// As a block.
    block: bool,
    /// Only in double quotes: it has characters that need escapes.
    double: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let mut shape = Self { plain: true, block: true, double: false };
        let breaks = |c: char| matches!(c, '\n' | '\u{85}' | '\u{2028}' | '\u{2029}');
        if text.starts_with("---") || text.starts_with("...") {
            shape.plain = false;
        }
        let mut previous = None;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let next = characters.peek().copied();
            let blank_next =
                next.is_none_or(|next| next == ' ' || next == '\t' || breaks(next) || next == '\r');
            let first = previous.is_none();
            let after_blank = previous.is_none_or(|p| p == ' ' || p == '\t' || breaks(p));
            let flags = match c {
                '#' => after_blank,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => {
                    first
                }
                '-' | '?' => first && blank_next,
                ':' => blank_next,
                _ => false,
            };
            if flags || ((first || next.is_none()) && (c == ' ' || breaks(c))) || breaks(c) {
                shape.plain = false;
            }
            // A block scalar must not have trailing spaces.
            if c == ' ' && next.is_none_or(breaks) {
                shape.block = false;
                shape.double |= next.is_some();
            }
            if !printable(c) && !breaks(c) {
                shape.double = true;
                shape.block = false;
            }
            previous = Some(c);
        }
        shape
    }
}

/// Returns whether a YAML parser would read `text` without quotes as something other than a string.
fn reads_as_other(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", "y", "Y", "yes",
        "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF", ".nan", ".NaN",
        ".NAN", ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
    ];
    WORDS.contains(&text) || number(text) || sexagesimal(text) || date(text)
}

fn number(text: &str) -> bool {
    let bare = text.replace('_', "");
    // A number does not start with an underscore and has at least one digit.
    if text.starts_with('_')
        || !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
    {
        return false;
    }
    let unsigned = bare.strip_prefix(['+', '-']).unwrap_or(&bare);
    let radix = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)];
    if let Some((digits, radix)) =
        radix.iter().find_map(|(mark, radix)| Some((unsigned.strip_prefix(mark)?, *radix)))
    {
        return !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    }
    unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned.parse::<f64>().is_ok()
}

/// `12:30`, which YAML 1.1 reads as 750.
fn sexagesimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let head = parts.next().unwrap_or_default();
    let tail: Vec<_> = parts.collect();
    head.starts_with(|c: char| c.is_ascii_digit())
        && head.chars().all(|c| c.is_ascii_digit() || c == '_')
        && !tail.is_empty()
        && tail.iter().all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']))
        && fraction.chars().all(|c| c.is_ascii_digit() || c == '_')
}

/// `2020-01-01`, with or without a time.
fn date(text: &str) -> bool {
    let digits = |part: &str, range: std::ops::RangeInclusive<usize>| {
        range.contains(&part.len()) && part.chars().all(|c| c.is_ascii_digit())
    };
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(end);
    digits(year, 4..=4)
        && digits(month, 1..=2)
        && digits(day, 1..=2)
        && (time.is_empty() || (time.starts_with(['T', 't', ' ']) && time.contains(':')))
}
