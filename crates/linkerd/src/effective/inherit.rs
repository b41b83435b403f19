//! What a route inherits from its Service: its own settings replace those of the Service, separately for retries and timeouts.

use super::{Effective, Setting, Source, words};
use crate::policy::{PolicyError, Timeouts};

/// Returns whose retries a route uses, its own or those of the Service, and why.
pub(super) fn retry_source(own: bool, route: &Source) -> (Source, &'static str) {
    match own {
        true => (route.clone(), "the route's retry annotations replace the Service's"),
        false => (Source::Service, "the route has no retry annotation"),
    }
}

/// Returns the timeouts of a route: its own, else those of the Service, which are reported as without effect otherwise.
pub(super) fn timeouts_of(own: Timeouts, service: Timeouts, route: Source, found: &mut Effective) -> Setting {
    if own == Timeouts::default() {
        return words::timeouts(service, &Source::Service, "the route has no timeout");
    }
    if service != Timeouts::default() {
        found.ignore("Service", "timeout.linkerd.io/*", format!("{route} has timeouts"));
    }
    words::timeouts(own, &route, "the route's timeouts replace the Service's")
}

/// Returns the value of annotations; an invalid one is reported as without effect.
pub(super) fn read<T>(object: &str, value: Result<T, PolicyError>, found: &mut Effective) -> Option<T> {
    value.map_err(|error| found.ignore(object, error.key, error.what)).ok()
}
