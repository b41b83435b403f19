//! Definitions and custom resources.

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use meshy_apiserver::{DeleteOptions, Options, Server, WriteOptions};
use serde_json::{Value, json};

use crate::client;
use crate::requests::{exchange, send};

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

/// The causes are those of kube-apiserver 1.36.3, except for approved names of built-in kinds, which it accepts and
/// ignores.
#[tokio::test]
async fn definitions_cannot_have_names_of_built_in_kinds_or_groups_without_approval() {
    let local = Server::new(Options::default()).client();
    let approved = "https://github.com/kubernetes-sigs/gateway-api/pull/1";
    let definition = |group: &str, plural: &str, kind: &str, approval: &str| {
        let mut definition = definition();
        definition["metadata"] = json!({"name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": approval}});
        definition["spec"]["group"] = group.into();
        definition["spec"]["names"] = json!({"plural": plural, "kind": kind});
        definition
    };
    let annotation = "metadata.annotations[api-approved.kubernetes.io]";
    for (group, plural, kind, approval, field, why) in [
        ("apps", "deployments", "Deployment", "", "spec.group", "should be a domain with at least one dot"),
        ("boxes", "boxes", "Box", approved, "spec.group", "should be a domain with at least one dot"),
        ("Example.io", "boxes", "Box", "", "spec.group", "a lowercase RFC 1123 subdomain"),
        ("example.io", "Boxes", "Box", "", "spec.names.plural", "a DNS-1035 label"),
        ("networking.k8s.io", "boxes", "Box", "", annotation, "Required value: protected groups"),
        ("x.kubernetes.io", "boxes", "Box", "yes", annotation, "with either a URL or a reason"),
        ("networking.k8s.io", "ingresses", "Box", approved, "spec.names.plural", "is a built-in resource"),
        ("networking.k8s.io", "boxes", "Ingress", approved, "spec.names.kind", "is a built-in kind"),
        (
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "CustomResourceDefinition",
            approved,
            "spec.names.plural",
            "is a built-in resource",
        ),
    ] {
        let definition = definition(group, plural, kind, approval);
        let error = local.create(DEFINITIONS, "", definition, &WriteOptions::default()).await;
        let error = error.expect_err("invalid");
        let causes = error.details["causes"].as_array().cloned().unwrap_or_default();
        let found = causes.iter().any(|cause| {
            cause["field"] == field && cause["message"].as_str().unwrap_or_default().contains(why)
        });
        assert!(error.code == 422 && found, "{plural}.{group}: {error}");
    }
    for (group, approval, status) in [
        ("example.io", "", Value::Null),
        ("gateway.networking.k8s.io", approved, "True".into()),
        ("x.k8s.io", "unapproved, experimental", "False".into()),
    ] {
        let definition = definition(group, "boxes", "Box", approval);
        let created = local.create(DEFINITIONS, "", definition, &WriteOptions::default()).await;
        let conditions = created.expect("creates").object["status"]["conditions"].clone();
        assert_eq!(conditions[2]["status"], status, "{group}: {conditions}");
    }
}

#[tokio::test]
async fn restored_definition_with_the_name_of_a_built_in_kind_does_not_replace_it() {
    let server = Server::new(Options::default());
    let client = server.client();
    client.create(DEFINITIONS, "", definition(), &WriteOptions::default()).await.expect("creates");
    let snapshot = String::from_utf8(server.snapshot()).expect("text");
    // A snapshot of an earlier version, which accepted this definition.
    let snapshot = snapshot.replace("boxes", "deployments").replace("example.io", "apps");
    let restored = Server::restore(Options::default(), snapshot.as_bytes()).expect("restores");
    let client = restored.client();
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {
        "selector": {"matchLabels": {"app": "a"}}, "template": {"metadata": {"labels": {"app": "a"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}}});
    let options = WriteOptions::default();
    let created = client.create("deployments.apps", "default", deployment, &options).await.expect("creates");
    assert_eq!(created.object["spec"]["replicas"], 1, "the defaults of a Deployment are set");
    client.delete(DEFINITIONS, "", "deployments.apps", &DeleteOptions::default()).await.expect("deletes");
    assert!(client.get("deployments.apps", "default", "a").is_some(), "the Deployment is not deleted");
    assert!(client.resources().contains(&("deployments.apps".to_owned(), true)), "the kind is still served");
}

#[tokio::test]
async fn deprecated_versions_warn_in_each_response() {
    let server = Server::new(Options::default());
    let mut definition = definition();
    definition["spec"]["versions"][1]["deprecated"] = true.into();
    server.client().create(DEFINITIONS, "", definition, &WriteOptions::default()).await.expect("creates");
    let path = |version: &str| format!("/apis/example.io/{version}/namespaces/default/boxes");
    let warnings = async |method: &str, path: &str, body: Value| {
        let (_, headers, _) = exchange(&server, method, path, "", &body).await;
        let found = headers.get_all("warning").iter();
        found.map(|value| value.to_str().expect("text").to_owned()).collect::<Vec<_>>()
    };
    let warning = ["299 - \"example.io/v1beta1 Box is deprecated\""];
    let object = json!({"metadata": {"name": "b"}, "spec": {"size": 1}});
    assert_eq!(warnings("POST", &path("v1beta1"), object).await, warning);
    assert_eq!(warnings("GET", &path("v1beta1"), Value::Null).await, warning);
    assert_eq!(warnings("GET", &format!("{}/absent", path("v1beta1")), Value::Null).await, warning);
    assert_eq!(warnings("GET", &path("v1"), Value::Null).await, Vec::<String>::new());
}
