//! The record as its file holds it: flat, with the fields of each provider side by side, as in every version so far.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cluster_state::{ClusterState, EmbeddedState, KindState};
use super::{LabName, Programs, Provider, Record};
use crate::addons;

/// Unknown fields of a newer meshy are an error: better than dropping them. Fields that the provider does not have are ignored: an
/// earlier version wrote some of them for each provider.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    name: LabName,
    provider: Provider,
    context: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    https_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registry_port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_made_of: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node_image: Option<String>,
    #[serde(default)]
    workers: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registry_image: Option<String>,
    #[serde(default)]
    made_network: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_context: Option<String>,
    #[serde(default)]
    made: bool,
    #[serde(default)]
    like_linkerd: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    addons: Option<addons::Choice>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    overlays: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topology: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stubs: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    programs: Option<Programs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_programs: Option<Programs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    served_proxy_log: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    addresses: BTreeMap<String, String>,
}

impl From<Stored> for Record {
    fn from(stored: Stored) -> Self {
        let cluster = match stored.provider {
            Provider::Kind => ClusterState::Kind(KindState {
                http_port: stored.http_port,
                https_port: stored.https_port,
                registry_port: stored.registry_port,
                image_made_of: stored.image_made_of,
                node_image: stored.node_image,
                workers: stored.workers,
                registry_image: stored.registry_image,
                made_network: stored.made_network,
                addresses: stored.addresses,
            }),
            Provider::Existing => ClusterState::Existing,
            Provider::Embedded => ClusterState::Embedded(EmbeddedState {
                http_port: stored.http_port,
                like_linkerd: stored.like_linkerd,
                programs: stored.programs,
                served_programs: stored.served_programs,
                served_proxy_log: stored.served_proxy_log,
            }),
        };
        Self {
            name: stored.name,
            context: stored.context,
            cluster,
            kubeconfig: stored.kubeconfig,
            image: stored.image,
            previous_context: stored.previous_context,
            made: stored.made,
            addons: stored.addons,
            overlays: stored.overlays,
            topology: stored.topology,
            files: stored.files,
            stubs: stored.stubs,
        }
    }
}

impl From<Record> for Stored {
    fn from(record: Record) -> Self {
        let provider = record.provider();
        let (kind, embedded) = match record.cluster {
            ClusterState::Kind(kind) => (kind, EmbeddedState::default()),
            ClusterState::Existing => (KindState::default(), EmbeddedState::default()),
            ClusterState::Embedded(embedded) => (KindState::default(), embedded),
        };
        Self {
            name: record.name,
            provider,
            context: record.context,
            kubeconfig: record.kubeconfig,
            http_port: kind.http_port.or(embedded.http_port),
            https_port: kind.https_port,
            registry_port: kind.registry_port,
            image: record.image,
            image_made_of: kind.image_made_of,
            node_image: kind.node_image,
            workers: kind.workers,
            registry_image: kind.registry_image,
            made_network: kind.made_network,
            previous_context: record.previous_context,
            made: record.made,
            like_linkerd: embedded.like_linkerd,
            addons: record.addons,
            overlays: record.overlays,
            topology: record.topology,
            files: record.files,
            stubs: record.stubs,
            programs: embedded.programs,
            served_programs: embedded.served_programs,
            served_proxy_log: embedded.served_proxy_log,
            addresses: kind.addresses,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = r#"{
      "name": "a", "provider": "kind", "context": "kind-a", "http_port": 8080, "https_port": 8443, "registry_port": 5001,
      "image": "localhost:5001/s@sha256:1", "image_made_of": "p by 0.1.0", "node_image": "n:1", "workers": 2,
      "registry_image": "registry:2", "made_network": true, "previous_context": "b", "made": true, "like_linkerd": false,
      "overlays": ["x"], "addresses": {"a-worker": "172.18.0.3"}
    }"#;
    const EMBEDDED: &str = r#"{
      "name": "a", "provider": "embedded", "context": "embedded-a", "http_port": 80, "workers": 0, "made_network": false, "made": true,
      "like_linkerd": true, "stubs": ["s"], "programs": {"images": [], "http_proxy": true}, "served_proxy_log": "debug"
    }"#;
    const EXISTING: &str = r#"{
      "name": "a", "provider": "existing", "context": "prod", "kubeconfig": "/k", "image": "i:1", "workers": 0, "made_network": false,
      "made": true, "like_linkerd": false, "topology": "shop"
    }"#;

    #[test]
    fn the_record_of_each_provider_is_read_and_written_unchanged() {
        for text in [KIND, EMBEDDED, EXISTING] {
            let record: Record = serde_json::from_str(text).unwrap();
            let written = serde_json::to_value(&record).unwrap();
            let read: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(written, read);
        }
    }

    #[test]
    fn a_field_that_the_provider_does_not_have_is_ignored_and_not_written_again() {
        let record: Record =
            serde_json::from_str(&EXISTING.replace("\"workers\": 0", "\"workers\": 3")).unwrap();
        assert_eq!(record.cluster, ClusterState::Existing);
        assert_eq!(serde_json::to_value(&record).unwrap()["workers"], 0);
    }

    #[test]
    fn the_state_of_another_provider_is_an_error() {
        let mut record: Record = serde_json::from_str(EMBEDDED).unwrap();
        assert_eq!(
            (record.http_port(), record.registry_port(), record.like_linkerd()),
            (Some(80), None, true)
        );
        let error = record.kind_mut().unwrap_err().to_string();
        assert_eq!(error, "lab `a` is on provider Embedded and not on Kind");
    }
}
