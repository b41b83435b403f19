//! The objects that exist in every cluster: namespaces, the Service of the API, and the certificate of its authority.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::clock::now;
use crate::store::{Collection, Expect, Key, Store};
use crate::uid::uid;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// The first address of the service network, as in Kubernetes.
pub(crate) const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// The port of a kube-apiserver, for a server without a socket.
const DEFAULT_PORT: u16 = 6443;
/// Name of the ConfigMap with the certificate of the authority.
pub(crate) const ROOT_CERTIFICATE: &str = "kube-root-ca.crt";

/// Creates the namespaces and the Service `kubernetes`, if they do not exist.
pub(crate) fn create(store: &Store) {
    for name in NAMESPACES {
        let value = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
            "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
        });
        put_if_absent(&store.collection("namespaces"), "", name, value);
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "clusterIP": API_SERVICE_ADDRESS, "clusterIPs": [API_SERVICE_ADDRESS], "internalTrafficPolicy": "Cluster",
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": DEFAULT_PORT}],
            "sessionAffinity": "None", "type": "ClusterIP",
        },
        "status": {"loadBalancer": {}},
    });
    put_if_absent(&store.collection("services"), "default", "kubernetes", service);
}

/// Publishes the address of a listener in the Service `kubernetes`, and the certificate of its authority in each
/// namespace.
pub(crate) fn publish(store: &Store, address: SocketAddr, certificate: &str) {
    let services = store.collection("services");
    let key = Key::new("default", "kubernetes");
    if let Some(service) = services.get(&key)
        && service["spec"]["ports"][0]["targetPort"] != address.port()
    {
        let mut changed = service.value().clone();
        changed["spec"]["ports"][0]["targetPort"] = address.port().into();
        // A concurrent write wins; the port is only informative.
        let _ = services.put(key, Expect::Revision(service.revision()), changed);
    }
    for namespace in store.collection("namespaces").list(None).0 {
        publish_certificate(store, certificate, &namespace);
    }
}

/// Writes the certificate of the authority to an active namespace. In Kubernetes a controller does this.
pub(crate) fn publish_certificate(store: &Store, certificate: &str, namespace: &Value) {
    if namespace["metadata"]["deletionTimestamp"].is_string() {
        return;
    }
    let namespace = namespace["metadata"]["name"].as_str().unwrap_or_default();
    let maps = store.collection("configmaps");
    let key = Key::new(namespace, ROOT_CERTIFICATE);
    match maps.get(&key) {
        None => {
            let value = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": ROOT_CERTIFICATE, "namespace": namespace},
                "data": {"ca.crt": certificate},
            });
            put_if_absent(&maps, namespace, ROOT_CERTIFICATE, value);
        }
        Some(found) if found["data"]["ca.crt"] != certificate => {
            let mut changed = found.value().clone();
            changed["data"] = json!({"ca.crt": certificate});
            // A concurrent write wins.
            let _ = maps.put(key, Expect::Revision(found.revision()), changed);
        }
        Some(_) => {}
    }
}

fn put_if_absent(collection: &Collection, namespace: &str, name: &str, mut value: Value) {
    let key = Key::new(namespace, name);
    if collection.get(&key).is_none() {
        value["metadata"]["uid"] = uid().into();
        value["metadata"]["creationTimestamp"] = now().into();
        // It only fails if a concurrent write has created the object.
        let _ = collection.put(key, Expect::Absent, value);
    }
}
