//! A Service with a profile, a route, annotations and a rate limit; each test removes the objects that win.

use serde_json::{Value, json};

use super::*;

fn annotations() -> Annotations {
    let pairs = [
        ("retry.linkerd.io/http", "5xx"),
        ("retry.linkerd.io/limit", "3"),
        ("timeout.linkerd.io/request", "10s"),
        ("balancer.linkerd.io/failure-accrual", "consecutive"),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn profile() -> ServiceProfile {
    ServiceProfile::from_value(&json!({
        "metadata": {"name": "cart.shop.svc.cluster.local"},
        "spec": {"routes": [{"name": "GET /items", "condition": {"pathRegex": "/items"}, "isRetryable": true,
                             "timeout": "2s"}]},
    }))
    .expect("a profile")
}

fn route(name: &str, annotations: Value, rule: Value) -> HttpRoute {
    HttpRoute::from_value(&json!({
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "cart"}], "rules": [rule]},
    }))
    .expect("a route")
}

fn routes() -> Vec<HttpRoute> {
    let rule = json!({"timeouts": {"backendRequest": "1s"}});
    vec![route("cart-retry", json!({"retry.linkerd.io/http": "gateway-error"}), rule)]
}

fn shown(profile: Option<&ServiceProfile>, routes: &[HttpRoute], annotations: &Annotations) -> String {
    let rate_limits = [RateLimit { name: "cart-limit".to_owned(), total: Some(50), identity: None }];
    let objects = Objects {
        namespace: "shop",
        name: "cart",
        annotations,
        profile,
        routes,
        rate_limits: if annotations.is_empty() { &[] } else { &rate_limits },
    };
    effective(&objects).to_string()
}

#[test]
fn a_profile_replaces_the_route_and_the_annotations() {
    assert_eq!(
        shown(Some(&profile()), &routes(), &annotations()),
        "policy of shop/cart
ServiceProfile route GET /items
  retries        5xx  [ServiceProfile: a ServiceProfile with routes replaces annotations and routes]
  limit          1 retry per 5 requests, plus 10 retries per second  [ServiceProfile: a ServiceProfile with routes replaces annotations and routes]
  timeouts       2s per request  [ServiceProfile: a ServiceProfile with routes replaces annotations and routes]
all other requests
  retries        none  [ServiceProfile: no route of the profile matches]
  timeouts       none  [ServiceProfile: no route of the profile matches]
circuit breaker  none  [ServiceProfile: clients with a profile use no circuit breaker]
rate limit       50/s per pod, probes included  [HTTPLocalRateLimitPolicy cart-limit: the server's proxy enforces it, whatever clients use]
without effect
  Service: retry.linkerd.io/* (the ServiceProfile replaces it)
  Service: timeout.linkerd.io/* (the ServiceProfile replaces it)
  Service: balancer.linkerd.io/* (the ServiceProfile replaces it)
  HTTPRoute cart-retry: all fields (the ServiceProfile replaces it)
"
    );
}

#[test]
fn without_the_profile_the_retries_of_the_route_replace_those_of_the_service() {
    assert_eq!(
        shown(None, &routes(), &annotations()),
        "policy of shop/cart
requests of HTTPRoute cart-retry
  retries        502-504  [HTTPRoute cart-retry: the route's retry annotations replace the Service's]
  limit          1 retry per request, no budget  [HTTPRoute cart-retry: the route's retry annotations replace the Service's]
  timeouts       10s per request  [Service: the route has no timeout]
requests that no route matches
  retries        none: the proxy responds with 404  [default: a Service with routes has no default route]
circuit breaker  7 failures in a row, penalty 1s to 60s  [Service: only the Service has a circuit breaker]
rate limit       50/s per pod, probes included  [HTTPLocalRateLimitPolicy cart-limit: the server's proxy enforces it, whatever clients use]
without effect
  Service: retry.linkerd.io/* (HTTPRoute cart-retry has retry annotations)
  HTTPRoute cart-retry: timeouts.backendRequest (Linkerd does not read it)
"
    );
}

#[test]
fn without_profile_and_route_the_annotations_of_the_service_are_in_effect() {
    assert_eq!(
        shown(None, &[], &annotations()),
        "policy of shop/cart
all requests
  retries        5xx  [Service: no route of the Service sets it]
  limit          3 retries per request, no budget  [Service: no route of the Service sets it]
  timeouts       10s per request  [Service: no route of the Service sets it]
circuit breaker  7 failures in a row, penalty 1s to 60s  [Service: only the Service has a circuit breaker]
rate limit       50/s per pod, probes included  [HTTPLocalRateLimitPolicy cart-limit: the server's proxy enforces it, whatever clients use]
"
    );
}

#[test]
fn a_service_without_policies_has_the_defaults() {
    let text = shown(None, &[], &Annotations::new());
    assert_eq!(text.matches("none  [default: no object sets it]").count(), 4, "{text}");
    assert!(!text.contains("without effect"), "{text}");
}

#[test]
fn the_text_has_at_most_25_lines() {
    let names: Vec<String> = (0..9).map(|number| format!("route-{number}")).collect();
    let rule = || json!({"timeouts": {"request": "1s", "backendRequest": "1s"}});
    let timed = json!({"retry.linkerd.io/http": "5xx", "timeout.linkerd.io/request": "1s",
                       "balancer.linkerd.io/failure-accrual": "consecutive"});
    let routes: Vec<HttpRoute> = names.iter().map(|name| route(name, timed.clone(), rule())).collect();
    let mut many = profile();
    many.spec.routes = (0..9).flat_map(|_| profile().spec.routes).collect();
    for profile in [None, Some(&many)] {
        let text = shown(profile, &routes, &annotations());
        assert!(text.lines().count() <= 25 && text.contains("and 7 more routes"), "{text}");
    }
}

#[test]
fn what_cannot_be_in_effect_is_listed() {
    let mirror = route("mirror", json!({}), json!({"filters": [{"type": "RequestMirror"}]}));
    let invalid = route("invalid", json!({"retry.linkerd.io/http": "4xx"}), json!({}));
    let text = shown(None, &[mirror, invalid], &annotations());
    assert!(text.contains("HTTPRoute mirror: all fields (Linkerd does not implement the filter"), "{text}");
    assert!(text.contains("HTTPRoute invalid: retry.linkerd.io/http (invalid conditions `4xx`"), "{text}");
    assert!(text.contains("all requests\n  retries        5xx  [Service"), "{text}");
}

#[test]
fn timeouts_of_the_route_replace_those_of_the_service() {
    let field = route("field", json!({}), json!({"timeouts": {"request": "1s"}}));
    let text = shown(None, &[field], &annotations());
    assert!(text.contains("timeouts       1s per request  [HTTPRoute field: the route's timeouts"), "{text}");
    assert!(text.contains("Service: timeout.linkerd.io/* (HTTPRoute field has timeouts)"), "{text}");
    assert!(text.contains("retries        5xx  [Service: the route has no retry annotation]"), "{text}");
}
