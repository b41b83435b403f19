//! The configuration that the kind program is given.

use std::path::Path;

use serde_json::{Value, json};

use crate::lab::KindState;

/// Where a node looks up how to reach a registry. Containerd reads it at each pull, so a later change needs no restart.
pub(super) const CERTS_D: &str = "/etc/containerd/certs.d";

/// The configuration for a lab, as JSON, which is YAML too.
///
/// The mount is two things at once: how each node finds that `localhost:PORT` is the private registry, and the mark by
/// which nodes are reported as this lab's (kind gives its containers no label of ours).
pub(super) fn kind_config(kind: &KindState, certs_d: &Path) -> String {
    let image = kind.node_image.as_deref().unwrap_or_default();
    let mount = json!([{"hostPath": certs_d, "containerPath": CERTS_D, "readOnly": true}]);
    let port = |inside: u16, outside: Option<u16>| {
        outside.map(|p| json!({"containerPort": inside, "hostPort": p, "listenAddress": "127.0.0.1", "protocol": "TCP"}))
    };
    let ports: Vec<Value> =
        [port(80, kind.http_port), port(443, kind.https_port)].into_iter().flatten().collect();
    let mut nodes = vec![json!({
        "role": "control-plane",
        "image": image,
        // Where the ingress controller runs: the only node whose ports lead outside.
        "labels": {"ingress-ready": "true"},
        "extraPortMappings": ports,
        "extraMounts": mount,
    })];
    for _ in 0..kind.workers {
        nodes.push(json!({"role": "worker", "image": image, "extraMounts": mount}));
    }
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"apiServerAddress": "127.0.0.1"},
        "nodes": nodes,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_mapped_on_loopback_from_the_control_plane_only() {
        let kind =
            KindState { workers: 2, http_port: Some(8080), https_port: Some(8443), ..KindState::default() };
        let config: Value = serde_json::from_str(&kind_config(&kind, Path::new("/s/certs.d"))).unwrap();
        let nodes = config["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 3);
        assert_eq!(nodes[0]["extraPortMappings"][0]["hostPort"], 8080);
        assert_eq!(nodes[0]["extraPortMappings"][1]["listenAddress"], "127.0.0.1");
        assert!(nodes[1].get("extraPortMappings").is_none());
        assert!(nodes.iter().all(|n| n["extraMounts"][0]["hostPath"] == "/s/certs.d"));
    }
}
