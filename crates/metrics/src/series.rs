//! Series and their values: one proxy's state at one moment, or what changed between two.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::families::{self, Kind};

/// A series: its name and its labels, kept as the proxy wrote them. A proxy writes a series' labels in the same order
/// each time, so the text itself is the identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    text: Box<str>,
    name: usize,
}

impl Series {
    /// A series out of its name and the text between the braces.
    pub fn new(name: &str, labels: &str) -> Self {
        let text = if labels.is_empty() { name.into() } else { format!("{name}{{{labels}}}").into() };
        Self { text, name: name.len() }
    }

    /// The metric's name.
    pub fn name(&self) -> &str {
        &self.text[..self.name]
    }

    /// A label's value; an empty value is a value.
    pub fn label(&self, wanted: &str) -> Option<Cow<'_, str>> {
        self.labels().find(|(name, _)| *name == wanted).map(|(_, value)| unescape(value))
    }

    /// Whether a label has this value.
    pub fn is(&self, label: &str, value: &str) -> bool {
        self.label(label).is_some_and(|found| found == value)
    }

    fn labels(&self) -> Labels<'_> {
        let rest = self.text[self.name..].trim_start_matches('{').trim_end_matches('}');
        Labels { rest }
    }
}

struct Labels<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.rest.trim_start_matches([',', ' ']).split_once("=\"")?;
        let end = closing_quote(rest)?;
        self.rest = &rest[end + 1..];
        Some((name, &rest[..end]))
    }
}

/// Where a quoted value ends: the first quote that no backslash escapes.
pub(super) fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => {}
            },
            (c, false) => plain.push(c),
        }
    }
    Cow::Owned(plain)
}

/// The series of one proxy with their values. A clone shares them: a sampler returns the latest scrape of each proxy in each turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scrape {
    values: Arc<HashMap<Series, f64>>,
}

impl Scrape {
    /// Keeps a value; a series that comes twice keeps the last.
    pub fn insert(&mut self, series: Series, value: f64) {
        Arc::make_mut(&mut self.values).insert(series, value);
    }

    /// The series of one name with their values.
    ///
    /// # Panics
    /// In debug builds, where the family is not among those that are kept.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Series, f64)> {
        debug_assert!(families::kind(name).is_some(), "no scrape keeps `{name}`: add it to `families`");
        self.values
            .iter()
            .filter(move |(series, _)| series.name() == name)
            .map(|(series, value)| (series, *value))
    }

    /// The sum of a metric over the series that fit.
    pub fn sum(&self, name: &str, fits: impl Fn(&Series) -> bool) -> f64 {
        self.of(name).filter(|(series, _)| fits(series)).map(|(_, value)| value).sum()
    }

    /// Returns the series as the text that [`super::text::parse`] reads, in order.
    pub fn to_text(&self) -> String {
        let mut lines: Vec<String> =
            self.values.iter().map(|(series, value)| format!("{} {value}\n", series.text)).collect();
        lines.sort_unstable();
        lines.concat()
    }

    /// How many series are held.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What happened since `before`: counters as their increase, gauges as they stand now.
    ///
    /// A counter below its former value, and every counter of a proxy that has started again in between, counts from
    /// zero. A series that is gone (proxies drop one after ten idle minutes) did not move. Without a `before`
    /// everything counts from zero.
    #[must_use]
    pub fn since(&self, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.started() == self.started());
        let change = |(series, now): (&Series, &f64)| {
            let then = before.and_then(|before| before.values.get(series)).copied().unwrap_or(0.0);
            let is_state = families::kind(series.name()) == Some(Kind::Gauge);
            let value = if is_state || *now < then { *now } else { *now - then };
            (series.clone(), value)
        };
        Self { values: Arc::new(self.values.iter().map(change).collect()) }
    }

    /// When the proxy started, in seconds since 1970; none if that is not reported.
    pub fn started(&self) -> Option<f64> {
        self.of("process_start_time_seconds").map(|(_, value)| value).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrape(values: &[(&str, f64)]) -> Scrape {
        let mut scrape = Scrape::default();
        for (name, value) in values {
            scrape.insert(Series::new(name, ""), *value);
        }
        scrape
    }

    #[test]
    fn labels_are_found_and_unescaped() {
        let series = Series::new("m", r#"a="1",path="a \"b\", c=\\d",empty="""#);
        assert_eq!(series.label("a").unwrap(), "1");
        assert_eq!(series.label("path").unwrap(), r#"a "b", c=\d"#);
        assert_eq!(series.label("empty").unwrap(), "");
        assert_eq!(series.label("c"), None);
    }

    #[test]
    fn a_difference_is_the_increase_of_counters_and_the_state_of_gauges() {
        let before =
            scrape(&[("request_total", 10.0), ("response_total", 5.0), ("tcp_open_connections", 9.0)]);
        let after =
            scrape(&[("request_total", 12.0), ("route_request_total", 3.0), ("tcp_open_connections", 4.0)]);
        let change = after.since(Some(&before));
        assert_eq!(
            change,
            scrape(&[("request_total", 2.0), ("route_request_total", 3.0), ("tcp_open_connections", 4.0)])
        );
    }

    #[test]
    fn a_proxy_that_restarted_counts_from_zero() {
        let before = scrape(&[("process_start_time_seconds", 100.0), ("request_total", 10.0)]);
        let after = scrape(&[("process_start_time_seconds", 200.0), ("request_total", 12.0)]);
        assert_eq!(after.since(Some(&before)).sum("request_total", |_| true), 12.0);
        let unsaid = scrape(&[("request_total", 4.0)]).since(Some(&scrape(&[("request_total", 10.0)])));
        assert_eq!(unsaid.sum("request_total", |_| true), 4.0);
    }
}
