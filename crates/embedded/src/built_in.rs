//! The objects of a new cluster: namespaces, the control plane of the mesh, the ingress controller, the CRDs.

mod ingress;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{Container, Namespace, PodSpec, PodTemplateSpec, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde_json::Value;

use crate::api::{Api, ApiError, CUSTOM_RESOURCE_DEFINITIONS, Typed};
use crate::ingress::NAMESPACE as INGRESS_NAMESPACE;
use crate::object::string_map;
use crate::program::image::built_in_image;

/// The annotation of objects that only represent a part of the embedded cluster.
const BUILT_IN_ANNOTATION: &str = "meshy.dev/built-in";
const LINKERD_NAMESPACE: &str = "linkerd";
/// The namespaces of a new cluster.
const NAMESPACES: [&str; 6] =
    ["default", "kube-system", "kube-public", "kube-node-lease", LINKERD_NAMESPACE, INGRESS_NAMESPACE];
/// The components of the Linkerd control plane.
const COMPONENTS: [&str; 3] = ["identity", "destination", "proxy-injector"];
/// The CRDs of the mesh, from the same files that meshy applies to other clusters.
const DEFINITIONS: [&str; 4] = [
    include_str!("../../../linkerd/crds/service-profiles.yaml"),
    include_str!("../../../linkerd/crds/policy.yaml"),
    include_str!("../../../linkerd/gateway-api/http-route.yaml"),
    include_str!("../../../linkerd/gateway-api/grpc-route.yaml"),
];

/// Creates the objects that do not exist; existing ones remain unchanged.
///
/// # Errors
/// The API rejects an object.
pub(crate) async fn ensure(api: &Api) -> Result<(), ApiError> {
    for name in NAMESPACES {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        create(api, &Namespace { metadata, ..Namespace::default() }).await?;
    }
    for definition in definitions()? {
        ignore_existing(api.create_json(&CUSTOM_RESOURCE_DEFINITIONS, definition).await)?;
    }
    for component in COMPONENTS {
        let name = format!("linkerd-{component}");
        create(api, &service_account(LINKERD_NAMESPACE, &name)).await?;
        create(api, &control_plane_deployment(&name, component)).await?;
    }
    ingress::ensure(api).await
}

fn definitions() -> Result<Vec<Value>, ApiError> {
    let mut all = Vec::new();
    for text in DEFINITIONS {
        let documents: Vec<Value> = serde_yaml::from_multiple(text).map_err(|error| ApiError::Malformed {
            kind: "CustomResourceDefinition",
            name: String::new(),
            reason: error.to_string(),
        })?;
        all.extend(documents.into_iter().filter(Value::is_object));
    }
    Ok(all)
}

/// Returns the Deployment of a control plane component. The component itself is part of this process.
fn control_plane_deployment(name: &str, component: &str) -> Deployment {
    let labels = [
        ("linkerd.io/control-plane-component", component),
        ("linkerd.io/control-plane-ns", LINKERD_NAMESPACE),
    ];
    let metadata = ObjectMeta { labels: Some(string_map(labels)), ..metadata(LINKERD_NAMESPACE, name) };
    let container = Container {
        name: component.to_owned(),
        image: Some(built_in_image(component)),
        ..Container::default()
    };
    let spec = PodSpec {
        service_account_name: Some(name.to_owned()),
        containers: vec![container],
        ..PodSpec::default()
    };
    deployment(metadata, spec)
}

/// Returns a Deployment with one replica; the labels in `metadata` also select its pods.
fn deployment(metadata: ObjectMeta, spec: PodSpec) -> Deployment {
    let template = ObjectMeta {
        labels: metadata.labels.clone(),
        annotations: metadata.annotations.clone(),
        ..ObjectMeta::default()
    };
    Deployment {
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: metadata.labels.clone(), ..LabelSelector::default() },
            template: PodTemplateSpec { metadata: Some(template), spec: Some(spec) },
            ..DeploymentSpec::default()
        }),
        metadata,
        status: None,
    }
}

/// Returns the metadata of a built-in object.
fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        annotations: Some(string_map([(BUILT_IN_ANNOTATION, "true")])),
        ..ObjectMeta::default()
    }
}

fn service_account(namespace: &str, name: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}

async fn create<K: Typed>(api: &Api, object: &K) -> Result<(), ApiError> {
    ignore_existing(api.create(object).await.map(drop))
}

fn ignore_existing(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(ApiError::AlreadyExists) => Ok(()),
        other => other,
    }
}
