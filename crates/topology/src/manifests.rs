//! The Kubernetes objects that run a topology.

use serde_json::{Value, json};

use crate::model::{Probes, Protocol, ServiceSpec, Topology};
use crate::node::NodeConfig;

/// The port of each service of a topology.
pub const SERVICE_PORT: u16 = 8080;
/// The port of each pod where experiments change its errors. It is not part of the Service and only reached by a port-forward.
pub const ADMIN_PORT: u16 = 9091;
/// The label, with the value `meshy`, of everything that meshy makes.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// How a topology is deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestOptions {
    /// The namespace of all objects. It is one of the objects, except `default`, which every cluster has.
    pub namespace: String,
    /// The image of the test service.
    pub image: String,
    /// Whether the pods get a proxy.
    pub inject: bool,
}

/// A host of the ingress and the entry point behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHost {
    /// The entry point.
    pub service: String,
    /// The value of the header `Host`.
    pub host: String,
}

/// Returns the host of each entry point: `NAMESPACE.example.com` for the first, so that the same topology in two namespaces has
/// different hosts, and `SERVICE.NAMESPACE.example.com` for others.
#[must_use]
pub fn entry_hosts(topology: &Topology, options: &ManifestOptions) -> Vec<EntryHost> {
    let namespace = &options.namespace;
    let host = |(index, service): (usize, &ServiceSpec)| EntryHost {
        service: service.name.clone(),
        host: match index {
            0 => format!("{namespace}.example.com"),
            _ => format!("{}.{namespace}.example.com", service.name),
        },
    };
    topology.entrypoints().enumerate().map(host).collect()
}

/// Returns the objects of a topology, in the order in which they can be applied: the namespace, then service account, deployment and
/// service of each service, then an ingress for each entry point. A topology of overlays has none.
#[must_use]
pub fn manifests(topology: &Topology, options: &ManifestOptions) -> Vec<Value> {
    let mut objects = Vec::new();
    if topology.services.is_empty() {
        return objects;
    }
    if options.namespace != "default" {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": { "name": options.namespace, "labels": { MANAGED_BY: "meshy" } },
        }));
    }
    let maker = Maker { topology, options };
    for service in &topology.services {
        objects.push(maker.service_account(service));
        objects.push(maker.deployment(service));
        objects.push(maker.service(service));
    }
    for entry in entry_hosts(topology, options) {
        objects.extend(topology.service(&entry.service).map(|service| maker.ingress(service, &entry.host)));
    }
    objects
}

/// Returns the objects of a topology as a YAML text that `kubectl apply -f -` accepts.
#[must_use]
pub fn manifests_yaml(topology: &Topology, options: &ManifestOptions) -> String {
    let document = |object: &Value| {
        let style = serde_yaml::ser_options! { prefer_block_scalars: false };
        // JSON by type: YAML can express each value.
        serde_yaml::to_string_with_options(object, style).unwrap_or_default()
    };
    manifests(topology, options).iter().map(document).collect::<Vec<_>>().join("---\n")
}

struct Maker<'a> {
    topology: &'a Topology,
    options: &'a ManifestOptions,
}

impl Maker<'_> {
    fn metadata(&self, service: &ServiceSpec) -> Value {
        json!({
            "name": service.name,
            "namespace": self.options.namespace,
            "labels": {
                "app": service.name,
                "app.kubernetes.io/part-of": self.topology.name,
                MANAGED_BY: "meshy",
            },
        })
    }

    /// A separate identity: certificates and policies of the mesh identify a workload by its service account.
    fn service_account(&self, service: &ServiceSpec) -> Value {
        json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": self.metadata(service) })
    }

    fn deployment(&self, service: &ServiceSpec) -> Value {
        let mut labels = self.metadata(service)["labels"].take();
        labels["app"] = json!(service.name);
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self.metadata(service),
            "spec": {
                "replicas": service.replicas,
                "selector": { "matchLabels": { "app": service.name } },
                "template": {
                    "metadata": {
                        "labels": labels,
                        "annotations": {
                            "linkerd.io/inject": if self.options.inject { "enabled" } else { "disabled" },
                        },
                    },
                    "spec": {
                        "serviceAccountName": service.name,
                        "containers": [self.container(service)],
                    },
                },
            },
        })
    }

    fn container(&self, service: &ServiceSpec) -> Value {
        let url = |name: &str| {
            // The scheme says how the service is called.
            let scheme = self.topology.service(name).map_or(Protocol::Http, |called| called.protocol).name();
            format!("{scheme}://{name}.{}.svc.cluster.local:{SERVICE_PORT}/", self.options.namespace)
        };
        let node = NodeConfig::new(service, &url);
        // Texts and finite numbers by type.
        let node = serde_json::to_string(&node).unwrap_or_default();
        json!({
            "name": "service",
            "image": self.options.image,
            "env": [
                { "name": "NODE", "value": node },
                { "name": "SERVICE_PORT", "value": SERVICE_PORT.to_string() },
                { "name": "ADMIN_PORT", "value": ADMIN_PORT.to_string() },
            ],
            "ports": [
                { "name": port_name(service.protocol), "containerPort": SERVICE_PORT },
                { "name": "admin", "containerPort": ADMIN_PORT },
            ],
            // On the admin port: a service whose fault is `down` refuses connections on the other port, and its pod stays.
            "livenessProbe": {
                "httpGet": { "path": "/health", "port": ADMIN_PORT },
                "initialDelaySeconds": 3,
                "periodSeconds": 5,
            },
            "readinessProbe": readiness(service.probes),
            // Small requests, so that a tree of 111 services fits on one node; no CPU limit, which would distort service times.
            "resources": {
                "requests": { "cpu": "10m", "memory": "16Mi" },
                "limits": { "memory": "128Mi" },
            },
            // On the container, so that it applies to the service and not to containers that a mesh adds to the pod.
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
                "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            },
        })
    }

    fn service(&self, service: &ServiceSpec) -> Value {
        let name = port_name(service.protocol);
        let mut port = json!({ "name": name, "port": SERVICE_PORT, "targetPort": name });
        if service.protocol == Protocol::Grpc {
            port["appProtocol"] = json!("kubernetes.io/h2c");
        }
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": self.metadata(service),
            "spec": { "selector": { "app": service.name }, "ports": [port] },
        })
    }

    fn ingress(&self, service: &ServiceSpec, host: &str) -> Value {
        let mut metadata = self.metadata(service);
        if service.protocol == Protocol::Grpc {
            metadata["annotations"] = json!({ "nginx.ingress.kubernetes.io/backend-protocol": "GRPC" });
        }
        // A port number, not a name: nginx writes it into the header `l5d-dst-override`, where the proxy expects an address.
        let backend = json!({ "service": { "name": service.name, "port": { "number": SERVICE_PORT } } });
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": metadata,
            "spec": {
                "ingressClassName": "nginx",
                "rules": [{
                    "host": host,
                    "http": { "paths": [{ "path": "/", "pathType": "Prefix", "backend": backend }] },
                }],
            },
        })
    }
}

/// The name of the port, which a mesh may read as the protocol.
fn port_name(protocol: Protocol) -> &'static str {
    protocol.name()
}

/// Returns a readiness probe. No initial delay: the service listens within milliseconds.
fn readiness(probes: Probes) -> Value {
    match probes {
        Probes::Admin => json!({ "httpGet": { "path": "/health", "port": ADMIN_PORT }, "periodSeconds": 5 }),
        // So often that some seconds show what a rejected probe does, and longer apart than a proxy waits for an endpoint.
        Probes::Service => json!({
            "httpGet": { "path": "/health", "port": SERVICE_PORT },
            "periodSeconds": 4,
            "failureThreshold": 1,
        }),
    }
}
