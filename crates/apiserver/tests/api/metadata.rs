//! Responses with the metadata of objects only.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use meshy_apiserver::{Options, Server};
use serde_json::{Value, json};

use crate::client;
use crate::requests::exchange;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ONE: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

async fn server() -> Server {
    let server = Server::new(Options::default());
    let object = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"secret": "text"}});
    let (status, _, created) = exchange(&server, "POST", MAPS, ONE, &object).await;
    assert_eq!((status, &created["kind"]), (201, &json!("PartialObjectMetadata")));
    server
}

#[tokio::test]
async fn objects_and_lists_contain_only_metadata_if_the_client_prefers_it() {
    let server = server().await;
    let path = format!("{MAPS}/a");
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({"data": {"y": "2"}}))] {
        let (status, _, found) = exchange(&server, method, &path, ONE, &body).await;
        assert_eq!(status, 200);
        let fields: Vec<&String> = found.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["apiVersion", "kind", "metadata"], "{method}: {found}");
        assert_eq!(found["apiVersion"], "meta.k8s.io/v1");
        assert_eq!(found["metadata"]["labels"], json!({"x": "1"}));
    }
    let (_, _, list) = exchange(&server, "GET", MAPS, LIST, &Value::Null).await;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    assert_eq!(list["items"][0]["kind"], "PartialObjectMetadata");
    assert_eq!(list["items"][0]["data"], Value::Null);
    assert!(list["metadata"]["resourceVersion"].is_string());
}

#[tokio::test]
async fn form_that_does_not_match_is_rejected_before_the_write() {
    let server = server().await;
    assert_eq!(exchange(&server, "GET", MAPS, ONE, &Value::Null).await.0, 406);
    let path = format!("{MAPS}/a");
    assert_eq!(exchange(&server, "GET", &path, LIST, &Value::Null).await.0, 406);
    assert_eq!(exchange(&server, "PATCH", &path, LIST, &json!({"data": {"y": "2"}})).await.0, 406);
    assert_eq!(exchange(&server, "POST", MAPS, LIST, &json!({"metadata": {"name": "b"}})).await.0, 406);
    assert_eq!(exchange(&server, "DELETE", &path, LIST, &Value::Null).await.0, 406);
    let (_, _, list) = exchange(&server, "GET", MAPS, "", &Value::Null).await;
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(list["items"][0]["data"], json!({"secret": "text"}));
}

#[tokio::test]
async fn kube_rs_reads_patches_and_watches_metadata() {
    let server = server().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let list = maps.list_metadata(&ListParams::default()).await.expect("a list");
    assert_eq!(list.items[0].metadata.name.as_deref(), Some("a"));
    let patch = json!({"metadata": {"annotations": {"a": "b"}}});
    let patched =
        maps.patch_metadata("a", &PatchParams::default(), &Patch::Merge(&patch)).await.expect("patches");
    assert_eq!(patched.types.expect("types").kind, "PartialObjectMetadata");
    let mut events = maps.watch_metadata(&WatchParams::default(), "0").await.expect("a watch").boxed();
    let event = events.next().await.expect("an event").expect("an object");
    let WatchEvent::Added(object) = event else { panic!("{event:?}") };
    assert_eq!(object.types.expect("types").kind, "PartialObjectMetadata");
}
