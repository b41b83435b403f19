//! The fuzz target for the parsers of policies: arbitrary YAML objects as input.

use std::collections::BTreeMap;

use meshy_linkerd::egress::EgressNetwork;
use meshy_linkerd::grpc_route;
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::inbound::{
    AuthorizationPolicy, Clients, MeshTlsAuthentication, NetworkAuthentication, NetworkSpec, RateLimitPolicy,
    Server, ServerAuthorization, cidr,
};
use meshy_linkerd::policy::{Annotations, Breaker, LoadBiaser, Retry, Timeouts};
use serde::Deserialize;
use serde_json::Value;

/// Checks that each parser ends for any object, and what it accepts. Ignores invalid UTF-8 and YAML.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(objects) = serde_yaml::from_multiple::<Value>(text) else { return };
    for object in &objects {
        inbound(object);
        outbound(object);
        let annotations = object.pointer("/metadata/annotations");
        if let Some(Ok(annotations)) = annotations.map(Annotations::deserialize) {
            annotated(&annotations);
        }
    }
}

fn inbound(object: &Value) {
    let _ = MeshTlsAuthentication::from_value(object);
    let _ = RateLimitPolicy::from_value(object);
    if let Ok(policy) = AuthorizationPolicy::from_value(object) {
        let target = &policy.target_ref;
        assert!(policy.concerns_route(&target.group, &target.kind, &target.name));
        assert!(!policy.concerns_route(&target.group, &target.kind, &format!("{}-other", target.name)));
        if policy.concerns("shop", "web") {
            assert!(matches!(&*target.kind, "Server" | "Namespace"), "{target:?}");
        }
    }
    if let Ok(server) = Server::from_value(object) {
        let _ = server.pod_selector.selects(&server.labels);
        assert!(!(server.grpc && server.opaque));
    }
    if let Ok(found) = ServerAuthorization::from_value(object) {
        are_networks(&found.networks);
        if let Clients::Authenticated { identities, service_accounts } = &found.clients {
            assert!(!identities.is_empty() || !service_accounts.is_empty(), "no caller");
        }
        let _ = found.selects("web", &BTreeMap::new());
    }
    if let Ok(found) = NetworkAuthentication::from_value(object) {
        are_networks(&found.networks);
    }
}

fn are_networks(all: &[NetworkSpec]) {
    let texts = all.iter().flat_map(|network| network.except.iter().chain([&network.cidr]));
    for text in texts {
        let (address, length) = cidr(text).expect("an accepted network");
        assert!(length <= if address.is_ipv4() { 32 } else { 128 }, "{text}");
    }
}

fn outbound(object: &Value) {
    if let Ok(found) = EgressNetwork::from_value(object) {
        are_networks(&found.networks);
    }
    if let Ok(route) = grpc_route::from_value(object) {
        for one in route.spec.rules.iter().flat_map(|rule| &rule.matches) {
            let value = one.path.as_ref().and_then(|path| path.value.as_deref());
            assert!(value.is_none_or(|value| value.starts_with('/')), "{one:?}");
        }
        if let Ok(Some((codes, others))) = grpc_route::retry(&route.metadata.annotations) {
            assert!(codes.iter().all(|code| (1..=16).contains(code)) && others.limit > 0);
        }
    }
    if let Ok(route) = HttpRoute::from_value(object) {
        for parent in &route.spec.parent_refs {
            let kinds = [parent.is_service(), parent.is_egress_network(), parent.is_server("shop")];
            assert!(kinds.iter().filter(|is| **is).count() <= 1, "{parent:?}");
        }
    }
}

fn annotated(annotations: &Annotations) {
    let _ = Timeouts::from_annotations(annotations);
    if let Ok(Some(retry)) = Retry::from_annotations(annotations) {
        assert!(retry.limit > 0 && retry.statuses.iter().all(|(from, to)| from <= to));
    }
    if let Ok(Some(Breaker::Unified(unified))) = Breaker::from_annotations(annotations) {
        assert!((0.0..=1.0).contains(&unified.threshold) && !unified.window.is_zero());
    }
    if let Ok(Some(biaser)) = LoadBiaser::from_annotations(annotations) {
        assert!(biaser.penalty.as_millis() <= u128::from(u32::MAX));
    }
}
