use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use meshy_apiserver::{Options, Server, Token};

use super::{Api, ApiError};
use crate::object::{set_annotation, string_map};

/// Returns a client of an API server with the ConfigMap `default/web`.
async fn api_with_config_map() -> (Server, Api) {
    let server = Server::new(Options {
        version: "v1.35.0".to_owned(),
        token: Token::random(),
        admission: Vec::new(),
        pods: None,
    });
    let api = Api::new(server.client());
    api.create(&config_map("web", "1")).await.expect("a ConfigMap");
    (server, api)
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("default".to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(string_map([("key", value)])),
        ..ConfigMap::default()
    }
}

fn get(api: &Api) -> Arc<ConfigMap> {
    api.get::<ConfigMap>("default", "web").expect("the ConfigMap")
}

#[tokio::test]
async fn each_revision_is_converted_once() {
    let (_server, api) = api_with_config_map().await;
    let first = get(&api);
    assert!(Arc::ptr_eq(&first, &get(&api)), "the same revision");
    let change = |found: &mut ConfigMap| set_annotation(&mut found.metadata, "a", "1");
    let changed = api.modify("default", "web", change).await.expect("a change");
    assert!(!Arc::ptr_eq(&first, &changed) && Arc::ptr_eq(&changed, &get(&api)), "the next revision");
}

#[tokio::test]
async fn a_change_to_the_same_content_writes_nothing() {
    let (_server, api) = api_with_config_map().await;
    let before = get(&api).metadata.resource_version.clone();
    let keep = |found: &mut ConfigMap| found.data = Some(string_map([("key", "1")]));
    api.modify("default", "web", keep).await.expect("a change");
    assert_eq!(get(&api).metadata.resource_version, before);
}

#[tokio::test]
async fn an_existing_object_is_an_error_unless_it_is_updated() {
    let (_server, api) = api_with_config_map().await;
    let error = api.create(&config_map("web", "2")).await.unwrap_err();
    assert!(matches!(error, ApiError::AlreadyExists), "{error}");
    let copy = |new: &ConfigMap, found: &mut ConfigMap| found.data.clone_from(&new.data);
    api.create_or_update(&config_map("web", "2"), copy).await.expect("an update");
    assert_eq!(get(&api).data, Some(string_map([("key", "2")])));
    let error = api.modify("default", "other", |_: &mut ConfigMap| {}).await.unwrap_err();
    assert!(matches!(error, ApiError::NotFound), "{error}");
}
