//! Outcomes under a profile and under its translation: what is different, and which of the named differences that shows.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use meshy_linkerd::migrate::{Difference, Kind};
use serde::Serialize;

use super::probes::Probe;

/// A retry after a back-off comes at least 25 ms later, without one at once; less, as the times of two runs are compared.
const BACKOFF: Duration = Duration::from_millis(20);

/// A difference of success shares that a single request in flight does not explain.
const SHARE: f64 = 0.15;

/// A response as the client gets it; status 0 if there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    /// The header `l5d-proxy-error`.
    pub(super) error: Option<String>,
    /// The proxy closes the connection.
    pub(super) closes: bool,
    pub(super) latency: Duration,
}

/// The outcomes of the requests of a probe in a mode.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcomes {
    pub(super) mode: String,
    pub(super) probe: Probe,
    pub(super) responses: Vec<Response>,
    /// Requests that reached the service.
    pub(super) attempts: u64,
    /// Requests that the client's proxy counts as successes, and as failures.
    pub(super) proxy_succeeded: u64,
    pub(super) proxy_failed: u64,
}

impl Outcomes {
    fn statuses(&self) -> BTreeMap<u16, usize> {
        let mut statuses = BTreeMap::new();
        self.responses.iter().for_each(|response| *statuses.entry(response.status).or_default() += 1);
        statuses
    }

    fn attempts_per_request(&self) -> f64 {
        self.attempts as f64 / self.responses.len().max(1) as f64
    }

    /// The share of requests that the proxy counts as successes; none without requests.
    fn success(&self) -> Option<f64> {
        let all = self.proxy_succeeded + self.proxy_failed;
        (all > 0).then(|| self.proxy_succeeded as f64 / all as f64)
    }

    fn shortest(&self) -> Duration {
        self.responses.iter().map(|response| response.latency).min().unwrap_or_default()
    }

    /// The texts of errors that the proxy made, and whether it closed the connection.
    fn errors(&self) -> Vec<(Option<&str>, bool)> {
        let mut errors: Vec<_> =
            self.responses.iter().map(|response| (response.error.as_deref(), response.closes)).collect();
        errors.sort_unstable();
        errors.dedup();
        errors
    }

    fn has_proxy_status(&self, status: u16) -> bool {
        self.responses.iter().any(|response| response.status == status && response.error.is_some())
    }
}

/// A row of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Row {
    /// How the service behaved.
    pub mode: String,
    /// The request.
    pub probe: Probe,
    /// Responses by status under the profile, and under the routes.
    pub statuses: [BTreeMap<u16, usize>; 2],
    /// Attempts per request, likewise.
    pub attempts_per_request: [f64; 2],
    /// The share of successes as the client's proxy counts them, likewise.
    pub proxy_success_ratio: [Option<f64>; 2],
    /// The shortest latency in milliseconds, likewise.
    pub shortest_ms: [f64; 2],
    /// What is different; empty if the outcomes are equal.
    pub different: Vec<What>,
}

/// Something that is different in outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum What {
    /// The statuses.
    Statuses,
    /// The attempts per request.
    Attempts,
    /// Which responses count as successes.
    Classes,
    /// The errors that the proxy made.
    Errors,
    /// Retries follow later.
    Backoff,
}

/// A named difference, and the first row that shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Shown {
    /// The difference.
    pub difference: Difference,
    /// Mode and request; none if the load does not show it.
    pub by: Option<String>,
}

/// The result of a proof.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Proof {
    /// The outcomes next to each other.
    pub rows: Vec<Row>,
    /// The named differences.
    pub differences: Vec<Shown>,
}

impl Proof {
    /// Compares the outcomes of the same plan.
    pub(super) fn of(differences: Vec<Difference>, before: Vec<Outcomes>, after: Vec<Outcomes>) -> Self {
        let pairs: Vec<(&Outcomes, &Outcomes)> = before.iter().zip(&after).collect();
        let rows = pairs.iter().map(|(a, b)| row(a, b)).collect();
        let shown = |difference: Difference| {
            let by = pairs.iter().find(|(a, b)| shows(difference.kind, a, b));
            let by = by.map(|(a, _)| {
                format!("{} {} if the service {}", a.probe.method, a.probe.path, mode(&a.mode))
            });
            Shown { difference, by }
        };
        Self { rows, differences: differences.into_iter().map(shown).collect() }
    }

    /// Returns whether all outcomes are equal.
    pub(crate) fn is_equal(&self) -> bool {
        self.rows.iter().all(|row| row.different.is_empty())
    }

    /// Returns the rows that are different although no difference was named.
    pub(crate) fn unnamed(&self) -> Vec<&Row> {
        if self.differences.is_empty() {
            self.rows.iter().filter(|row| !row.different.is_empty()).collect()
        } else {
            Vec::new()
        }
    }
}

fn mode(name: &str) -> &str {
    if name == "good" { "responds 200" } else { name }
}

fn row(a: &Outcomes, b: &Outcomes) -> Row {
    let mut different = Vec::new();
    let mut note = |is_different: bool, what: What| {
        if is_different {
            different.push(what);
        }
    };
    note(a.statuses() != b.statuses(), What::Statuses);
    note(attempts_differ(a, b), What::Attempts);
    note(classes_differ(a, b), What::Classes);
    note(a.errors() != b.errors(), What::Errors);
    note(backoff_differs(a, b), What::Backoff);
    Row {
        mode: a.mode.clone(),
        probe: a.probe.clone(),
        statuses: [a.statuses(), b.statuses()],
        attempts_per_request: [a.attempts_per_request(), b.attempts_per_request()],
        proxy_success_ratio: [a.success(), b.success()],
        shortest_ms: [a, b].map(|one| one.shortest().as_secs_f64() * 1000.0),
        different,
    }
}

fn attempts_differ(a: &Outcomes, b: &Outcomes) -> bool {
    (a.attempts_per_request() - b.attempts_per_request()).abs() > 0.5
}

fn classes_differ(a: &Outcomes, b: &Outcomes) -> bool {
    // Only where the statuses agree: another status is another outcome.
    a.statuses() == b.statuses() && a.success().zip(b.success()).is_some_and(|(a, b)| (a - b).abs() > SHARE)
}

/// Retries after a back-off: the quickest request has at least one, and without the back-off the quickest one has none to wait
/// for.
fn backoff_differs(a: &Outcomes, b: &Outcomes) -> bool {
    b.attempts_per_request() > 1.5 && b.shortest() >= a.shortest() + BACKOFF
}

/// Returns whether a pair of outcomes shows a kind of difference.
fn shows(kind: Kind, a: &Outcomes, b: &Outcomes) -> bool {
    let row = row(a, b);
    let has = |what: What| row.different.contains(&what);
    match kind {
        Kind::UnmatchedRequests => b.has_proxy_status(404) && !a.has_proxy_status(404),
        Kind::BudgetBecomesLimit => a.mode == "fails" && has(What::Attempts),
        Kind::RetryBackoff => has(What::Backoff),
        Kind::ResponseClasses => has(What::Classes),
        Kind::TimeoutResponse => a.has_proxy_status(504) && b.has_proxy_status(504) && has(What::Errors),
        Kind::RouteOrder => has(What::Statuses) || has(What::Attempts),
        Kind::BackendLost => a.mode == "good" && has(What::Statuses),
        Kind::ConditionLost
        | Kind::MethodLost
        | Kind::ExpressionAnchors
        | Kind::AnnotationsApply
        | Kind::OpaquePorts => !row.different.is_empty(),
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in self.rows.iter().filter(|row| !row.different.is_empty()) {
            writeln!(f, "{} {}, if the service {}", row.probe.method, row.probe.path, mode(&row.mode))?;
            for (index, under) in ["ServiceProfile", "routes"].into_iter().enumerate() {
                let statuses: Vec<String> = row.statuses[index]
                    .iter()
                    .map(|(status, count)| format!("{count} × {}", word(*status)))
                    .collect();
                let success = row.proxy_success_ratio[index]
                    .map_or("-".to_owned(), |share| format!("{:.0} %", share * 100.0));
                writeln!(
                    f,
                    "  {under:<15} {}; {:.1} attempts per request; counted as success: {success}; shortest {:.0} ms",
                    statuses.join(", "),
                    row.attempts_per_request[index],
                    row.shortest_ms[index],
                )?;
            }
        }
        if self.is_equal() {
            writeln!(f, "equal outcomes in all {} rows", self.rows.len())?;
        }
        for Shown { difference, by } in &self.differences {
            let by = by.as_deref().unwrap_or("not shown by this load");
            writeln!(f, "{:<20} {by}", difference.kind.to_string())?;
        }
        Ok(())
    }
}

fn word(status: u16) -> String {
    if status == 0 { "no response".to_owned() } else { status.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(mode: &str, status: u16, error: Option<&str>, attempts: u64, shortest: u64) -> Outcomes {
        let response = Response {
            status,
            error: error.map(str::to_owned),
            closes: false,
            latency: Duration::from_millis(shortest),
        };
        Outcomes {
            mode: mode.to_owned(),
            probe: Probe { method: "GET".to_owned(), path: "/".to_owned() },
            responses: vec![response; 10],
            attempts,
            proxy_succeeded: if status < 500 { 10 } else { 0 },
            proxy_failed: if status < 500 { 0 } else { 10 },
        }
    }

    fn proof(kind: Kind, a: Outcomes, b: Outcomes) -> Proof {
        let difference = Difference { kind, field: "spec".to_owned(), what: "x".to_owned() };
        Proof::of(vec![difference], vec![a], vec![b])
    }

    #[test]
    fn a_difference_is_shown_by_its_outcomes_and_not_by_others() {
        let equal = || outcomes("fails", 500, None, 40, 200);
        for (kind, a, b) in [
            (Kind::BudgetBecomesLimit, outcomes("fails", 500, None, 110, 200), equal()),
            (Kind::RetryBackoff, outcomes("fails", 500, None, 40, 2), equal()),
            (
                Kind::UnmatchedRequests,
                outcomes("good", 200, None, 10, 2),
                outcomes("good", 404, Some("no route"), 0, 1),
            ),
            (
                Kind::TimeoutResponse,
                outcomes("takes 1300 ms", 504, Some("a"), 10, 1000),
                outcomes("takes 1300 ms", 504, Some("b"), 10, 1000),
            ),
        ] {
            assert!(proof(kind, a, b).differences[0].by.is_some(), "{kind}");
            assert!(proof(kind, equal(), equal()).differences[0].by.is_none(), "{kind}");
        }
    }

    #[test]
    fn a_difference_that_was_not_named_is_reported() {
        let (a, b) = (outcomes("good", 200, None, 10, 1), outcomes("good", 404, None, 0, 1));
        let proof = Proof::of(Vec::new(), vec![a.clone()], vec![b]);
        assert_eq!((proof.is_equal(), proof.unnamed().len()), (false, 1));
        assert!(Proof::of(Vec::new(), vec![a.clone()], vec![a]).to_string().starts_with("equal outcomes"));
    }
}
