//! A Service with a profile, a route, annotations and a rate limit; each test removes the objects that win.

use serde_json::{Value, json};

use super::*;
use crate::inbound::{
    AuthorizationPolicy, MeshTlsAuthentication, NetworkAuthentication, Port, RateLimitPolicy, Server,
};
use crate::names;

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

/// The policies of the pods of `cart`: a Server that allows `web` from one network, and a rate limit.
fn inbound() -> Inbound {
    let labels = [("app".to_owned(), "cart".to_owned())];
    let pod = ServerPod {
        labels: labels.into(),
        named_ports: [("http".to_owned(), 8080)].into(),
        meshed: true,
        ..ServerPod::default()
    };
    let own = |kind: &str, name: &str| json!({"group": "policy.linkerd.io", "kind": kind, "name": name});
    let server = json!({"spec": {"podSelector": {"matchLabels": {"app": "cart"}}, "port": 8080}});
    let policy = json!({"spec": {"targetRef": own("Server", "cart-http"), "requiredAuthenticationRefs": [
        own("MeshTLSAuthentication", "callers"), own("NetworkAuthentication", "office"),
    ]}});
    let callers = json!({"spec": {
        "identities": ["web.shop.serviceaccount.identity.linkerd.cluster.local"],
        "identityRefs": [{"kind": "Namespace", "name": "tests"}],
    }});
    let office = json!({"spec": {"networks": [{"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}]}});
    let limit =
        json!({"spec": {"targetRef": own("Server", "cart-http"), "total": {"requestsPerSecond": 50}}});
    let key = |name: &str| ("shop".to_owned(), name.to_owned());
    Inbound {
        pods: vec![pod],
        ports: vec![Port::Name("http".to_owned())],
        servers: vec![("cart-http".to_owned(), Server::from_value(&server).expect("a Server"))],
        policies: vec![("web".to_owned(), AuthorizationPolicy::from_value(&policy).expect("a policy"))],
        mesh_tls: [(key("callers"), MeshTlsAuthentication::from_value(&callers).expect("identities"))].into(),
        networks: [(key("office"), NetworkAuthentication::from_value(&office).expect("networks"))].into(),
        rate_limits: vec![("cart-limit".to_owned(), RateLimitPolicy::from_value(&limit).expect("a limit"))],
        ..Inbound::default()
    }
}

/// Clients whose breakers opened `cart-2`, one of them alone.
fn endpoints() -> Vec<EndpointBreakers> {
    let of = |endpoint: &str, clients: &[(&str, usize)]| EndpointBreakers {
        endpoint: endpoint.to_owned(),
        clients: clients.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect(),
    };
    vec![
        of("cart-1", &[("ready", 3)]),
        of("cart-2", &[("open", 1), ("ready", 2)]),
        of("cart-3", &[("open", 3)]),
    ]
}

fn found(
    profile: Option<&ServiceProfile>,
    routes: &[HttpRoute],
    annotations: &Annotations,
    inbound: &Inbound,
) -> Effective {
    with_grpc(profile, routes, &[], annotations, inbound)
}

fn with_grpc(
    profile: Option<&ServiceProfile>,
    routes: &[HttpRoute],
    grpc_routes: &[HttpRoute],
    annotations: &Annotations,
    inbound: &Inbound,
) -> Effective {
    effective(&Objects {
        namespace: "shop",
        name: "cart",
        annotations,
        profile,
        routes,
        grpc_routes,
        inbound: Some(inbound),
    })
}

fn grpc_route(name: &str, annotations: Value) -> HttpRoute {
    crate::grpc_route::from_value(&json!({
        "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
                 "rules": [{"matches": [{"method": {"service": "shop.Cart"}}]}]},
    }))
    .expect("a route")
}

fn shown(profile: Option<&ServiceProfile>, routes: &[HttpRoute], annotations: &Annotations) -> String {
    found(profile, routes, annotations, &inbound()).to_string()
}

/// The lines about callers.
fn callers(inbound: &Inbound) -> String {
    let text = found(None, &[], &Annotations::new(), inbound).to_string();
    let from = text.find("callers").unwrap_or(text.len());
    text[from..].to_owned()
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
callers          web.shop, *.tests from 10.0.0.0/8 without 10.9.0.0/16 (AuthorizationPolicy web)  [Server cart-http: the oldest Server of the port]
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
callers          web.shop, *.tests from 10.0.0.0/8 without 10.9.0.0/16 (AuthorizationPolicy web)  [Server cart-http: the oldest Server of the port]
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
callers          web.shop, *.tests from 10.0.0.0/8 without 10.9.0.0/16 (AuthorizationPolicy web)  [Server cart-http: the oldest Server of the port]
"
    );
}

#[test]
fn grpc_routes_replace_the_http_routes_and_retry_by_grpc_status() {
    let own = json!({"retry.linkerd.io/grpc": "unavailable,internal", "retry.linkerd.io/limit": "2",
                     "timeout.linkerd.io/request": "1s"});
    let mut annotations = annotations();
    let text = |grpc: &[HttpRoute], annotations: &Annotations| {
        with_grpc(None, &routes(), grpc, annotations, &Inbound::default()).to_string()
    };
    let all = [grpc_route("cart-grpc", own), grpc_route("plain", json!({}))];
    assert_eq!(
        text(&all, &annotations),
        "policy of shop/cart
requests of GRPCRoute cart-grpc
  retries        gRPC unavailable, gRPC internal  [GRPCRoute cart-grpc: the route's retry annotations replace the Service's]
  limit          2 retries per request, no budget  [GRPCRoute cart-grpc: the route's retry annotations replace the Service's]
  timeouts       1s per request  [GRPCRoute cart-grpc: the route's timeouts replace the Service's]
requests of GRPCRoute plain
  retries        no status  [Service: the route has no retry annotation]
  limit          3 retries per request, no budget  [Service: the route has no retry annotation]
  timeouts       10s per request  [Service: the route has no timeout]
requests that no route matches
  retries        none: the proxy responds with the gRPC status NOT_FOUND  [default: a Service with routes has no default route]
circuit breaker  7 failures in a row, penalty 1s to 60s  [Service: only the Service has a circuit breaker]
rate limit       none  [default: no object sets it]
callers          unknown  [default: no pod of the Service runs]
without effect
  Service: retry.linkerd.io/* (GRPCRoute cart-grpc has retry annotations)
  Service: timeout.linkerd.io/* (GRPCRoute cart-grpc has timeouts)
  HTTPRoute cart-retry: all fields (clients use the Service's GRPCRoutes)
  Service: retry.linkerd.io/http (a GRPCRoute retries by gRPC status)
"
    );
    // The Service's condition is for routes without their own, and has no effect without a GRPCRoute.
    annotations.insert(names::RETRY_GRPC.to_owned(), "cancelled".to_owned());
    let of_service = text(&all[1..], &annotations);
    assert!(of_service.contains("retries        gRPC cancelled  [Service: the route has no"), "{of_service}");
    assert!(!of_service.contains("retry.linkerd.io/grpc"), "{of_service}");
    let invalid = [grpc_route("cart-grpc", json!({"retry.linkerd.io/grpc": "14"}))];
    for grpc in [&invalid[..], &[]] {
        let without = text(grpc, &annotations);
        assert!(without.contains("requests of HTTPRoute cart-retry"), "{without}");
        assert!(without.contains("Service: retry.linkerd.io/grpc (it needs a GRPCRoute)"), "{without}");
    }
    let replaced = with_grpc(Some(&profile()), &[], &all, &annotations, &Inbound::default()).to_string();
    assert!(replaced.contains("GRPCRoute plain: all fields (the ServiceProfile replaces it)"), "{replaced}");
}

#[test]
fn an_override_is_shown_next_to_the_limit_of_an_identity() {
    let mut inbound = inbound();
    let account = |name: &str| json!({"kind": "ServiceAccount", "name": name});
    let limit = json!({"spec": {
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "cart-http"},
        "total": {"requestsPerSecond": 50}, "identity": {"requestsPerSecond": 5},
        "overrides": [{"requestsPerSecond": 20, "clientRefs": [account("web")]},
                      {"requestsPerSecond": 9, "clientRefs": [account("a"), account("b"), account("c")]}],
    }});
    inbound.rate_limits[0].1 = RateLimitPolicy::from_value(&limit).expect("a limit");
    let text = found(None, &[], &Annotations::new(), &inbound).to_string();
    let shown = "rate limit       50/s per pod, probes included, 5/s per client identity, 20/s for web.shop, \
                 9/s for a.shop and 2 others together  [HTTPLocalRateLimitPolicy cart-limit: ";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn a_service_without_policies_has_the_defaults() {
    let text = found(None, &[], &Annotations::new(), &Inbound::default()).to_string();
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
    let mut inbound = inbound();
    inbound.ports = (1..5).map(Port::Number).collect();
    for port in 1..5 {
        let mut server = inbound.servers[0].1.clone();
        server.port = Port::Number(port);
        inbound.servers.push((format!("server-{port}"), server));
    }
    for profile in [None, Some(&many)] {
        let mut found = found(profile, &routes, &annotations(), &inbound);
        found.endpoints = Some(endpoints());
        let text = found.to_string();
        assert_eq!(text.lines().count(), 25, "{text}");
        assert!(text.contains("and 7 more routes") && text.contains("and 2 more ports"), "{text}");
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

#[test]
fn endpoints_with_open_breakers_come_first() {
    let mut found = found(None, &[], &annotations(), &inbound());
    found.endpoints = Some(endpoints());
    let breaker = "circuit breaker  7 failures in a row, penalty 1s to 60s  [Service: only the Service has a circuit breaker]
  endpoints      cart-2 open for 1 of 3 clients, cart-3 open, cart-1 ready
rate limit";
    assert!(found.to_string().contains(breaker), "{found}");
    found.endpoints = Some(Vec::new());
    assert!(found.to_string().contains("  endpoints      no client has sent a request\n"), "{found}");
}

#[test]
fn without_the_policy_of_a_server_no_client_may_call_and_without_the_server_the_default_decides() {
    let mut inbound = inbound();
    inbound.policies.clear();
    assert_eq!(
        callers(&inbound),
        "callers          no client  [Server cart-http: the oldest Server of the port, and no policy allows a caller]\n"
    );
    inbound.servers.clear();
    inbound.of_namespace = Some("cluster-authenticated".to_owned());
    assert_eq!(
        callers(&inbound),
        "callers          meshed clients in the networks of the cluster (cluster-authenticated)  [Namespace: \
         config.linkerd.io/default-inbound-policy, no Server selects the port]\n"
    );
    inbound.pods[0].annotated = Some("deny".to_owned());
    assert!(callers(&inbound).starts_with("callers          no client (deny)  [Pod: "));
    (inbound.pods[0].annotated, inbound.of_namespace) = (None, None);
    assert_eq!(
        callers(&inbound),
        "callers          every client (all-unauthenticated)  [default: no Server selects the port]\n"
    );
    inbound.pods[0].meshed = false;
    assert_eq!(
        callers(&inbound),
        "callers          every client  [default: the pods have no proxy, which would enforce a policy]\n"
    );
}

#[test]
fn a_missing_authentication_and_a_younger_server_have_no_effect() {
    let mut inbound = inbound();
    inbound.mesh_tls.clear();
    let younger = inbound.servers[0].1.clone();
    inbound.servers.push(("cart-new".to_owned(), younger));
    inbound.invalid.push(("Server broken".to_owned(), "invalid Server: missing field `port`".to_owned()));
    assert_eq!(
        callers(&inbound),
        "callers          no client  [Server cart-http: the oldest Server of the port, and no policy allows a caller]
without effect
  Server broken: all fields (invalid Server: missing field `port`)
  AuthorizationPolicy web: all fields (it allows no client: MeshTLSAuthentication callers does not exist)
  Server cart-new: all fields (the older Server cart-http selects the same port)
"
    );
}

#[test]
fn routes_and_an_access_policy_of_a_server_add_callers() {
    let mut inbound = inbound();
    let route = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "items"});
    let policy = json!({"spec": {"targetRef": route, "requiredAuthenticationRefs": [
        {"kind": "ServiceAccount", "name": "app", "namespace": "lab"},
    ]}});
    inbound.policies =
        vec![("items".to_owned(), AuthorizationPolicy::from_value(&policy).expect("a policy"))];
    inbound.routes = vec![ServerRoute {
        group: "gateway.networking.k8s.io".to_owned(),
        kind: "HTTPRoute".to_owned(),
        name: "items".to_owned(),
        server: "cart-http".to_owned(),
    }];
    inbound.servers[0].1.access_policy = crate::inbound::DefaultPolicy::Audit;
    assert_eq!(
        callers(&inbound),
        "callers          app.lab (AuthorizationPolicy items, HTTPRoute items); every client, and those that no policy allows are \
         counted (accessPolicy audit)  [Server cart-http: the oldest Server of the port; what none of its routes matches is a 404]\n"
    );
}
