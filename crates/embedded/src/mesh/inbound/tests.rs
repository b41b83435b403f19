//! Policies of ports, from objects.

use meshy_apiserver::{LocalClient, Server as ApiServer, Token};
use meshy_dataplane::policy::{Identities, IdentityMatch, RouteKind};
use serde_json::{Value, json};

use super::*;
use crate::api::{
    AUTHORIZATION_POLICIES, HTTP_LOCAL_RATE_LIMITS, Kind, MESH_TLS_AUTHENTICATIONS, SERVER_AUTHORIZATIONS,
    SERVERS,
};
use crate::mesh::routes::{translate, translate_grpc};

const CLIENT: &str = "client.shop.serviceaccount.identity.linkerd.cluster.local";

fn empty_api() -> Api {
    let client: LocalClient = ApiServer::new(meshy_apiserver::Options {
        version: "v1".to_owned(),
        token: Token::random(),
        admission: Vec::new(),
        pods: None,
    })
    .client();
    Api::new(client)
}

fn pod(annotation: Option<&str>) -> PodPorts {
    PodPorts {
        namespace: "shop".to_owned(),
        labels: BTreeMap::from([("app".to_owned(), "web".to_owned())]),
        ports: vec![("http".to_owned(), 9090)],
        default_policy: annotation.map(str::to_owned),
    }
}

fn objects(all: &[(Kind, &str, Value)]) -> Objects {
    let mut objects = Objects::default();
    for (kind, name, spec) in all {
        let object = json!({
            "metadata": { "name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": spec,
        });
        objects.set(kind, ("shop".to_owned(), (*name).to_owned()), Some(&object));
    }
    objects
}

fn server(access: &str) -> (Kind, &'static str, Value) {
    let selector = json!({ "matchLabels": { "app": "web" } });
    (SERVERS, "web-http", json!({ "podSelector": selector, "port": "http", "accessPolicy": access }))
}

#[test]
fn a_port_without_a_server_has_the_default_policy_of_its_pod() {
    let resolved = |annotation| {
        resolve(&empty_api(), &Objects::default(), &RouteIndex::default(), &pod(annotation), 9090)
    };
    assert_eq!(resolved(None), InboundPolicy::default());
    assert_eq!(resolved(Some("deny")).authorizations, []);
    assert_eq!(resolved(Some("deny")).server.name, "deny");
    let authenticated = resolved(Some("cluster-authenticated"));
    assert!(matches!(authenticated.authorizations[0].identities, Identities::Authenticated(_)));
    assert_eq!(authenticated.authorizations[0].networks.len(), 5);
    assert_eq!(resolved(Some("someone")), InboundPolicy::default(), "an invalid one is ignored");
}

#[test]
fn a_server_selects_a_port_by_its_name_and_the_labels_of_pods() {
    let of = |port| {
        resolve(&empty_api(), &objects(&[server("audit")]), &RouteIndex::default(), &pod(Some("deny")), port)
    };
    assert_eq!((of(9090).server.kind.as_str(), of(9090).server.name.as_str()), ("server", "web-http"));
    assert_eq!(of(9090).authorizations[0].object.name, "audit");
    assert_eq!(of(8080).server.name, "deny", "another port");
    let mut other = pod(None);
    other.labels.clear();
    assert_eq!(
        resolve(&empty_api(), &objects(&[server("deny")]), &RouteIndex::default(), &other, 9090).server.kind,
        "default"
    );
}

#[test]
fn authorization_policies_and_rate_limits_of_a_server_are_resolved() {
    let authentication = json!({ "kind": "MeshTLSAuthentication", "name": "client" });
    let target = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web-http" });
    let policy = |refs: Value| json!({ "targetRef": target, "requiredAuthenticationRefs": refs });
    let limit = json!({
        "targetRef": target, "total": { "requestsPerSecond": 9 },
        "overrides": [{ "requestsPerSecond": 4, "clientRefs": [{ "kind": "ServiceAccount", "name": "client" }] }],
    });
    let account = json!({ "identityRefs": [{ "kind": "ServiceAccount", "name": "client" }] });
    let all = [
        server("deny"),
        (AUTHORIZATION_POLICIES, "web-client", policy(json!([authentication]))),
        (
            AUTHORIZATION_POLICIES,
            "missing",
            policy(json!([{ "kind": "MeshTLSAuthentication", "name": "none" }])),
        ),
        (MESH_TLS_AUTHENTICATIONS, "client", account),
        (HTTP_LOCAL_RATE_LIMITS, "web-limit", limit),
    ];
    let resolved = resolve(&empty_api(), &objects(&all), &RouteIndex::default(), &pod(None), 9090);
    assert_eq!(resolved.authorizations.len(), 1, "a policy without its authentication allows no one");
    assert_eq!(resolved.authorizations[0].object, policy_object("authorizationpolicy", "web-client"));
    let limit = resolved.rate_limit.expect("a rate limit");
    assert_eq!((limit.total, limit.overrides), (Some(9), vec![(vec![CLIENT.to_owned()], 4)]));
}

/// Returns an HTTPRoute of the Server with one path.
fn route(name: &str, path: &str) -> (RouteIndex, Value) {
    let mut index = RouteIndex::default();
    let object = json!({
        "metadata": { "name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": {
            "parentRefs": [{ "group": "policy.linkerd.io", "kind": "Server", "name": "web-http" }],
            "rules": [{ "matches": [{ "path": { "type": "Exact", "value": path } }] }],
        },
    });
    index.set(
        (RouteKind::Http, "shop".to_owned(), name.to_owned()),
        Some(translate(&object).expect("a valid route")),
    );
    (index, object)
}

#[test]
fn a_route_of_a_server_has_the_authorizations_of_the_policies_that_name_it() {
    let (mut index, object) = route("read", "/read");
    let grpc = translate_grpc(&object).expect("a valid route");
    index.set((RouteKind::Grpc, "shop".to_owned(), "read".to_owned()), Some(grpc));
    let policy = |group: &str| {
        let target = json!({ "group": group, "kind": "HTTPRoute", "name": "read" });
        json!({ "targetRef": target, "requiredAuthenticationRefs": [] })
    };
    let all = [
        server("deny"),
        (AUTHORIZATION_POLICIES, "readers", policy("gateway.networking.k8s.io")),
        (AUTHORIZATION_POLICIES, "other-group", policy("policy.linkerd.io")),
    ];
    let resolved = resolve(&empty_api(), &objects(&all), &index, &pod(None), 9090);
    assert_eq!(resolved.authorizations, [], "a policy of a route does not concern its Server");
    let [only] = &resolved.routes[..] else { panic!("{:?}", resolved.routes) };
    assert_eq!((only.route.name.as_str(), only.route.kind), ("read", RouteKind::Http));
    let names: Vec<_> = only.authorizations.iter().map(|one| one.object.name.as_str()).collect();
    assert_eq!(names, ["readers"]);
    let without_server = resolve(&empty_api(), &Objects::default(), &index, &pod(None), 9090);
    assert_eq!(without_server, InboundPolicy::default(), "routes need their Server");
}

#[test]
fn server_authorizations_allow_the_callers_of_the_servers_that_they_select() {
    let client = json!({ "meshTLS": { "serviceAccounts": [{ "name": "client" }], "identities": ["*.ops"] } });
    let of = |server: Value, client: Value| json!({ "server": server, "client": client });
    let all = [
        server("deny"),
        (SERVER_AUTHORIZATIONS, "by-name", of(json!({ "name": "web-http" }), client)),
        (SERVER_AUTHORIZATIONS, "other", of(json!({ "name": "other" }), json!({ "unauthenticated": true }))),
        (SERVER_AUTHORIZATIONS, "all", of(json!({ "selector": {} }), json!({ "unauthenticated": true }))),
    ];
    let resolved = resolve(&empty_api(), &objects(&all), &RouteIndex::default(), &pod(None), 9090);
    let [all, by_name] = &resolved.authorizations[..] else { panic!("{:?}", resolved.authorizations) };
    assert_eq!((all.object.kind.as_str(), all.object.name.as_str()), ("serverauthorization", "all"));
    assert_eq!(
        (&all.identities, all.networks.len()),
        (&Identities::Unauthenticated, 5),
        "the cluster's networks"
    );
    let list = vec![IdentityMatch::Suffix(".ops".to_owned()), IdentityMatch::Exact(CLIENT.to_owned())];
    assert_eq!(by_name.identities, Identities::Authenticated(vec![list]));
}
