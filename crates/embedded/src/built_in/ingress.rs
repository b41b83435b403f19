//! The objects of the ingress controller, named as ingress-nginx names them.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PodSpec, Probe, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::api::networking::v1::{IngressClass, IngressClassSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::{Api, ApiError};
use crate::ingress::{CLASS, CONTROLLER, NAMESPACE};
use crate::object::string_map;
use crate::program::image::built_in_image;

const SERVICE_ACCOUNT: &str = "ingress-nginx";

/// Creates the objects that do not exist.
pub(super) async fn ensure(api: &Api) -> Result<(), ApiError> {
    super::create(api, &super::service_account(NAMESPACE, SERVICE_ACCOUNT)).await?;
    super::create(api, &super::deployment(metadata(NAMESPACE, CONTROLLER), pod_spec())).await?;
    super::create(api, &service()).await?;
    super::create(api, &ingress_class()).await
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    let labels = [
        ("app.kubernetes.io/name", "ingress-nginx"),
        ("app.kubernetes.io/instance", "ingress-nginx"),
        ("app.kubernetes.io/component", "controller"),
    ];
    ObjectMeta { labels: Some(string_map(labels)), ..super::metadata(namespace, name) }
}

fn pod_spec() -> PodSpec {
    let container = Container {
        name: "controller".to_owned(),
        image: Some(built_in_image("ingress")),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: 80,
            host_port: Some(80),
            ..ContainerPort::default()
        }]),
        readiness_probe: Some(Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/healthz".to_owned()),
                port: IntOrString::Int(10_254),
                ..HTTPGetAction::default()
            }),
            period_seconds: Some(10),
            failure_threshold: Some(3),
            ..Probe::default()
        }),
        ..Container::default()
    };
    PodSpec {
        service_account_name: Some(SERVICE_ACCOUNT.to_owned()),
        node_selector: Some(string_map([("ingress-ready", "true")])),
        containers: vec![container],
        ..PodSpec::default()
    }
}

fn service() -> Service {
    let metadata = metadata(NAMESPACE, CONTROLLER);
    Service {
        spec: Some(ServiceSpec {
            selector: metadata.labels.clone(),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                target_port: Some(IntOrString::String("http".to_owned())),
                app_protocol: Some("http".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        metadata,
        status: None,
    }
}

fn ingress_class() -> IngressClass {
    IngressClass {
        metadata: metadata("", CLASS),
        spec: Some(IngressClassSpec {
            controller: Some("k8s.io/ingress-nginx".to_owned()),
            parameters: None,
        }),
    }
}
