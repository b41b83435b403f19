//! What the circuit breakers of clients do with the endpoints of a Service, in one line.

use std::collections::BTreeMap;

use serde::Serialize;

/// The most endpoints that are shown.
const MOST: usize = 6;

/// What the circuit breakers of clients do with one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointBreakers {
    /// The pod.
    pub endpoint: String,
    /// The number of clients by the state that they see: `open`, `failing`, `unknown`, `ready`.
    pub clients: BTreeMap<String, usize>,
}

impl EndpointBreakers {
    /// The worst state at a client, and the number of clients with it.
    fn worst(&self) -> (usize, &str, usize) {
        let rank = |state: &str| ["open", "failing", "unknown", "ready"].iter().position(|one| *one == state);
        let ranked = self.clients.iter().map(|(state, count)| (rank(state).unwrap_or(4), &**state, *count));
        ranked.min().unwrap_or((4, "unknown", 0))
    }

    fn words(&self) -> String {
        let (_, state, count) = self.worst();
        match self.clients.values().sum::<usize>() {
            all if all == count => format!("{} {state}", self.endpoint),
            all => format!("{} {state} for {count} of {all} clients", self.endpoint),
        }
    }
}

/// Returns the endpoints in a line, those with open breakers first.
pub(super) fn in_words(endpoints: &[EndpointBreakers]) -> String {
    if endpoints.is_empty() {
        return "no client has sent a request".to_owned();
    }
    let mut sorted: Vec<&EndpointBreakers> = endpoints.iter().collect();
    sorted.sort_by_key(|one| (one.worst().0, &one.endpoint));
    let mut words: Vec<String> = sorted.iter().take(MOST).map(|one| one.words()).collect();
    if sorted.len() > MOST {
        words.push(format!("{} more", sorted.len() - MOST));
    }
    words.join(", ")
}
