//! Tests of each rule: an object with the problem, and the objects of the original demo, which have no findings.

use serde_json::{Value, json};

use super::*;

fn profile() -> Value {
    json!({
        "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
        "metadata": {"name": "bounced-service.default.svc.cluster.local", "namespace": "default"},
        "spec": {
            "routes": [{"name": "GET /", "condition": {"method": "GET", "pathRegex": "/.*"}, "isRetryable": true}],
            "retryBudget": {"retryRatio": 0.2, "minRetriesPerSecond": 10, "ttl": "10s"},
        },
    })
}

fn service() -> Value {
    json!({"kind": "Service", "metadata": {"name": "bounced-service", "namespace": "default"},
           "spec": {"clusterIP": "10.96.0.9", "selector": {"app": "bounced-service"}}})
}

fn pod(app: &str, meshed: bool) -> Value {
    let mut labels = json!({"app": app});
    if meshed {
        labels["linkerd.io/control-plane-ns"] = json!("linkerd");
    }
    json!({"kind": "Pod", "metadata": {"name": app, "namespace": "default", "labels": labels}})
}

/// Returns the ids of the findings for `objects` in a cluster with a meshed server pod and a meshed client pod.
fn ids(objects: &[Value]) -> Vec<&'static str> {
    let mut world = World::new();
    world.mark_complete();
    world.add_reference(pod("bounced-service", true));
    world.add_reference(pod("minimal-service", true));
    for object in objects {
        world.add_target(object.clone(), None);
    }
    lint(&world).into_iter().map(|f| f.id).collect()
}

fn with(pointer: &str, value: Value) -> Vec<&'static str> {
    let mut profile = profile();
    *profile.pointer_mut(pointer).expect("the profile has this field") = value;
    ids(&[service(), profile])
}

fn annotated(pairs: Value) -> Value {
    let mut service = service();
    service["metadata"]["annotations"] = pairs;
    service
}

const ROUTE: &str = "/spec/routes/0/condition";

#[test]
fn the_objects_of_the_original_demo_have_no_findings() {
    assert_eq!(ids(&[service(), profile()]), [""; 0]);
}

#[test]
fn a_profile_with_a_short_name_is_reported() {
    assert_eq!(with("/metadata/name", json!("bounced-service")), ["profile-name"]);
}

#[test]
fn a_missing_service_is_reported_in_a_complete_world_only() {
    assert_eq!(ids(&[profile()]), ["service-absent"]);
    let mut world = World::new();
    world.add_target(profile(), Some("bounced-service-sp.yaml"));
    assert_eq!(lint(&world), []);
}

#[test]
fn a_headless_service_is_reported() {
    let mut headless = service();
    headless["spec"]["clusterIP"] = json!("None");
    assert_eq!(ids(&[headless, profile()]), ["service-headless"]);
}

#[test]
fn a_service_without_meshed_clients_is_reported() {
    let mut world = World::new();
    world.mark_complete();
    let mut deleted = pod("minimal-service", true);
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    for pod in [pod("bounced-service", true), pod("minimal-service", false), deleted] {
        world.add_reference(pod);
    }
    world.add_reference(service());
    world.add_target(profile(), None);
    assert_eq!(lint(&world)[0].id, "clients-absent");
}

#[test]
fn a_budget_that_the_proxy_drops_or_rounds_is_reported() {
    assert_eq!(with("/spec/retryBudget/ttl", json!("2m")), ["budget-ttl"]);
    assert_eq!(with("/spec/retryBudget/ttl", json!("10")), ["budget-ttl"]);
    assert_eq!(with("/spec/retryBudget/retryRatio", json!(1001)), ["budget-ratio"]);
    assert_eq!(with("/spec/retryBudget/retryRatio", json!(-1)), ["budget-ratio"]);
    assert_eq!(with("/spec/retryBudget/retryRatio", json!(0.3)), ["budget-rounding"]);
    assert_eq!(with("/spec/routes/0/isRetryable", json!(false)), ["budget-unused"]);
}

#[test]
fn a_path_expression_with_an_unintended_meaning_is_reported() {
    let path = |regex: &str| with(ROUTE, json!({"pathRegex": regex}));
    assert_eq!(path("/api/*"), ["regex-glob"]);
    assert_eq!(path("/api/*/items"), ["regex-glob"]);
    assert_eq!(path("api/.*"), ["regex-never"]);
    assert_eq!(path("/api?user=1"), ["regex-never"]);
    assert_eq!(path("/(api"), ["regex-invalid"]);
    assert_eq!(path("/(?!health).*"), ["regex-invalid"]);
    for valid in ["/", "/.*", "^/api/[^/]*$", "/a?b", "/items/\\d+", ".*\\.html"] {
        assert_eq!(path(valid), [""; 0], "{valid}");
    }
}

#[test]
fn a_method_that_http_does_not_have_is_reported() {
    let condition = |method: &str| with(ROUTE, json!({"all": [{"method": method}, {"pathRegex": "/.*"}]}));
    assert_eq!(condition("GTE"), ["method-unknown"]);
    assert_eq!(condition("get"), [""; 0], "Linkerd reads it in upper case");
}

#[test]
fn a_route_that_gets_no_requests_is_reported() {
    let second = |first: Value, second: Value| {
        with(
            "/spec/routes",
            json!([
                {"name": "first", "condition": first, "isRetryable": true},
                {"name": "second", "condition": second},
            ]),
        )
    };
    let shadowed = ["route-shadowed"];
    assert_eq!(second(json!({"pathRegex": "/.*"}), json!({"method": "GET", "pathRegex": "/a"})), shadowed);
    assert_eq!(second(json!({"pathRegex": "/[a-z]+"}), json!({"pathRegex": "/abc"})), shadowed);
    assert_eq!(
        second(json!({"method": "GET"}), json!({"all": [{"method": "GET"}, {"pathRegex": "/a"}]})),
        shadowed
    );
    assert_eq!(
        second(json!({"any": [{"method": "GET"}, {"method": "PUT"}]}), json!({"method": "PUT"})),
        shadowed
    );
    let none = [""; 0];
    assert_eq!(second(json!({"method": "GET", "pathRegex": "/.*"}), json!({"pathRegex": "/a"})), none);
    assert_eq!(second(json!({"pathRegex": "/a/[^/]*"}), json!({"pathRegex": "/a/.*"})), none);
    assert_eq!(second(json!({"not": {"method": "GET"}}), json!({"method": "PUT"})), none);
}

#[test]
fn a_status_range_without_an_end_is_reported() {
    let classes = json!([{"name": "r", "condition": {"method": "GET"}, "isRetryable": true,
        "responseClasses": [{"condition": {"status": {"min": 500}}, "isFailure": true}]}]);
    assert_eq!(with("/spec/routes", classes), ["status-range"]);
}

#[test]
fn an_unknown_field_makes_a_profile_invalid() {
    assert_eq!(with(ROUTE, json!({"path": "/"})), ["profile-invalid"]);
    assert_eq!(with(ROUTE, json!({})), ["profile-invalid"]);
}

#[test]
fn a_profile_that_overrides_other_policies_is_reported() {
    let service_retries = annotated(json!({"retry.linkerd.io/http": "5xx"}));
    assert_eq!(ids(&[service_retries, profile()]), ["profile-overrides-policy"]);
    let route = json!({"kind": "HTTPRoute", "metadata": {"name": "r", "namespace": "default"},
        "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "bounced-service"}]}});
    assert_eq!(ids(&[service(), route, profile()]), ["profile-overrides-policy"]);
}

#[test]
fn annotations_without_the_intended_effect_are_reported() {
    let one = |pairs: Value| ids(&[annotated(pairs)]);
    assert_eq!(
        one(json!({"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "0"})),
        ["retry-limit-zero"]
    );
    assert_eq!(one(json!({"retry.linkerd.io/limit": "3"})), ["retry-condition-absent"]);
    assert_eq!(one(json!({"retry.linkerd.io/http": "all"})), ["annotation-value"]);
    assert_eq!(one(json!({"timeout.linkerd.io/request": "1.5s"})), ["annotation-value"]);
    assert_eq!(one(json!({"retry.linkerd.io/https": "5xx"})), ["annotation-unknown"]);
    assert_eq!(
        one(json!({"retries.linkerd.io/http": "5xx"})),
        [""; 0],
        "a group that differs in three letters is not a misspelling"
    );
    assert_eq!(one(json!({"retry.linkred.io/http": "5xx"})), ["annotation-unknown"]);
    assert_eq!(one(json!({"viz.linkerd.io/tap-enabled": "true"})), [""; 0]);
}

#[test]
fn injection_without_effect_is_reported() {
    let workload = |annotations: Value, template: Value, host: bool| {
        ids(&[json!({"kind": "Deployment", "metadata": {"name": "d", "annotations": annotations},
            "spec": {"template": {"metadata": {"annotations": template}, "spec": {"hostNetwork": host}}}})])
    };
    let enabled = json!({"linkerd.io/inject": "enabled"});
    assert_eq!(workload(enabled.clone(), json!({}), false), ["inject-place"]);
    assert_eq!(workload(json!({}), json!({"linkerd.io/inject": "true"}), false), ["inject-value"]);
    assert_eq!(workload(json!({}), enabled.clone(), true), ["inject-host-network"]);
    assert_eq!(workload(json!({}), enabled, false), [""; 0]);
}

#[test]
fn a_named_port_of_an_ingress_is_reported() {
    let ingress = |port: Value| {
        ids(&[json!({"kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules": [
            {"http": {"paths": [{"backend": {"service": {"name": "s", "port": port}}}]}}]}})])
    };
    assert_eq!(ingress(json!({"name": "http"})), ["ingress-named-port"]);
    assert_eq!(ingress(json!({"number": 9090})), [""; 0]);
}

#[test]
fn a_finding_has_the_location_the_effect_and_the_correction() {
    let mut world = World::new();
    let mut object = profile();
    object["spec"]["retryBudget"]["ttl"] = json!("2m");
    world.add_target(json!({"kind": "List", "items": [object]}), Some("sp.yaml"));
    let finding = &lint(&world)[0];
    assert_eq!(finding.place.file.as_deref(), Some("sp.yaml"));
    assert_eq!(finding.place.field, "spec.retryBudget.ttl");
    assert!(finding.why.contains("retries no request") && finding.todo.contains("1s to 60s"));
}

/// Returns the ids of the findings of each YAML block of a page. Each block is a complete cluster together with
/// bounced-service, which the block may define itself.
fn findings_of_blocks(page: &str) -> Vec<Vec<&'static str>> {
    let blocks = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    blocks
        .map(|block| {
            let mut world = World::new();
            world.mark_complete();
            for object in serde_yaml::from_multiple::<Value>(block).expect("the block is YAML") {
                world.add_target(object, None);
            }
            world.add_reference(service());
            lint(&world).into_iter().map(|f| f.id).collect()
        })
        .collect()
}

#[test]
fn each_page_has_one_block_with_the_finding_and_one_without() {
    for rule in RULES {
        let page =
            std::fs::read_to_string(pages().join(format!("{}.md", rule.id))).expect("each rule has a page");
        assert_eq!(findings_of_blocks(&page), [vec![rule.id], vec![]], "docs/lint/{}.md", rule.id);
    }
}

#[test]
fn each_rule_has_a_page_and_each_page_has_a_rule() {
    let mut pages: Vec<String> = std::fs::read_dir(pages())
        .expect("the docs are in the repository")
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".md")?.to_owned()))
        .filter(|page| page != "README")
        .collect();
    pages.sort();
    let mut ids: Vec<&str> =
        RULES.iter().chain(CALL_RULES).chain([&PROGRAM_RULE]).map(|rule| rule.id).collect();
    ids.sort_unstable();
    assert_eq!(pages, ids);
}

#[test]
fn the_overview_has_a_row_for_each_rule() {
    let overview = std::fs::read_to_string(pages().join("README.md")).expect("the overview");
    let rows: Vec<&str> = overview.lines().filter(|line| line.starts_with("| [")).collect();
    let mut rules: Vec<_> = RULES.iter().chain(CALL_RULES).chain([&PROGRAM_RULE]).collect();
    rules.sort_unstable_by_key(|rule| rule.id);
    let level = |level| if matches!(level, Level::Error) { "error" } else { "warning" };
    let expected: Vec<String> = rules
        .iter()
        .map(|rule| format!("| [{0}]({0}.md) | {1} | {2} |", rule.id, level(rule.level), rule.why))
        .collect();
    assert_eq!(rows, expected, "docs/lint/README.md");
}

fn pages() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lint")
}
