//! Any objects as what lint and the injection transform are given.

use meshy_mesh::inject::{self, Done, Mode};
use meshy_mesh::lint::{World, lint};
use meshy_mesh::profile::ServiceProfile;
use serde_json::Value;

/// One YAML stream.
pub(crate) fn case(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(objects) = serde_yaml::from_multiple::<Value>(text) else { return };
    let mut world = World::new();
    for object in &objects {
        profile(object);
        injection(object);
        world.judge(object.clone(), None);
    }
    let partial = lint(&world);
    assert_eq!(lint(&world), partial, "lint has no memory");
    world.complete();
    lint(&world);
}

/// What is accepted is written as it was read, and lint accepts it too.
fn profile(object: &Value) {
    let accepted = ServiceProfile::from_value(object);
    if let Ok(profile) = &accepted {
        let again = ServiceProfile::from_value(&profile.to_value()).expect("it was accepted before");
        assert_eq!((again.metadata, again.spec), (profile.metadata.clone(), profile.spec.clone()));
    }
    if object["kind"] == "ServiceProfile" && object.get("items").is_none() {
        let mut world = World::new();
        world.judge(object.clone(), None);
        let refused = lint(&world).iter().any(|finding| finding.id == "profile-invalid");
        assert!(accepted.is_err() || !refused, "lint refuses what is accepted");
    }
}

/// What was asked for is there, a second time changes nothing, and what was added comes away again.
fn injection(object: &Value) {
    let mut injected = object.clone();
    let outcomes = inject::annotate(&mut injected, Mode::Enabled);
    if outcomes.iter().all(|outcome| outcome.done == Done::NotAWorkload) {
        assert_eq!(injected, *object, "it was to be left as it was");
    }
    let once = injected.clone();
    let again = inject::annotate(&mut injected, Mode::Enabled);
    assert_eq!(injected, once);
    assert!(again.iter().all(|outcome| outcome.done != Done::Annotated), "{again:?}");
    inject::remove(&mut injected);
    assert!(inject::remove(&mut injected).iter().all(|outcome| outcome.done != Done::Removed));
}
