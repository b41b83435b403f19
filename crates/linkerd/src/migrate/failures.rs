//! The statuses that a profile's route retries, as the annotation writes them.

use crate::profile::{ResponseMatch, Route};

/// Returns the statuses from 100 to 599 that count as failures of the route, as a list of codes and ranges; empty if there are
/// none. The first class that matches decides; without one, 5xx are failures.
pub(super) fn statuses(route: &Route) -> String {
    let failure = |status: u32| {
        let class = route.response_classes.iter().find(|class| holds(&class.condition, status));
        class.map_or(status >= 500, |class| class.is_failure)
    };
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for status in (100..600).filter(|status| failure(*status)) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => ranges.push((status, status)),
        }
    }
    let text = |(from, to): (u32, u32)| match (from, to) {
        (500, 599) => "5xx".to_owned(),
        _ if from == to => from.to_string(),
        _ => format!("{from}-{to}"),
    };
    ranges.into_iter().map(text).collect::<Vec<_>>().join(",")
}

/// Returns whether a condition holds for a status. A missing end of a range counts as 0.
fn holds(condition: &ResponseMatch, status: u32) -> bool {
    condition.status.is_none_or(|range| (range.min..=range.max).contains(&status))
        && condition.all.iter().flatten().all(|part| holds(part, status))
        && condition.any.as_ref().is_none_or(|parts| parts.iter().any(|part| holds(part, status)))
        && condition.not.as_ref().is_none_or(|part| !holds(part, status))
}
