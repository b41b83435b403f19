//! The text of a proxy's response: the Prometheus exposition format as far as proxies use it.

use thiserror::Error;

use super::families;
use super::series::{Scrape, Series, closing_quote};

/// A line that is not a sample.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("line {line} of the metrics is not a sample: {why}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The highest value that is kept: beyond it not every number has an exact float, and proxies begin at zero again.
const HIGHEST: f64 = (1_u64 << 53) as f64;

/// Reads a dump.
///
/// # Errors
/// The first line that is neither empty, a comment nor a sample, or that gives one of the kept families what no proxy
/// counts to: less than zero, no number, infinity.
pub fn parse(text: &str) -> Result<Scrape, ParseError> {
    let mut scrape = Scrape::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |why| ParseError { line: number + 1, why };
        let (name, labels, value) = sample(line).map_err(wrong)?;
        if families::kind(name).is_some() {
            if !(0.0..=HIGHEST).contains(&value) {
                return Err(wrong("the value is not a count"));
            }
            scrape.insert(Series::new(name, labels), value);
        }
    }
    Ok(scrape)
}

/// A line as name, labels and value. A time stamp after the value is passed over.
fn sample(line: &str) -> Result<(&str, &str, f64), &'static str> {
    let end = line.find(['{', ' ', '\t']).ok_or("there is no value")?;
    let (name, rest) = line.split_at(end);
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    if name.is_empty() || !name.chars().all(valid) {
        return Err("the name has a character that no name has");
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => {
            let close = closing_brace(inside).ok_or("the labels do not end")?;
            (inside[..close].trim_end_matches(','), &inside[close + 1..])
        }
        None => ("", rest),
    };
    let value = rest.split_whitespace().next().ok_or("there is no value")?;
    let value = match value {
        "+Inf" | "Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        number => number.parse().map_err(|_| "the value is not a number")?,
    };
    Ok((name, labels, value))
}

/// Where the labels end: the first closing brace outside a quoted value.
fn closing_brace(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let next = at + text[at..].find(['"', '}'])?;
        if text.as_bytes()[next] == b'}' {
            return Some(next);
        }
        at = next + 2 + closing_quote(&text[next + 1..])?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_and_without_labels() {
        let text = "# HELP request_total x\n\nrequest_total{direction=\"inbound\",note=\"a}b\",} 3 1700000000000\n\
                    process_start_time_seconds 1.5e3\ntokio_rt_workers 2\n";
        let scrape = parse(text).unwrap();
        assert_eq!(scrape.len(), 2);
        assert_eq!(scrape.sum("request_total", |s| s.is("note", "a}b")), 3.0);
        assert_eq!(scrape.started(), Some(1500.0));
    }

    #[test]
    fn a_line_that_is_no_sample_is_named() {
        for (text, line) in [
            ("request_total", 1),
            ("\nrequest_total{a=\"b\" 1", 2),
            ("request_total{a=\"b\"} much", 1),
            ("<html> 1", 1),
            ("request_total{} ", 1),
            ("go_gc_seconds NaN\nrequest_total NaN", 2),
            ("request_total -1", 1),
            ("request_total +Inf", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
