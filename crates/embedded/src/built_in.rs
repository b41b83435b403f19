//! What is there when a cluster starts: namespaces, the mesh's and the ingress's face, the mesh's kinds.

use serde_json::{Value, json};

use crate::BUILT_IN_ANNOTATION;
use crate::api::{
    Api, ApiError, CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, INGRESS_CLASSES, Kind, NAMESPACES,
    SERVICE_ACCOUNTS, SERVICES,
};
use crate::ingress;
use crate::node::images::built_in_image;

/// The mesh's kinds, the very files that meshy applies to other clusters.
const DEFINITIONS: [&str; 2] = [
    include_str!("../../../linkerd/crds/service-profiles.yaml"),
    include_str!("../../../linkerd/gateway-api/http-route.yaml"),
];

/// Creates what is missing; what is there stays as it is.
///
/// # Errors
/// When the API refuses one of them.
pub(crate) async fn ensure(api: &Api) -> Result<(), ApiError> {
    for name in ["default", "kube-system", "kube-public", "kube-node-lease", "linkerd", ingress::NAMESPACE] {
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        create(api, NAMESPACES, "", object).await?;
    }
    for text in DEFINITIONS {
        for definition in documents(text)? {
            create(api, CUSTOM_RESOURCE_DEFINITIONS, "", definition).await?;
        }
    }
    for part in ["linkerd-identity", "linkerd-destination", "linkerd-proxy-injector"] {
        let component = part.trim_start_matches("linkerd-");
        let labels = json!({ "linkerd.io/control-plane-component": component, "linkerd.io/control-plane-ns": "linkerd" });
        create(api, SERVICE_ACCOUNTS, "linkerd", account("linkerd", part)).await?;
        let image = built_in_image(component);
        create(
            api,
            DEPLOYMENTS,
            "linkerd",
            deployment("linkerd", part, component, &image, &labels, &json!([])),
        )
        .await?;
    }
    ensure_ingress(api).await
}

async fn ensure_ingress(api: &Api) -> Result<(), ApiError> {
    let (inside, name) = (ingress::NAMESPACE, ingress::CONTROLLER);
    let labels = json!({
        "app.kubernetes.io/name": "ingress-nginx",
        "app.kubernetes.io/instance": "ingress-nginx",
        "app.kubernetes.io/component": "controller",
    });
    create(api, SERVICE_ACCOUNTS, inside, account(inside, "ingress-nginx")).await?;
    let ports = json!([{ "name": "http", "containerPort": 80, "hostPort": 80 }]);
    let mut controller = deployment(inside, name, "controller", &built_in_image("ingress"), &labels, &ports);
    let pod = &mut controller["spec"]["template"]["spec"];
    pod["serviceAccountName"] = json!("ingress-nginx");
    pod["nodeSelector"] = json!({ "ingress-ready": "true" });
    pod["containers"][0]["readinessProbe"] = json!({
        "httpGet": { "path": "/healthz", "port": 10254 }, "periodSeconds": 10, "failureThreshold": 3,
    });
    create(api, DEPLOYMENTS, inside, controller).await?;
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": inside, "labels": labels, "annotations": { BUILT_IN_ANNOTATION: "true" } },
        "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": "http", "appProtocol": "http" }] },
    });
    create(api, SERVICES, inside, service).await?;
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
        "metadata": { "name": ingress::CLASS, "labels": labels, "annotations": { BUILT_IN_ANNOTATION: "true" } },
        "spec": { "controller": "k8s.io/ingress-nginx" },
    });
    create(api, INGRESS_CLASSES, "", class).await
}

fn account(namespace: &str, name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": namespace } })
}

fn deployment(
    namespace: &str,
    name: &str,
    container: &str,
    image: &str,
    labels: &Value,
    ports: &Value,
) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": namespace, "labels": labels,
            "annotations": { BUILT_IN_ANNOTATION: "true" },
        },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels, "annotations": { BUILT_IN_ANNOTATION: "true" } },
                "spec": { "serviceAccountName": name, "containers": [{ "name": container, "image": image, "ports": ports }] },
            },
        },
    })
}

fn documents(text: &str) -> Result<Vec<Value>, ApiError> {
    let read: Vec<Value> = serde_yaml::from_multiple(text)
        .map_err(|error| ApiError::Other(format!("read a built-in definition: {error}")))?;
    Ok(read.into_iter().filter(Value::is_object).collect())
}

async fn create(api: &Api, kind: Kind, namespace: &str, object: Value) -> Result<(), ApiError> {
    match api.create(kind, namespace, object).await {
        Ok(_) | Err(ApiError::Exists) => Ok(()),
        Err(error) => Err(error),
    }
}
