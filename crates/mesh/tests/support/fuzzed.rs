//! The fuzz target for lint and injection: arbitrary YAML objects as input.

use meshy_mesh::egress::EgressNetwork;
use meshy_mesh::grpc_route;
use meshy_mesh::inbound::{
    AuthorizationPolicy, MeshTlsAuthentication, NetworkAuthentication, RateLimitPolicy, Server, cidr,
};
use meshy_mesh::inject::{self, Done, Mode};
use meshy_mesh::lint::{World, lint};
use meshy_mesh::profile::ServiceProfile;
use serde_json::Value;

/// Checks the properties of lint, profiles and injection for one YAML stream. Ignores invalid UTF-8 and YAML.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(objects) = serde_yaml::from_multiple::<Value>(text) else { return };
    let mut world = World::new();
    for object in &objects {
        profile(object);
        injection(object);
        policies(object);
        world.add_target(object.clone(), None);
    }
    let partial = lint(&world);
    assert_eq!(lint(&world), partial, "lint returned different findings for the same world");
    world.mark_complete();
    lint(&world);
}

/// Checks that the parsers of policies end for any object, and that accepted networks are networks.
fn policies(object: &Value) {
    let _ = Server::from_value(object);
    let _ = AuthorizationPolicy::from_value(object);
    let _ = MeshTlsAuthentication::from_value(object);
    let _ = RateLimitPolicy::from_value(object);
    let _ = EgressNetwork::from_value(object);
    if let Ok(found) = NetworkAuthentication::from_value(object) {
        assert!(found.networks.iter().all(|network| cidr(&network.cidr).is_some()), "an invalid network");
    }
    if let Ok(route) = grpc_route::from_value(object) {
        let _ = grpc_route::retry(&route.metadata.annotations);
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
