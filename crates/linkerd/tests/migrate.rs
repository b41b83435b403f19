//! Each kind of difference occurs in the fixture of its name; the fixtures `none-…` have no differences.

use std::collections::BTreeSet;
use std::path::Path;

use meshy_linkerd::migrate::{Kind, Migration, Options, migrate};
use meshy_linkerd::policy::Annotations;
use meshy_linkerd::profile::ServiceProfile;
use serde_json::{Value, json};

fn migrated(fixture: &str) -> Migration {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/migrate/{fixture}.yaml"));
    let text = std::fs::read_to_string(path).expect("the fixture is there");
    let objects: Vec<Value> = serde_yaml::from_multiple(&text).expect("the fixture is YAML");
    let profile = ServiceProfile::from_value(&objects[0]).expect("the fixture is a profile");
    let annotations = objects.get(1).map(|service| service["metadata"]["annotations"].clone());
    let annotations: Annotations =
        annotations.map(serde_json::from_value).transpose().expect("annotations").unwrap_or_default();
    migrate(&profile, &Options { port: 9090, limit: 3, annotations: &annotations })
        .expect("a service's profile")
}

fn kinds(migration: &Migration) -> BTreeSet<Kind> {
    migration.differences.iter().map(|difference| difference.kind).collect()
}

#[test]
fn each_kind_of_difference_occurs_in_its_fixture() {
    for kind in Kind::ALL {
        let migration = migrated(&kind.to_string());
        assert!(kinds(&migration).contains(&kind), "{kind}: {:?}", migration.differences);
    }
}

#[test]
fn a_difference_occurs_only_where_its_cause_is() {
    for kind in Kind::ALL {
        let mut expected = BTreeSet::from([kind]);
        if matches!(kind, Kind::BudgetBecomesLimit | Kind::RetryBackoff | Kind::ResponseClasses) {
            expected.extend([Kind::BudgetBecomesLimit, Kind::RetryBackoff]);
        }
        if kind == Kind::RouteOrder {
            expected.insert(Kind::TimeoutResponse);
        }
        assert_eq!(kinds(&migrated(&kind.to_string())), expected, "{kind}");
    }
}

#[test]
fn profiles_that_routes_express_exactly_have_no_differences() {
    for fixture in ["none-plain-route", "none-rejected-budget", "none-traffic-split"] {
        let migration = migrated(fixture);
        assert_eq!(migration.differences, [], "{fixture}");
        assert!(!migration.routes.is_empty(), "{fixture}");
    }
}

#[test]
fn a_route_has_the_retries_and_the_timeout_as_annotations() {
    let route = &migrated("budget-becomes-limit").routes[0];
    let annotations = json!({"retry.linkerd.io/http": "5xx", "retry.linkerd.io/limit": "3"});
    assert_eq!(route["metadata"]["annotations"], annotations);
    let classes = &migrated("response-classes").routes[0];
    assert_eq!(classes["metadata"]["annotations"]["retry.linkerd.io/http"], "429,500,502-599");
    let timeout = &migrated("timeout-response").routes[0];
    assert_eq!(timeout["metadata"]["annotations"], json!({"timeout.linkerd.io/request": "1500ms"}));
}

#[test]
fn paths_become_exact_values_prefixes_or_anchored_expressions() {
    let matches =
        |fixture: &str, route: usize| migrated(fixture).routes[route]["spec"]["rules"][0]["matches"].clone();
    assert_eq!(matches("none-plain-route", 0), json!([{"path": {"type": "PathPrefix", "value": "/"}}]));
    let exact = json!([{"method": "GET", "path": {"type": "Exact", "value": "/slow"}}]);
    assert_eq!(matches("route-order", 1), exact);
    let regex = json!([{"method": "GET", "path": {"type": "RegularExpression", "value": "^/items/[0-9]+$"}}]);
    assert_eq!(matches("unmatched-requests", 0), regex);
}

#[test]
fn weights_keep_their_proportions() {
    let route = &migrated("none-traffic-split").routes[0];
    let backends = &route["spec"]["rules"][0]["backendRefs"];
    assert_eq!((&backends[0]["weight"], &backends[1]["weight"]), (&json!(900), &json!(100)));
    assert_eq!(backends[1]["name"], "bounced-service-v2");
}

#[test]
fn the_routes_have_no_errors_for_lint() {
    for kind in Kind::ALL {
        let mut world = meshy_linkerd::lint::World::new();
        for route in migrated(&kind.to_string()).routes {
            world.add_target(route, None);
        }
        assert_eq!(meshy_linkerd::lint::lint(&world), [], "{kind}");
    }
}
