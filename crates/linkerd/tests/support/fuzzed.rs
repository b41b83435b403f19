//! The fuzz target for lint and injection: arbitrary YAML objects as input.

use meshy_linkerd::effective::{Objects, effective};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::inject::{self, Done, Mode};
use meshy_linkerd::lint::{Finding, World, github, line, lint};
use meshy_linkerd::policy::Annotations;
use meshy_linkerd::profile::ServiceProfile;
use meshy_linkerd::{generate, grpc_route, migrate};
use serde_json::Value;

/// Checks the properties of lint, profiles and injection for one YAML stream. Ignores invalid UTF-8 and YAML.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(objects) = serde_yaml::from_multiple::<Value>(text) else { return };
    let mut world = World::new();
    for object in &objects {
        profile(object);
        injection(object);
        openapi(object);
        world.add_target(object.clone(), Some("input.yaml"));
    }
    policies(&objects);
    let partial = lint(&world);
    annotations(text, &partial);
    assert_eq!(lint(&world), partial, "lint returned different findings for the same world");
    world.mark_complete();
    lint(&world);
}

/// Checks that each finding is one line, with a line of the text.
fn annotations(text: &str, findings: &[Finding]) {
    let commands = github(findings, |place| {
        let found = line(text, place);
        assert!(found.is_none_or(|line| (1..=text.lines().count()).contains(&line)), "{place:?}");
        found
    });
    assert_eq!(commands.lines().count(), findings.len());
}

/// Checks that a generated profile has nothing for lint to reject.
fn openapi(document: &Value) {
    let options =
        generate::Options { namespace: "shop", name: "cart", retry_ratio: 0.2, min_retries_per_second: 10 };
    if let Ok(profile) = generate::profile(&options, Some(document)) {
        let mut world = World::new();
        world.add_target(profile.to_value(), None);
        let wrong = lint(&world).into_iter().find(|finding| finding.id.ends_with("-invalid"));
        assert_eq!(wrong, None);
    }
}

/// Checks the policy in effect and the translation of each profile, together with all routes and annotations of the input.
fn policies(objects: &[Value]) {
    let routes: Vec<HttpRoute> = objects.iter().filter_map(|o| HttpRoute::from_value(o).ok()).collect();
    let grpc_routes: Vec<HttpRoute> =
        objects.iter().filter_map(|object| grpc_route::from_value(object).ok()).collect();
    let annotations: Annotations =
        routes.iter().flat_map(|route| route.metadata.annotations.clone()).collect();
    let profiles = objects.iter().filter_map(|object| ServiceProfile::read_leniently(object).ok());
    for profile in profiles.map(Some).chain([None]) {
        let objects = Objects {
            namespace: "shop",
            name: "cart",
            annotations: &annotations,
            profile: profile.as_ref(),
            routes: &routes,
            grpc_routes: &grpc_routes,
            inbound: None,
        };
        effective(&objects);
        let options = migrate::Options { port: 80, limit: 3, annotations: &annotations };
        let Some(migration) = profile.and_then(|profile| migrate::migrate(&profile, &options)) else {
            continue;
        };
        let mut world = World::new();
        migration.routes.into_iter().for_each(|route| world.add_target(route, None));
        let wrong = lint(&world).into_iter().find(|finding| finding.id.ends_with("-invalid"));
        assert_eq!(wrong, None, "a translated route is invalid");
    }
}

/// Checks that an accepted profile is unchanged after writing and parsing it, and that lint accepts it.
fn profile(object: &Value) {
    let accepted = ServiceProfile::from_value(object);
    if let Ok(profile) = &accepted {
        let reparsed = ServiceProfile::from_value(&profile.to_value()).expect("the profile is valid");
        assert_eq!((reparsed.metadata, reparsed.spec), (profile.metadata.clone(), profile.spec.clone()));
    }
    if object["kind"] == "ServiceProfile" && object.get("items").is_none() {
        let mut world = World::new();
        world.add_target(object.clone(), None);
        let rejected = lint(&world).iter().any(|finding| finding.id == "profile-invalid");
        assert!(accepted.is_err() || !rejected, "lint rejects a valid profile");
    }
}

/// Checks that other objects are unchanged, that a second injection changes nothing, and that the annotation can be
/// removed.
fn injection(object: &Value) {
    let mut injected = object.clone();
    let outcomes = inject::annotate(&mut injected, Mode::Enabled);
    if outcomes.iter().all(|outcome| outcome.done == Done::NotAWorkload) {
        assert_eq!(injected, *object, "an object that is not a workload was changed");
    }
    let once = injected.clone();
    let second = inject::annotate(&mut injected, Mode::Enabled);
    assert_eq!(injected, once);
    assert!(second.iter().all(|outcome| outcome.done != Done::Annotated), "{second:?}");
    inject::remove(&mut injected);
    assert!(inject::remove(&mut injected).iter().all(|outcome| outcome.done != Done::Removed));
}
