//! The change from client-side to server-side apply in kubectl.

use meshy_apiserver::{LocalClient, Options, Patch, Server, WriteOptions};
use serde_json::{Value, json};

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn config(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}, "data": data})
}

/// Creates an object as `kubectl apply` does.
async fn client_side_apply(client: &LocalClient, data: Value) {
    let mut object = config(data.clone());
    object["metadata"]["annotations"] = json!({ANNOTATION: config(data).to_string()});
    let options = WriteOptions::with_manager("kubectl-client-side-apply");
    client.create("configmaps", "default", object, &options).await.expect("creates");
}

async fn server_side_apply(
    client: &LocalClient,
    manager: &str,
    data: Value,
) -> meshy_apiserver::Result<Value> {
    let patch = Patch::Apply(config(data));
    let options = WriteOptions::with_manager(manager);
    let written = client.patch("configmaps", "default", "a", "", &patch, &options).await?;
    Ok(written.object.value().clone())
}

#[tokio::test]
async fn server_side_apply_of_kubectl_takes_over_fields_of_the_client_side_apply() {
    let client = Server::new(Options::default()).client();
    client_side_apply(&client, json!({"x": "1", "y": "1"})).await;
    let error = server_side_apply(&client, "other", json!({"x": "2"})).await.expect_err("a conflict");
    assert!(
        error.message.contains("conflict with \"kubectl-client-side-apply\" using v1: .data.x"),
        "{error}"
    );
    let object = server_side_apply(&client, "kubectl", json!({"x": "2"})).await.expect("applies");
    assert_eq!(object["data"], json!({"x": "2", "y": "1"}));
    let annotation = object["metadata"]["annotations"][ANNOTATION].as_str().expect("the annotation");
    let annotation: Value = serde_json::from_str(annotation).expect("JSON");
    assert_eq!(
        annotation["data"],
        json!({"x": "2"}),
        "a later client-side apply compares with this configuration"
    );
}

#[tokio::test]
async fn changed_fields_of_other_managers_still_conflict() {
    let client = Server::new(Options::default()).client();
    client_side_apply(&client, json!({"x": "1", "y": "1"})).await;
    let patch = Patch::Merge(json!({"data": {"x": "edited"}}));
    let options = WriteOptions::with_manager("kubectl-edit");
    client.patch("configmaps", "default", "a", "", &patch, &options).await.expect("patches");
    let error =
        server_side_apply(&client, "kubectl", json!({"x": "2", "y": "2"})).await.expect_err("a conflict");
    assert_eq!(error.details["causes"].as_array().expect("causes").len(), 1, "{error}");
    assert!(error.message.contains("conflict with \"kubectl-edit\" using v1: .data.x"), "{error}");
}
