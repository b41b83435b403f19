//! Tests of files with several mistakes: all are reported in one pass.

use serde_json::Value;

use super::*;

/// Returns id and field of each finding of a file.
fn findings(text: &str, complete: bool) -> Vec<(&'static str, String)> {
    let mut world = World::new();
    if complete {
        world.mark_complete();
    }
    let text: String =
        text.lines().map(|line| line.strip_prefix("        ").unwrap_or(line).to_owned() + "\n").collect();
    for object in serde_yaml::from_multiple::<Value>(&text).expect("YAML") {
        world.add_target(object, Some("file.yaml"));
    }
    lint(&world).into_iter().map(|finding| (finding.id, finding.place.field)).collect()
}

fn assert_findings(text: &str, expected: &[(&str, &str)]) {
    let found = findings(text, false);
    let found: Vec<(&str, &str)> = found.iter().map(|(id, field)| (*id, field.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn all_mistakes_of_a_profile_are_reported_in_one_pass() {
    assert_findings(
        r#"
        apiVersion: linkerd.io/v1alpha2
        kind: ServiceProfile
        metadata: {name: bounced-service}
        spec:
          routes:
            - {name: a, condition: {method: gte, pathRegex: /.*}, isRetriable: true, timeout: 500}
            - {condition: {pathRegex: "/(b"}}
            - {name: c, condition: [], isRetryable: true}
            - {name: d, condition: {method: GET, pathRegex: "/d/*"}, timeout: 5}
          retryBudget: {retryRatio: 0.2, minRetriesPerSecond: -1, ttl: 2m}
        "#,
        &[
            ("profile-invalid", "spec.routes[0].isRetriable"),
            ("profile-invalid", "spec.routes[0].timeout"),
            ("profile-invalid", "spec.routes[1].name"),
            ("profile-invalid", "spec.routes[2].condition"),
            ("profile-invalid", "spec.routes[3].timeout"),
            ("profile-invalid", "spec.retryBudget.minRetriesPerSecond"),
            ("profile-name", "metadata.name"),
            ("method-unknown", "spec.routes[0].condition.method"),
            ("regex-invalid", "spec.routes[1].condition.pathRegex"),
            ("regex-glob", "spec.routes[3].condition.pathRegex"),
            ("budget-ttl", "spec.retryBudget.ttl"),
        ],
    );
}

#[test]
fn all_mistakes_of_a_route_are_reported_in_one_pass() {
    assert_findings(
        r#"
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata:
          name: r
          annotations: {retry.linkerd.io/http: 5xx, retry.linkerd.io/timeout: 5s, timeout.linkerd.io/request: 1s, x.io/y: 1}
        spec:
          parentRefs: [{kind: Servce, group: "", name: s, port: 81}, {group: "", kind: Service, name: s, port: 81}]
          rules:
            - matches: [{path: {type: RegularExpression, value: "/foo("}, method: POST}]
              timeouts: {request: 100ms, backendRequest: 500ms}
              filters: [{type: RequestMirror}]
              backendRefs: [{name: s, port: 8080}, {port: 80}]
        ---
        apiVersion: v1
        kind: Service
        metadata: {name: s}
        spec: {ports: [{port: 80}]}
        "#,
        &[
            ("route-invalid", "spec.rules[0].backendRefs[1].name"),
            ("filter-unsupported", "spec.rules[0].filters[0].type"),
            ("route-regex-invalid", "spec.rules[0].matches[0].path.value"),
            ("timeout-backend-request", "spec.rules[0].timeouts.backendRequest"),
            ("timeout-order", "spec.rules[0].timeouts.backendRequest"),
            ("retry-not-idempotent", "metadata.annotations[retry.linkerd.io/http]"),
            ("parent-kind", "spec.parentRefs[0].kind"),
            ("port-absent", "spec.parentRefs[1].port"),
            ("port-absent", "spec.rules[0].backendRefs[0].port"),
            ("timeout-order", "metadata.annotations[retry.linkerd.io/timeout]"),
            ("annotation-not-text", "metadata.annotations[x.io/y]"),
        ],
    );
}

#[test]
fn a_field_that_cannot_be_read_has_one_finding() {
    for (spec, field) in [
        ("{routes: 5}", "spec.routes"),
        ("[]", "spec"),
        ("{routes: [{name: a, condition: 5}]}", "spec.routes[0].condition"),
        ("{routes: [5]}", "spec.routes[0]"),
        ("{retryBudget: {retryRatio: 0.2, minRetriesPerSecond: 10, ttl: 10}}", "spec.retryBudget.ttl"),
    ] {
        let text =
            format!("kind: ServiceProfile\nmetadata: {{name: s.default.svc.cluster.local}}\nspec: {spec}\n");
        let found = findings(&text, false);
        assert_eq!(found.iter().filter(|(id, _)| *id == "profile-invalid").count(), 1, "{spec}: {found:?}");
        assert_eq!(found[0], ("profile-invalid", field.to_owned()), "{spec}");
    }
}

#[test]
fn breaker_annotations_without_effect_are_reported() {
    let service = |annotations: &str| {
        let text = format!("kind: Service\nmetadata: {{name: s, annotations: {{{annotations}}}}}\n");
        findings(&text, false).into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    let (mode, alpha) = ("balancer.linkerd.io/failure-accrual", "balancer.alpha.linkerd.io/failure-accrual");
    assert_eq!(service(&format!("{alpha}-success-rate-window: 5s")), ["breaker-mode-absent"]);
    assert_eq!(service(&format!("{alpha}-honor-retry-after: 'true'")), ["breaker-mode-absent"]);
    assert_eq!(service(&format!("{mode}-consecutive-max-failures: '3'")), ["breaker-mode-absent"]);
    assert_eq!(
        service(&format!("{mode}: consecutive, {alpha}-success-rate-window: 5s")),
        ["breaker-mode-other"]
    );
    assert_eq!(service(&format!("{mode}: unified, {alpha}-success-rate-windw: 5s")), ["annotation-unknown"]);
    assert_eq!(
        service(&format!("{mode}: unified, {alpha}-success-rate-threshold: '2'")),
        ["annotation-value"]
    );
    assert_eq!(service("balancer.alhpa.linkerd.io/penalize-failures: 'true'"), ["annotation-unknown"]);
    assert_eq!(service("balancer.beta.linkerd.io/penalize-failures: 'true'"), ["annotation-unknown"]);
    assert_eq!(service(&format!("{mode}: unified, {alpha}-success-rate-window: 5s")), [""; 0]);
}

#[test]
fn an_ingress_port_that_the_service_does_not_declare_is_reported() {
    assert_findings(
        r"
        kind: Ingress
        metadata: {name: i}
        spec: {defaultBackend: {service: {name: s, port: {number: 8080}}}}
        ---
        kind: Service
        metadata: {name: s}
        spec: {ports: [{port: 80}]}
        ",
        &[("port-absent", "spec.defaultBackend.service.port")],
    );
}
