//! The services that sent requests.

use std::collections::BTreeMap;

/// The most callers that are counted by name, and the longest name in bytes (that of a Kubernetes Service).
const MAX_CALLERS: usize = 64;
const MAX_NAME: usize = 63;

/// The name under which all further callers are counted. A Kubernetes Service cannot have it.
const OTHER: &str = "(other)";

/// Requests by caller. The number of names is bounded, because any client can send the header.
#[derive(Debug, Default)]
pub(crate) struct Callers(BTreeMap<String, u64>);

impl Callers {
    /// Counts a request; returns the name under which it was counted.
    pub(crate) fn count<'a>(&mut self, caller: &'a [u8]) -> &'a str {
        let name = std::str::from_utf8(caller).ok().filter(|name| (1..=MAX_NAME).contains(&name.len()));
        let known = name.filter(|name| self.0.contains_key(*name) || self.0.len() < MAX_CALLERS);
        let name = known.unwrap_or(OTHER);
        match self.0.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.0.insert(name.to_owned(), 1)),
        }
        name
    }

    /// Returns the requests by caller.
    pub(crate) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_caller() {
        let mut callers = Callers::default();
        let names = ["b", "a", "b"].map(|name| callers.count(name.as_bytes()).to_owned());
        assert_eq!(names, ["b", "a", "b"]);
        assert_eq!(callers.counts(), &[("a".to_owned(), 1), ("b".to_owned(), 2)].into());
    }

    #[test]
    fn names_beyond_the_bound_are_counted_as_other() {
        let mut callers = Callers::default();
        for number in 0..1_000 {
            callers.count(format!("caller-{number}").as_bytes());
        }
        callers.count(&[b'x'; 64]);
        callers.count(b"\xff");
        callers.count(b"");
        assert_eq!(callers.count(b"caller-0"), "caller-0");
        assert_eq!(callers.counts().len(), MAX_CALLERS + 1);
        assert_eq!(callers.counts()[OTHER], 1_000 - 64 + 3);
        assert_eq!(callers.counts().values().sum::<u64>(), 1_004);
    }
}
