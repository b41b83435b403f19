//! Admission hooks.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use meshy_apiserver::{Admission, AdmissionRequest, ApiError, Options, Server};
use meshy_net::BoxFuture;
use serde_json::{Value, json};

use crate::client;

struct AnnotatingHook;

impl Admission for AnnotatingHook {
    fn mutate<'a>(
        &'a self,
        request: &'a AdmissionRequest,
        object: &'a mut Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            if request.resource == "configmaps" {
                object["metadata"]["annotations"]["hook"] = "yes".into();
            }
            Ok(())
        })
    }

    fn validate<'a>(
        &'a self,
        _: &'a AdmissionRequest,
        object: &'a Value,
    ) -> BoxFuture<'a, meshy_apiserver::Result<()>> {
        Box::pin(async move {
            match object["data"]["reject"].is_string() {
                true => Err(ApiError::new(403, "Forbidden", "rejected by a hook")),
                false => Ok(()),
            }
        })
    }
}

#[tokio::test]
async fn admission_hook_changes_and_rejects_writes() {
    let admission: Vec<Arc<dyn Admission>> = vec![Arc::new(AnnotatingHook)];
    let server = Server::new(Options { admission, ..Options::default() });
    let config_map = |name: &str, data: Value| -> ConfigMap {
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        serde_json::from_value(object).expect("a ConfigMap")
    };
    let maps: Api<ConfigMap> = Api::default_namespaced(client(&server));
    let created = maps.create(&PostParams::default(), &config_map("a", json!({}))).await.expect("creates");
    assert_eq!(created.metadata.annotations.expect("annotations")["hook"], "yes");
    let error = maps
        .create(&PostParams::default(), &config_map("b", json!({"reject": ""})))
        .await
        .expect_err("rejected");
    assert!(error.to_string().contains("rejected by a hook"), "{error}");
}
