//! What the counters of a client's proxy show about the policy that it uses.
//!
//! A proxy decides whether a service follows its profile or the newer policy when it discovers the service, and keeps to
//! that until the discovery was idle for five seconds. So a new policy is verified by counters, not by its presence. A
//! connection that the client keeps open to the service's address counts as use, with or without requests (measured).

use serde::Serialize;

use meshy_metrics::routes::Service;
use meshy_metrics::{Scrape, Series};

/// What counts as a use of the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Requests are counted by the profile.
    Profile,
    /// Requests are counted by a route of the profile that has a name.
    ProfileRoutes,
    /// Requests are counted by the newer policy; by this HTTPRoute, if one is named.
    Policy(Option<String>),
    /// No profile is in use. A proxy that had one goes on counting the profile's way, but its routes are gone
    /// (measured): such requests have no name of a route.
    NoProfile,
    /// Requests are retried. Only of use while every attempt fails.
    Retries,
    /// No request is retried. Only of use while every attempt fails.
    NoRetries,
    /// The proxies of the servers count requests with this value of the label `srv_name` or `authz_name`.
    Server {
        /// The label.
        label: &'static str,
        /// The name of the Server or of the authorization.
        name: String,
    },
    /// No counter shows the use of the policy, for this reason.
    Uncounted(&'static str),
}

/// Requests of one proxy to one service, by the path they took through it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counted {
    by_profile: f64,
    by_profile_route: f64,
    by_policy: f64,
    by_route: f64,
    retries: f64,
}

impl Counted {
    /// Counts what is in a scrape, or in the difference of two.
    pub(super) fn of(service: &Service, scrape: &Scrape, evidence: &Evidence) -> Self {
        let profile = |s: &Series| {
            s.is("direction", "outbound") && s.label("dst").is_some_and(|dst| service.is_named_by(&dst))
        };
        let named = |s: &Series| s.label("rt_route").is_some_and(|route| !route.is_empty());
        let parent =
            |s: &Series| s.is("parent_name", &service.name) && s.is("parent_namespace", &service.namespace);
        let route = match evidence {
            Evidence::Policy(Some(route)) => Some(route.as_str()),
            _ => None,
        };
        let mut counted = Self {
            by_profile: scrape.sum("route_request_total", profile),
            by_profile_route: scrape.sum("route_request_total", |s| profile(s) && named(s)),
            ..Self::default()
        };
        let attempts = scrape.sum("route_actual_request_total", profile);
        counted.retries = (attempts - counted.by_profile).max(0.0);
        for kind in ["http", "grpc"] {
            let statuses = format!("outbound_{kind}_route_request_statuses_total");
            counted.by_policy += scrape.sum(&statuses, parent);
            counted.by_route +=
                scrape.sum(&statuses, |s| parent(s) && route.is_some_and(|route| s.is("route_name", route)));
            counted.retries += scrape.sum(&format!("outbound_{kind}_route_retry_requests_total"), parent);
        }
        counted
    }

    /// All requests.
    pub(super) fn requests(self) -> f64 {
        self.by_profile + self.by_policy
    }
}

impl Evidence {
    /// Requests that used the policy, and those that did not.
    pub(super) fn part(&self, counted: Counted) -> (f64, f64) {
        let without_route = (counted.by_profile - counted.by_profile_route).max(0.0);
        let retried = counted.retries > 0.0;
        match self {
            Self::Profile => (counted.by_profile, counted.by_policy),
            Self::ProfileRoutes => (counted.by_profile_route, counted.by_policy + without_route),
            Self::Policy(None) => (counted.by_policy, counted.by_profile),
            Self::Policy(Some(_)) => {
                (counted.by_route, counted.by_profile + (counted.by_policy - counted.by_route).max(0.0))
            }
            Self::NoProfile => (counted.by_policy + without_route, counted.by_profile_route),
            Self::Retries if retried => (counted.requests(), 0.0),
            Self::NoRetries if !retried => (counted.requests(), 0.0),
            Self::Retries | Self::NoRetries => (0.0, counted.requests()),
            Self::Server { .. } | Self::Uncounted(_) => (0.0, 0.0),
        }
    }

    /// Whether an open connection keeps the proxy from this policy: one that already uses the dialect takes changes over
    /// at once, only the other dialect waits for a new discovery.
    pub(super) fn held_by_connection(&self, ever: Counted) -> bool {
        match self {
            Self::Profile | Self::ProfileRoutes => ever.by_policy > 0.0,
            Self::Policy(_) | Self::Retries => ever.by_profile > 0.0,
            Self::NoProfile | Self::NoRetries | Self::Server { .. } | Self::Uncounted(_) => false,
        }
    }
}

/// What a client's proxy does with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum State {
    /// Its requests are counted under the policy.
    InForce,
    /// It sends no requests at present: the next one will use the policy.
    Idle,
    /// It sends requests, or keeps a connection, and does not use the policy.
    Stale,
    /// Its proxy did not respond.
    Unknown,
}

/// What a client did: requests that used the policy and those that did not.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behaviour {
    /// Between the last two scrapes.
    pub(super) recent: (f64, f64),
    /// Since the change.
    pub(super) since: (f64, f64),
    /// No request for a while.
    pub(super) quiet: bool,
    /// A connection is open, which keeps an old discovery.
    pub(super) held: bool,
}

/// The state of a client, in words, and whether waiting longer can change it.
pub(super) fn decide(did: Behaviour) -> (State, &'static str, bool) {
    let Behaviour { recent: (uses, strays), since: (used, strayed), quiet, held } = did;
    // The last two scrapes alone decide between old and new: what was sent right after the change may still have used the old.
    if strays > 0.0 {
        let words = "it sends requests without a pause, so its proxy keeps what it discovered before; 5 s without requests or \
                     a restart changes that";
        return (State::Stale, words, false);
    }
    if uses > 0.0 {
        return (State::InForce, "its requests are counted by the policy", true);
    }
    if used > 0.0 {
        return (State::InForce, "its requests since the change were counted by the policy", true);
    }
    if held {
        let words = "it sends nothing but keeps a connection open, and with it what its proxy discovered before; closing \
                     that for 5 s or a restart changes it";
        return (State::Stale, words, false);
    }
    if strayed > 0.0 {
        return (State::Idle, "idle; after 5 s without requests the next one will use the policy", quiet);
    }
    (State::Idle, "idle; the next request will use the policy", quiet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_metrics::text;

    fn service() -> Service {
        Service { name: "bounced-service".to_owned(), namespace: "default".to_owned() }
    }

    fn counted(text: &str, evidence: &Evidence) -> (f64, f64) {
        evidence.part(Counted::of(&service(), &text::parse(text).unwrap(), evidence))
    }

    #[test]
    fn requests_of_a_grpc_route_are_evidence_of_the_policy() {
        let text = "outbound_grpc_route_request_statuses_total{parent_name=\"bounced-service\",\
                    parent_namespace=\"default\",route_name=\"mine\",grpc_status=\"OK\"} 4\n";
        assert_eq!(counted(text, &Evidence::Policy(Some("mine".to_owned()))), (4.0, 0.0));
    }

    #[test]
    fn requests_are_counted_by_the_path_they_took_through_the_proxy() {
        let text = r#"
route_request_total{direction="outbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} 7
route_request_total{direction="outbound",dst="bounced-service.default.svc.cluster.local:9090"} 1
route_request_total{direction="outbound",dst="other.default.svc.cluster.local:9090",rt_route="GET /"} 100
route_request_total{direction="inbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} 100
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="default",route_name="http",http_status="200"} 3
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="default",route_name="mine",http_status="500"} 2
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="shop",route_name="http",http_status="200"} 100
"#;
        assert_eq!(counted(text, &Evidence::Profile), (8.0, 5.0));
        assert_eq!(counted(text, &Evidence::ProfileRoutes), (7.0, 6.0));
        assert_eq!(counted(text, &Evidence::Policy(None)), (5.0, 8.0));
        assert_eq!(counted(text, &Evidence::Policy(Some("mine".to_owned()))), (2.0, 11.0));
        // Without a pause a proxy whose profile is deleted counts the same way, with no route.
        assert_eq!(counted(text, &Evidence::NoProfile), (6.0, 7.0));
    }

    #[test]
    fn retries_of_both_dialects_are_counted() {
        let profile = r#"
route_request_total{direction="outbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} 1
route_actual_request_total{direction="outbound",dst="bounced-service.default.svc.cluster.local:9090",rt_route="GET /"} N
"#;
        let policy = r#"
outbound_http_route_request_statuses_total{parent_name="bounced-service",parent_namespace="default",http_status="500"} 1
outbound_http_route_retry_requests_total{parent_name="bounced-service",parent_namespace="default"} N
"#;
        for (text, without, with) in [(profile, "1", "4"), (policy, "0", "3")] {
            let (without, with) = (text.replace('N', without), text.replace('N', with));
            assert_eq!(counted(&without, &Evidence::NoRetries), (1.0, 0.0), "{without}");
            assert_eq!(counted(&without, &Evidence::Retries), (0.0, 1.0), "{without}");
            assert_eq!(counted(&with, &Evidence::NoRetries), (0.0, 1.0), "{with}");
            assert_eq!(counted(&with, &Evidence::Retries), (1.0, 0.0), "{with}");
        }
    }

    #[test]
    fn the_behaviour_of_a_client_decides_its_state() {
        let of = |recent, since, quiet, held| {
            let (state, _, settled) = decide(Behaviour { recent, since, quiet, held });
            (state, settled)
        };
        assert_eq!(of((5.0, 0.0), (5.0, 0.0), false, false), (State::InForce, true));
        assert_eq!(of((0.0, 5.0), (0.0, 5.0), false, false), (State::Stale, false));
        assert_eq!(of((0.0, 0.0), (3.0, 0.0), false, false), (State::InForce, true));
        assert_eq!(of((0.0, 0.0), (0.0, 9.0), true, false), (State::Idle, true));
        assert_eq!(
            of((0.0, 0.0), (0.0, 0.0), false, false),
            (State::Idle, false),
            "a request may be under way"
        );
        assert_eq!(
            of((0.0, 0.0), (0.0, 0.0), true, true),
            (State::Stale, false),
            "an open connection keeps the old discovery however long it is quiet"
        );
        assert_eq!(
            of((2.0, 5.0), (2.0, 5.0), false, false),
            (State::Stale, false),
            "one connection of two still uses the old policy"
        );
    }
}
