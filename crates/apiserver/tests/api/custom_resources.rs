//! Definitions and custom resources.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use meshy_apiserver::{DeleteOptions, Options, Server, WriteOptions};
use serde_json::{Value, json};

use crate::client;
use crate::requests::send;

const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

fn definition() -> Value {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "mode": {"type": "string", "default": "plain", "enum": ["plain", "odd"]},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}},
    }}}});
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boxes.example.io"},
        "spec": {"group": "example.io", "scope": "Namespaced", "names": {"plural": "boxes", "kind": "Box"},
            "versions": [version("v1", true), version("v1beta1", false)]},
    })
}

#[tokio::test]
async fn custom_resources_get_defaults_pruning_and_validation() {
    let server = Server::new(Options::default());
    let local = server.client();
    local
        .create(DEFINITIONS, "", definition(), &WriteOptions::with_manager("t"))
        .await
        .expect("creates the definition");
    let resource =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.io", "v1", "Box"), "boxes");
    let boxes: Api<DynamicObject> = Api::default_namespaced_with(client(&server), &resource);
    let object = |spec: Value| -> DynamicObject {
        serde_json::from_value(
            json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": spec}),
        )
        .expect("a box")
    };
    let error =
        boxes.create(&PostParams::default(), &object(json!({"size": 0}))).await.expect_err("too small");
    assert!(error.to_string().contains("should be greater than or equal to 1"), "{error}");
    let created =
        boxes.create(&PostParams::default(), &object(json!({"size": 2, "junk": 1}))).await.expect("creates");
    assert_eq!(created.data["spec"], json!({"size": 2, "mode": "plain"}));
    // The same object is served in the other version.
    let old =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.io", "v1beta1", "Box"), "boxes");
    let found =
        Api::<DynamicObject>::default_namespaced_with(client(&server), &old).get("b").await.expect("exists");
    assert_eq!(found.types.expect("types").api_version, "example.io/v1beta1");
    // Lists are merged by the keys in the definition.
    for (manager, part) in [("one", "x"), ("two", "y")] {
        let config = object(json!({"parts": [{"name": part, "n": 1}]}));
        boxes.patch("b", &PatchParams::apply(manager), &Patch::Apply(&config)).await.expect("applies");
    }
    let both = boxes.get("b").await.expect("exists");
    assert_eq!(both.data["spec"]["parts"], json!([{"name": "x", "n": 1}, {"name": "y", "n": 1}]));
}

/// The messages are those of kube-apiserver 1.36.3.
#[tokio::test]
async fn schema_violations_have_the_messages_of_kube_apiserver() {
    let local = Server::new(Options::default()).client();
    let mut definition = definition();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": {
            "p": {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"},
            "t": {"type": "string", "format": "date-time"}, "i": {"type": "integer", "format": "int32"},
            "m": {"type": "integer", "multipleOf": 3}, "x": {"type": "integer", "exclusiveMinimum": true, "minimum": 3},
            "u": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "string"}},
    }}}});
    let options = WriteOptions::default();
    local.create(DEFINITIONS, "", definition, &options).await.expect("creates the definition");
    let create = async |name: &str, spec: Value| {
        let object =
            json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": name}, "spec": spec});
        local.create("boxes.example.io", "default", object, &options).await
    };
    let good = json!({"p": "10s5ms", "t": "2026-11-23T00:00:00Z", "i": 3, "m": 9, "x": 4, "u": {"a": "1"}});
    create("good", good).await.expect("creates");
    let bad = json!({"p": "10 s", "t": "yesterday", "i": 3_000_000_000_u64, "m": 4, "x": 3, "u": {"a": "1", "b": "2"}});
    let error = create("bad", bad).await.expect_err("six invalid fields");
    let text = error.to_status().to_string();
    for message in [
        "spec.x in body should be greater than 3",
        "Checked value must be of type integer with format int32 in spec.i",
        "spec.m in body should be a multiple of 3",
        "spec.p in body should match '^([0-9]{1,5}(h|m|s|ms)){1,4}$'",
        "spec.t in body must be of type date-time",
        "Too many: 2: must have at most 1 item",
    ] {
        assert!(text.contains(message), "{message}: {text}");
    }
}

#[tokio::test]
async fn restored_server_has_all_objects_and_expires_old_watches() {
    let server = Server::new(Options::default());
    let local = server.client();
    local
        .create(DEFINITIONS, "", definition(), &WriteOptions::with_manager("t"))
        .await
        .expect("creates the definition");
    let object =
        json!({"apiVersion": "example.io/v1", "kind": "Box", "metadata": {"name": "b"}, "spec": {"size": 1}});
    let created = local
        .create("boxes.example.io", "default", object, &WriteOptions::with_manager("t"))
        .await
        .expect("creates")
        .object;
    let restored = Server::restore(Options::default(), &server.snapshot()).expect("restores");
    let found = restored.client().get("boxes.example.io", "default", "b").expect("exists");
    assert_eq!(found.value(), created.value());
    assert_eq!(restored.revision(), server.revision());
    let error = restored.client().watch("boxes.example.io", "", 1).next().await.expect_err("too old");
    assert_eq!(error.code, 410);
    assert!(Server::restore(Options::default(), b"{}").is_err());
}

#[tokio::test]
async fn openapi_documents_follow_definitions() {
    let server = Server::new(Options::default());
    let status = async || send(&server, "GET", "/openapi/v3/apis/example.io/v1", "", Vec::new()).await;
    assert_eq!(status().await, 404);
    for _ in 0..2 {
        let client = server.client();
        client.create(DEFINITIONS, "", definition(), &WriteOptions::default()).await.expect("creates");
        assert_eq!(status().await, 200);
        client.delete(DEFINITIONS, "", "boxes.example.io", &DeleteOptions::default()).await.expect("deletes");
        assert_eq!(status().await, 404);
    }
}
