//! Where every request to a service went, and what it cost.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::routes::{Dialect, RouteCounts};

/// The outcomes of requests; a count that is not known is null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcomes {
    /// Requests that were sent.
    pub requests_count: u64,
    /// Succeeded on the first attempt.
    pub first_attempt_count: Option<u64>,
    /// Succeeded after retries.
    pub after_retries_count: Option<u64>,
    /// Of these, by the number of the attempt that succeeded.
    #[serde(deserialize_with = "by_number")]
    pub after_retries_by_attempt_count: BTreeMap<u32, u64>,
    /// Failed, retry budget exhausted.
    pub no_budget_count: u64,
    /// Failed, retry limit reached.
    pub limit_count: u64,
    /// Timed out.
    pub timed_out_count: u64,
    /// Rejected by the circuit breaker or by load shedding before they were sent. Null if a profile's counters, which do not
    /// name this error, have errors without a name.
    pub refused_count: Option<u64>,
    /// Failed, not retryable.
    pub not_retryable_count: u64,
    /// Attempts that were sent for these requests.
    pub attempts_count: u64,
    /// Attempts beyond the first, per request.
    #[serde(alias = "added_load_ratio")]
    pub added_attempts_per_request: Option<f64>,
    /// The median latency of requests that succeeded after retries, minus that of requests that succeeded on the first attempt, in
    /// milliseconds.
    pub added_latency_ms: Option<f64>,
    /// Where the counts of the proxies and of the service differ: by how much, and possible causes.
    pub remarks: Vec<String>,
}

/// Reads numbers as keys, which are texts in JSON: within a tagged enum serde does not convert them itself.
fn by_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u32, u64>, D::Error> {
    let texts = BTreeMap::<String, u64>::deserialize(deserializer)?;
    let numbers =
        texts.into_iter().map(|(key, count)| Ok((key.parse().map_err(serde::de::Error::custom)?, count)));
    numbers.collect()
}
/// Responses by which the counts of proxies and service may differ, or a quarter if that is more: both are read one after the other
/// while requests go on. With a larger difference it is not known how many attempts the responses took.
const TOLERATED: u64 = 5;

/// What the test service counted in the same time: successful responses by the number of their attempts.
pub type Served = BTreeMap<u32, u64>;

impl Outcomes {
    /// Joins the clients' counters and, where there is one, the test service's own count.
    pub fn of(routes: &BTreeMap<(Dialect, String), RouteCounts>, served: Option<&Served>) -> Self {
        let mut all = RouteCounts::default();
        routes.values().for_each(|route| all.add(route));
        // A request that was sent before the window and ended in it counts as one of the window: no share exceeds 100 %.
        let requests = all.requests_count.max(all.succeeded_count + all.failed_count);
        // Each failed request has one outcome, even where two counters name it: a retry that the breaker rejected can also be
        // the last one of the limit.
        let mut left = all.failed_count;
        let mut take = |count: u64| {
            let taken = count.min(left);
            left -= taken;
            taken
        };
        let (timed_out, refused) = (take(all.timed_out_count), take(all.refused_count));
        let (no_budget, limit) = (take(all.no_budget_count), take(all.limit_count));
        let mut outcomes = Self {
            requests_count: requests,
            no_budget_count: no_budget,
            limit_count: limit,
            timed_out_count: timed_out,
            refused_count: (all.unnamed_error_count == 0).then_some(refused),
            not_retryable_count: left,
            attempts_count: all.attempts_count,
            added_attempts_per_request: (requests > 0)
                .then(|| all.attempts_count as f64 / requests as f64 - 1.0),
            ..Self::default()
        };
        if all.retries() == 0 {
            outcomes.first_attempt_count = Some(all.succeeded_count);
            outcomes.after_retries_count = Some(0);
        }
        if all.unnamed_error_count > 0 {
            outcomes.remarks.push(format!(
                "{} requests ended in an error that a profile's counters do not name: connections that broke, and what \
                 a full queue refused; they stand under not retryable",
                all.unnamed_error_count
            ));
        }
        match served {
            Some(served) => outcomes.take_served(served, all.succeeded_count),
            None => outcomes.take_saved(routes, &all),
        }
        outcomes
    }

    /// Takes the successes after retries from the clients' counters, which those of a profile do not have.
    fn take_saved(&mut self, routes: &BTreeMap<(Dialect, String), RouteCounts>, all: &RouteCounts) {
        if self.first_attempt_count.is_some() {
            return;
        }
        if routes.values().any(|route| route.dialect == Dialect::Profile && route.retries() > 0) {
            self.remarks.push(
                "successes after retries are not known: proxies do not count them for a ServiceProfile, and only meshy's test \
                 service counts them itself"
                    .to_owned(),
            );
            return;
        }
        let saved = all.saved_count.min(all.succeeded_count);
        self.first_attempt_count = Some(all.succeeded_count - saved);
        self.after_retries_count = Some(saved);
    }

    /// Takes the number of attempts of each good response from the service's own count. The proxies say how many responses the
    /// clients got; a service also counts those that came too late, or whose client's proxy restarted.
    fn take_served(&mut self, served: &Served, succeeded: u64) {
        let by_service: u64 = served.values().sum();
        let difference = by_service.abs_diff(succeeded);
        if difference > 0 {
            let late = if by_service > succeeded && self.timed_out_count > 0 {
                format!(
                    "responses that the service gave after a timeout ({} requests timed out), ",
                    self.timed_out_count
                )
            } else {
                String::new()
            };
            self.remarks.push(format!(
                "the proxies count {succeeded} good responses, the service {by_service}: {late}requests that were open at \
                 either end of the window, were sent past the proxies, or whose proxy restarted"
            ));
        }
        if self.first_attempt_count.is_some() {
            // Without retries the proxies alone say it.
            return;
        }
        if difference > TOLERATED.max(succeeded / 4) {
            return;
        }
        let mut attempts = apportioned(served, succeeded);
        self.first_attempt_count = Some(attempts.remove(&1).unwrap_or(0));
        self.after_retries_count = Some(attempts.values().sum());
        self.after_retries_by_attempt_count = attempts;
    }

    /// The rows as words and counts; none where it is not known.
    pub fn rows(&self) -> Vec<(String, Option<u64>)> {
        const APART: u32 = 4;
        let mut rows = vec![("succeeded on the first attempt".to_owned(), self.first_attempt_count)];
        rows.push(("succeeded after retries".to_owned(), self.after_retries_count));
        for (number, count) in self.after_retries_by_attempt_count.range(..=APART) {
            rows.push((format!("  on attempt {number}"), Some(*count)));
        }
        let later: u64 = self.after_retries_by_attempt_count.range(APART + 1..).map(|(_, count)| count).sum();
        if later > 0 {
            rows.push((format!("  on attempt {} or later", APART + 1), Some(later)));
        }
        rows.push(("failed, retry budget exhausted".to_owned(), Some(self.no_budget_count)));
        rows.push(("failed, retry limit reached".to_owned(), Some(self.limit_count)));
        rows.push(("failed, not retryable".to_owned(), Some(self.not_retryable_count)));
        rows.push(("timed out".to_owned(), Some(self.timed_out_count)));
        rows.push(("rejected by the circuit breaker".to_owned(), self.refused_count));
        rows
    }
}

/// Returns counts in the same proportion whose sum is `total`: whole numbers, the largest remainders rounded up.
fn apportioned(served: &Served, total: u64) -> Served {
    let sum: u128 = served.values().map(|count| u128::from(*count)).sum();
    if sum == 0 {
        return Served::new();
    }
    let mut remainders = Vec::new();
    let mut shares = Served::new();
    for (attempt, count) in served {
        let exact = u128::from(*count) * u128::from(total);
        // Not more than `total`, so it fits.
        shares.insert(*attempt, u64::try_from(exact / sum).unwrap_or(total));
        remainders.push((exact % sum, std::cmp::Reverse(*attempt)));
    }
    remainders.sort();
    let missing = total - shares.values().sum::<u64>();
    for (_, std::cmp::Reverse(attempt)) in remainders.into_iter().rev().take(missing as usize) {
        *shares.entry(attempt).or_default() += 1;
    }
    shares.retain(|_, count| *count > 0);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(counts: RouteCounts, served: &[(u32, u64)]) -> Outcomes {
        let routes = [((counts.dialect, String::new()), counts)].into();
        Outcomes::of(&routes, Some(&served.iter().copied().collect()))
    }

    /// The sum of the classes, without the rows that split another one.
    fn whole(outcomes: &Outcomes) -> u64 {
        let rows = outcomes.rows().into_iter().filter(|(name, _)| !name.starts_with(' '));
        rows.filter_map(|(_, count)| count).sum()
    }

    #[test]
    fn responses_after_a_timeout_are_not_a_second_outcome_of_their_requests() {
        let counts = RouteCounts {
            dialect: Dialect::Policy,
            requests_count: 100,
            succeeded_count: 54,
            failed_count: 46,
            timed_out_count: 46,
            attempts_count: 100,
            ..RouteCounts::default()
        };
        // Four of the requests that timed out were answered by the service later.
        let found = outcomes(counts.clone(), &[(1, 58)]);
        assert_eq!((found.first_attempt_count, found.timed_out_count), (Some(54), 46));
        assert_eq!(whole(&found), 100);
        assert!(found.remarks[0].contains("after a timeout (46 requests timed out)"), "{:?}", found.remarks);
        let retried = RouteCounts { attempts_count: 130, ..counts };
        let found = outcomes(retried, &[(1, 40), (2, 16)]);
        assert_eq!((found.first_attempt_count, found.after_retries_count), (Some(39), Some(15)));
        assert_eq!((whole(&found), &found.after_retries_by_attempt_count), (100, &[(2, 15)].into()));
    }

    #[test]
    fn without_the_test_service_the_proxies_count_what_retries_saved_except_for_a_profile() {
        let counts = |dialect| RouteCounts {
            dialect,
            requests_count: 40,
            succeeded_count: 38,
            failed_count: 2,
            limit_count: 2,
            attempts_count: 57,
            saved_count: 11,
            ..RouteCounts::default()
        };
        let found = |dialect| Outcomes::of(&[((dialect, "r".to_owned()), counts(dialect))].into(), None);
        let policy = found(Dialect::Policy);
        assert_eq!((policy.first_attempt_count, policy.after_retries_count), (Some(27), Some(11)));
        assert!(policy.remarks.is_empty(), "{:?}", policy.remarks);
        let profile = found(Dialect::Profile);
        assert_eq!((profile.first_attempt_count, profile.after_retries_count), (None, None));
        assert!(profile.remarks[0].contains("only meshy's test service"), "{:?}", profile.remarks);
    }

    #[test]
    fn what_a_service_counted_for_a_proxy_that_restarted_is_not_a_share_of_what_is_left() {
        // `retry apply --restart-clients` during a load: 180 requests, of which the new proxy counted 18.
        let counts = RouteCounts {
            requests_count: 18,
            succeeded_count: 18,
            attempts_count: 50,
            ..RouteCounts::default()
        };
        let found = outcomes(counts, &[(1, 101), (2, 40)]);
        assert_eq!((found.first_attempt_count, found.after_retries_count), (None, None));
        assert!(whole(&found) <= found.requests_count && found.remarks[0].contains("restarted"));
    }

    #[test]
    fn a_request_that_two_counters_name_has_one_outcome() {
        let counts = RouteCounts {
            requests_count: 9,
            succeeded_count: 0,
            failed_count: 10,
            refused_count: 8,
            limit_count: 5,
            attempts_count: 7,
            ..RouteCounts::default()
        };
        let found = outcomes(counts, &[]);
        assert_eq!((found.refused_count, found.limit_count, found.not_retryable_count), (Some(8), 2, 0));
        // One was sent before the window.
        assert_eq!((found.requests_count, whole(&found)), (10, 10));
    }

    #[test]
    fn apportioned_counts_have_the_wanted_sum() {
        let served = [(1, 5), (2, 3), (3, 1)].into();
        for total in 0..30 {
            assert_eq!(apportioned(&served, total).values().sum::<u64>(), total);
        }
        assert_eq!(apportioned(&served, 8), [(1, 4), (2, 3), (3, 1)].into());
    }
}
