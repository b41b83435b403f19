//! Changes and their end, against an API server in this process.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use meshy_base::error::{exit_of, hints};
use meshy_base::report::Memory;
use meshy_kube::Kinds;
use meshy_linkerd::names;
use meshy_predict::edge::Policy;

mod world;

use world::{PROFILE, World, lesson, limit, options, service, users};

const CASES: [&str; 10] = [
    "nothing",
    "a profile without a budget",
    "a profile by kubectl apply",
    "a profile by kubectl create",
    "a profile by meshy",
    "only retry annotations",
    "retry annotations among others",
    "retry annotations by meshy",
    "a route",
    "everything",
];

const STEPS: usize = 5;

/// One change of an experiment, and what the cluster then has for a policy.
async fn step(world: &World, session: &mut Session, step: usize) {
    let policy = match step {
        0 | 3 => {
            session.without_retries(&service()).await.unwrap();
            Policy::None
        }
        1 => {
            session.apply(&lesson()).await.unwrap();
            Policy::DEFAULT_BUDGET
        }
        2 => {
            let budget = shipped_with_budget(0.1, 2, 5.0).unwrap();
            session.apply(&PolicyChange::profile(budget)).await.unwrap();
            Policy::Budget { retry_ratio: 0.1, min_retries_per_second: 2, ttl_seconds: 5.0 }
        }
        _ => {
            session.apply(&PolicyChange::retries(&service(), &limit("4"))).await.unwrap();
            Policy::Limit { limit: 4 }
        }
    };
    assert_eq!(world.policy().await, policy, "step {step}");
}

async fn experiment(world: &World, session: &mut Session) {
    for number in 0..STEPS {
        step(world, session, number).await;
    }
}

#[tokio::test]
async fn the_policy_that_is_predicted_is_the_one_that_wins() {
    let world = World::new().await;
    let of_service = PolicyChange::retries(&service(), &limit("3"));
    of_service.apply(&world.kinds, &options(false)).await.unwrap();
    assert_eq!(world.policy().await, Policy::Limit { limit: 3 });
    // The route of `meshy retry apply --as route --limit 2`, whose retries replace those of the Service.
    let backend = [("bounced-service".to_owned(), 1)];
    let route =
        objects::route("bounced-service-retry", "bounced-service", "default", 9090, &limit("2"), &backend);
    PolicyChange::route(route.unwrap()).apply(&world.kinds, &options(false)).await.unwrap();
    assert_eq!(world.policy().await, Policy::Limit { limit: 2 });
    lesson().apply(&world.kinds, &options(false)).await.unwrap();
    assert_eq!(world.policy().await, Policy::DEFAULT_BUDGET);
    PolicyChange::no_profile(PROFILE, "default").apply(&world.kinds, &options(false)).await.unwrap();
    let gone = PolicyChange::no_route("bounced-service-retry", "default");
    assert!(!gone.is_of_another_tool(&world.kinds).await.unwrap(), "meshy created the route");
    gone.apply(&world.kinds, &options(false)).await.unwrap();
    assert_eq!(world.policy().await, Policy::Limit { limit: 3 });
}

#[tokio::test]
async fn what_is_in_effect_is_read_with_one_request_for_each_kind() {
    let world = World::new().await;
    let metadata = json!({"name": "grpc", "namespace": "default",
                          "annotations": {names::RETRY_GRPC: "unavailable"}});
    let parent = json!({"group": "core", "kind": "Service", "name": "bounced-service"});
    let api_version = "gateway.networking.k8s.io/v1";
    let spec = json!({"parentRefs": [parent], "rules": [{}]});
    let route = json!({"apiVersion": api_version, "kind": "GRPCRoute", "metadata": metadata, "spec": spec});
    world.applied("kubectl", route.clone()).await;
    let deletion = PolicyChange::no_object(&serde_json::from_value(route).unwrap());
    assert!(deletion.is_of_another_tool(&world.kinds).await.unwrap(), "kubectl created the route");
    world.requests.lock().unwrap().clear();
    let mut about = About::read(&Kinds::new(world.kinds.client().clone()), &service(), None).await.unwrap();
    about.read_rest(&world.kinds).await.unwrap();
    let text = about.effective().to_string();
    assert!(text.contains("requests of GRPCRoute grpc\n  retries        gRPC unavailable"), "{text}");
    let mut requests = world.requests.lock().unwrap().clone();
    requests.retain(|path| path.contains("/namespaces"));
    let all = requests.len();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), all, "{requests:?}");
}

#[tokio::test]
async fn an_experiment_leaves_every_object_as_it_found_it() {
    for case in CASES {
        let world = World::new().await;
        users(&world, case).await;
        let before = world.objects().await;
        let mut session = world.session(true);
        experiment(&world, &mut session).await;
        assert_ne!(world.objects().await, before, "{case}");
        session.restore(&Memory::default().report()).await.unwrap();
        assert_eq!(world.objects().await, before, "{case}");
        assert!(!world.journal().exists(), "{case}");
    }
}

/// Where a run is killed between two steps: after a change, before it is noted as stored, after the next one is noted as
/// under way.
#[derive(Clone, Copy, Debug)]
enum Killed {
    After,
    BeforeStored,
    BeforeWritten,
}

#[tokio::test]
async fn a_killed_experiment_is_restored_from_its_journal_whenever_it_was_killed() {
    for case in ["nothing", "everything"] {
        let world = World::new().await;
        users(&world, case).await;
        let before = world.objects().await;
        for last in 0..STEPS {
            for killed in [Killed::After, Killed::BeforeStored, Killed::BeforeWritten] {
                let mut session = world.session(true);
                for number in 0..=last {
                    step(&world, &mut session, number).await;
                }
                let text = std::fs::read_to_string(world.journal()).unwrap();
                drop(session);
                let text = match killed {
                    Killed::After => text,
                    Killed::BeforeStored => {
                        let (rest, stored) = text.trim_end().rsplit_once('\n').unwrap();
                        assert!(stored.starts_with("{\"stored\""), "{stored}");
                        rest.to_owned() + "\n"
                    }
                    Killed::BeforeWritten => text + "{\"writes\":{\"object\":0,\"wanted\":null}}\n",
                };
                std::fs::write(world.journal(), text).unwrap();
                let memory = Memory::default();
                session::tests::recovered(&world.kinds, &world.journal(), &memory.report()).await;
                assert!(memory.text().contains("`meshy test` was ended"), "{}", memory.text());
                assert_eq!(world.objects().await, before, "{case}, {last}, {killed:?}");
            }
        }
    }
}

#[tokio::test]
async fn fields_of_other_managers_are_refused_before_anything_changes() {
    for case in ["a profile by kubectl apply", "a profile by kubectl create", "everything"] {
        let world = World::new().await;
        users(&world, case).await;
        let before = world.objects().await;
        let error = lesson().apply(&world.kinds, &options(false)).await.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("field `.spec.routes` is owned by `kubectl"), "{text}");
        assert_eq!(hints(&error), ["`--force` takes the fields over"]);
        assert_eq!(world.objects().await, before, "{case}");
        let mut session = world.session(false);
        let error = session.without_retries(&service()).await.unwrap_err();
        assert!(hints(&error)[0].contains("gives them back"), "{error:#}");
        assert_eq!(exit_of(&error), meshy_base::error::Exit::Failed);
        session.restore(&Memory::default().report()).await.unwrap();
        assert_eq!(world.objects().await, before, "{case}");
    }
    let world = World::new().await;
    users(&world, "retry annotations among others").await;
    let before = world.objects().await;
    let error = PolicyChange::retries(&service(), &limit("3"))
        .apply(&world.kinds, &options(false))
        .await
        .unwrap_err();
    assert!(
        format!("{error:#}").contains("retry.linkerd.io/limit` is owned by `kubectl-annotate`"),
        "{error:#}"
    );
    assert_eq!(world.objects().await, before);
}

#[tokio::test]
async fn a_lasting_change_is_labelled_where_meshy_made_the_object_and_can_be_reverted() {
    let world = World::new().await;
    let before = world.objects().await;
    let applied = lesson().apply(&world.kinds, &options(false)).await.unwrap();
    assert_eq!(applied.outcome, Outcome::Created);
    let profile = world.api("ServiceProfile").get(PROFILE).await.unwrap();
    assert_eq!(profile.metadata.labels.unwrap()[meshy_kube::MANAGED_BY], meshy_kube::MESHY);
    let again = lesson().apply(&world.kinds, &options(false)).await.unwrap();
    let reverted = PolicyChange::revert(world.kinds.client(), &again.captured).await.unwrap();
    assert_eq!(reverted, Reverted::Unchanged);
    let reverted = PolicyChange::revert(world.kinds.client(), &applied.captured).await.unwrap();
    assert_eq!((reverted, world.objects().await), (Reverted::Restored, before));
}

#[tokio::test]
async fn an_object_of_others_gets_no_label_so_that_down_does_not_delete_it() {
    let world = World::new().await;
    users(&world, "a profile by kubectl apply").await;
    let applied = lesson().apply(&world.kinds, &options(true)).await.unwrap();
    assert_eq!(applied.outcome, Outcome::Changed);
    let profile = world.api("ServiceProfile").get(PROFILE).await.unwrap();
    assert_eq!(json!(profile.metadata.labels), json!({"team": "a"}));
    assert_eq!(
        world.policy().await,
        Policy::DEFAULT_BUDGET,
        "the other profile's overrides and budget are gone"
    );
    assert!(profile.data["spec"].get("dstOverrides").is_none());
}

#[tokio::test]
async fn a_change_of_another_tool_during_the_run_is_left_alone_with_a_warning() {
    let world = World::new().await;
    users(&world, "a profile by kubectl apply").await;
    let old = world.api("ServiceProfile").get(PROFILE).await.unwrap();
    let mut session = world.session(true);
    session.apply(&lesson()).await.unwrap();
    let edit = json!({"spec": {"retryBudget": {"minRetriesPerSecond": 77}}});
    world.patched("ServiceProfile", PROFILE, "kubectl-edit", edit).await;
    let edited = world.objects().await;
    let error = session.without_retries(&service()).await.unwrap_err();
    assert!(error.to_string().contains("was changed by another tool during the run"), "{error:#}");
    let memory = Memory::default();
    session.restore(&memory.report()).await.unwrap();
    assert_eq!(world.objects().await, edited);
    assert!(memory.text().contains("left as it is (its state before the run: "), "{}", memory.text());
    let kept = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
    let files = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let kept: Vec<_> = files.filter(|path| kept(path)).collect();
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["spec"], old.data["spec"]);
}

#[tokio::test]
async fn changes_of_other_fields_during_the_run_stay() {
    let world = World::new().await;
    users(&world, "only retry annotations").await;
    let before = world.objects().await;
    let mut session = world.session(true);
    experiment(&world, &mut session).await;
    let mut other = json!({"metadata": {"annotations": {"team": "b"}, "labels": {"a": "b"}}});
    world.patched("Service", "bounced-service", "kubectl-label", other.clone()).await;
    session.restore(&Memory::default().report()).await.unwrap();
    let mut now = world.objects().await;
    assert_eq!(now[0]["metadata"]["annotations"]["team"], "b");
    // Without that change the object is as before.
    other["metadata"]["annotations"]["team"] = Value::Null;
    other["metadata"]["labels"] = Value::Null;
    world.patched("Service", "bounced-service", "kubectl-label", other).await;
    now = world.objects().await;
    assert_eq!(now[0]["metadata"]["annotations"], before[0]["metadata"]["annotations"]);
    assert_eq!(now[0]["metadata"]["managedFields"], before[0]["metadata"]["managedFields"]);
}
