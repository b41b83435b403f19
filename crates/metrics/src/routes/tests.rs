//! Counters of real proxies, and of rows measured on them.

use super::*;
use crate::{Outcomes, text};

// Dumps of real proxies, cut down to the families and labels that are read here (docs/tables.md).
const CLIENT: &str = include_str!("../../../../tests/fixtures/proxy-client.prom");
const ANNOTATIONS: &str = include_str!("../../../../tests/fixtures/proxy-client-annotations.prom");
const SERVER: &str = include_str!("../../../../tests/fixtures/proxy-server.prom");

fn bounced() -> Service {
    Service { namespace: "default".to_owned(), name: "bounced-service".to_owned() }
}

/// Measured on a real Linkerd: of 80 requests to a service whose breaker is open, 11 reached the pod.
#[test]
fn requests_that_a_breaker_rejects_are_not_attempts() {
    let labels = "parent_group=\"core\",parent_kind=\"Service\",parent_namespace=\"default\",\
                  parent_name=\"bounced-service\",parent_port=\"9090\",route_kind=\"default\",route_name=\"http\"";
    let statuses = "outbound_http_route_request_statuses_total";
    let text = format!(
        "{statuses}{{{labels},http_status=\"500\",error=\"\"}} 11\n\
         {statuses}{{{labels},http_status=\"503\",error=\"LOAD_SHED\"}} 68\n\
         {statuses}{{{labels},http_status=\"504\",error=\"FAIL_FAST\"}} 1\n\
         outbound_http_route_backend_response_statuses_total{{{labels},http_status=\"500\",error=\"\"}} 11\n"
    );
    let dump = text::parse(&text).unwrap();
    let routes = client_view([&dump.since(None)], &bounced());
    let [route] = &routes.values().collect::<Vec<_>>()[..] else { panic!("{routes:?}") };
    assert_eq!((route.requests_count, route.refused_count, route.attempts_count), (80, 69, 11));
}

/// Measured on a real Linkerd (row c12): with limit 2, each of 30 calls that end with UNAVAILABLE has three attempts.
#[test]
fn requests_of_a_grpc_route_are_counted_by_their_grpc_status() {
    let labels = "parent_kind=\"Service\",parent_namespace=\"default\",parent_name=\"bounced-service\",\
                  route_kind=\"GRPCRoute\",route_name=\"calls\"";
    let text = format!(
        "outbound_grpc_route_request_statuses_total{{{labels},grpc_status=\"UNAVAILABLE\",error=\"\"}} 30\n\
         outbound_grpc_route_request_statuses_total{{{labels},grpc_status=\"OK\",error=\"\"}} 7\n\
         outbound_grpc_route_request_statuses_total{{{labels},grpc_status=\"NOT_FOUND\",error=\"\"}} 1\n\
         outbound_grpc_route_backend_response_statuses_total{{{labels},grpc_status=\"UNAVAILABLE\",error=\"\"}} 90\n\
         outbound_grpc_route_retry_requests_total{{{labels}}} 60\n\
         outbound_grpc_route_retry_limit_exceeded_total{{{labels}}} 30\n"
    );
    let dump = text::parse(&text).unwrap();
    let routes = client_view([&dump.since(None)], &bounced());
    let [route] = &routes.values().collect::<Vec<_>>()[..] else { panic!("{routes:?}") };
    assert_eq!((route.requests_count, route.succeeded_count, route.failed_count), (38, 8, 30));
    assert_eq!((route.attempts_count, route.retries(), route.limit_count), (98, 60, 30));
}

#[test]
fn a_real_clients_counters_are_the_measured_ones() {
    let dump = text::parse(CLIENT).unwrap();
    let routes = client_view([&dump.since(None)], &bounced());
    let route = &routes[&(Dialect::Profile, "GET /".to_owned())];
    assert_eq!((route.requests_count, route.attempts_count), (2370, 4654));
    assert_eq!((route.succeeded_count, route.failed_count), (1404, 966));
    assert_eq!((route.attempts_succeeded_count, route.attempts_failed_count), (1404, 3250));
    assert_eq!((route.retryable_count, route.no_budget_count), (3250, 966));
    assert_eq!(route.retries(), route.retryable_count - route.no_budget_count);
    assert!(route.latency.p50_ms.is_some());
    let profile = routes.into_iter().filter(|(key, _)| key.0 == Dialect::Profile).collect();
    let outcomes = Outcomes::of(&profile, None);
    assert_eq!(
        (outcomes.requests_count, outcomes.no_budget_count, outcomes.not_retryable_count),
        (2370, 966, 0)
    );
    assert_eq!((outcomes.first_attempt_count, outcomes.after_retries_count), (None, None));
}

#[test]
fn the_annotations_dialect_has_a_mean_and_no_percentiles() {
    let dump = text::parse(ANNOTATIONS).unwrap();
    let routes = client_view([&dump], &bounced());
    let route = &routes[&(Dialect::Policy, "http".to_owned())];
    assert_eq!((route.requests_count, route.attempts_count), (3120, 3120 + 859));
    assert_eq!(route.limit_count, 184);
    assert_eq!(route.succeeded_count + route.failed_count, 3120);
    assert_eq!(route.latency, Percentiles::default());
    assert!((route.latency_mean_ms.unwrap() - 27.0).abs() < 0.1);
    assert!((route.below_50ms_ratio.unwrap() - 2854.0 / 3120.0).abs() < 1e-9);
}

#[test]
fn the_servers_view_counts_attempts() {
    let routes = server_view([&text::parse(SERVER).unwrap()]);
    let route = &routes["GET /"];
    assert_eq!((route.attempts_succeeded_count, route.attempts_failed_count), (2381, 5513));
    // While no profile was in force: 2875 and 6776 in all, probes and the admin port apart.
    let rest = &routes[DEFAULT];
    assert_eq!((rest.attempts_succeeded_count, rest.attempts_failed_count), (494, 1263));
    assert_eq!(rest.latency, Percentiles::default());
}

#[test]
fn without_a_profile_the_servers_view_is_the_default_route() {
    let dump: String = SERVER
        .lines()
        .filter(|line| !line.starts_with("route_"))
        .fold(String::new(), |all, line| all + line + "\n");
    let routes = server_view([&text::parse(&dump).unwrap()]);
    assert_eq!(routes.keys().collect::<Vec<_>>(), [DEFAULT]);
    assert_eq!(
        (routes[DEFAULT].attempts_succeeded_count, routes[DEFAULT].attempts_failed_count),
        (2875, 6776)
    );
}

#[test]
fn without_traffic_there_are_no_rows() {
    let dump = text::parse(CLIENT).unwrap();
    assert!(client_view([&dump.since(Some(&dump))], &bounced()).is_empty());
    let other = Service { name: "minimal-service".to_owned(), ..bounced() };
    assert!(client_view([&dump], &other).is_empty());
}

#[test]
fn a_name_belongs_to_its_service_alone() {
    assert!(bounced().is_named_by("bounced-service.default.svc.cluster.local:9090"));
    assert!(bounced().is_named_by("bounced-service.default.svc"));
    for other in
        ["bounced-service.other.svc.cluster.local", "bounced-service-v2.default.svc", "bounced-service", ""]
    {
        assert!(!bounced().is_named_by(other), "{other}");
    }
}

#[test]
fn two_hundred_pods_sum_up() {
    let dump = text::parse(CLIENT).unwrap();
    let routes = client_view(std::iter::repeat_n(&dump, 200), &bounced());
    assert_eq!(routes[&(Dialect::Profile, "GET /".to_owned())].requests_count, 200 * 2370);
}
