//! kube-rs: watcher, server-side apply and lists.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use meshy_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::client;

/// Timeout that is also sufficient on a slow machine.
const TIMEOUT: Duration = Duration::from_secs(20);

fn config_map(name: &str, data: Value) -> ConfigMap {
    serde_json::from_value(
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}),
    )
    .expect("a ConfigMap")
}

#[tokio::test]
async fn kube_rs_watcher_receives_existing_and_changed_objects() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    maps.create(&PostParams::default(), &config_map("a", json!({"x": "1"}))).await.expect("creates");
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut events = watcher(maps.clone(), config).default_backoff().applied_objects().boxed();
        let next = async |events: &mut futures::stream::BoxStream<'_, watcher::Result<ConfigMap>>| {
            tokio::time::timeout(TIMEOUT, events.next())
                .await
                .expect("in time")
                .expect("a stream")
                .expect("an object")
        };
        assert_eq!(next(&mut events).await.metadata.name.as_deref(), Some("a"));
        let patch = json!({"data": {"y": rand::random::<u32>().to_string()}});
        maps.patch("a", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patches");
        assert!(next(&mut events).await.data.expect("data").contains_key("y"));
    }
}

#[tokio::test]
async fn unchanged_apply_keeps_the_resource_version_and_conflicts_name_the_manager() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let config = config_map("a", json!({"x": "1"}));
    let first = maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(&config)).await.expect("applies");
    let second = maps.patch("a", &PatchParams::apply("one"), &Patch::Apply(&config)).await.expect("applies");
    assert_eq!(first.metadata.resource_version, second.metadata.resource_version);
    let other = config_map("a", json!({"x": "2"}));
    let error =
        maps.patch("a", &PatchParams::apply("two"), &Patch::Apply(&other)).await.expect_err("conflicts");
    assert!(error.to_string().contains("conflict with \"one\": .data.x"), "{error}");
    let forced = PatchParams::apply("two").force();
    let applied = maps.patch("a", &forced, &Patch::Apply(&other)).await.expect("applies");
    assert_eq!(applied.data.expect("data")["x"], "2");
}

#[tokio::test]
async fn list_pages_are_consistent_during_concurrent_writes() {
    let server = Server::new(Options::default());
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    for number in 0..30 {
        maps.create(&PostParams::default(), &config_map(&format!("m{number:02}"), json!({})))
            .await
            .expect("creates");
    }
    let mut params = ListParams::default().limit(7);
    let mut names = Vec::new();
    loop {
        let page = maps.list(&params).await.expect("a page");
        names.extend(page.items.into_iter().filter_map(|object| object.metadata.name));
        maps.delete(&format!("m{:02}", names.len() % 30), &DeleteParams::default()).await.ok();
        maps.create(&PostParams::default(), &config_map(&format!("n{}", names.len()), json!({})))
            .await
            .expect("creates");
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => break,
        }
    }
    let expected: Vec<String> = (0..30).map(|number| format!("m{number:02}")).collect();
    assert_eq!(names, expected);
}
