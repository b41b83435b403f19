//! Tables for `kubectl get`, built by the server.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::store::Object;

mod age;
mod cluster;
mod custom;
mod network;
mod pod;
mod workload;

use age::age;

/// Options of a table request.
#[derive(Clone, Debug)]
pub(crate) struct TableOptions {
    version: &'static str,
    include: Include,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    None,
    Metadata,
    Object,
}

impl TableOptions {
    /// Returns the options of a table in a version of `meta.k8s.io`, for a value of the query parameter `includeObject`.
    pub(crate) fn new(version: &'static str, include_object: &str) -> Self {
        let include = match include_object {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        Self { version, include }
    }
}

/// The column names of a kind (`Name`, or `wide:Name` for `-o wide`), and the function that returns the cells of a row.
type Columns = (&'static [&'static str], fn(&Value) -> Vec<Value>);

fn columns(kind: &Kind) -> Columns {
    match kind.kind.as_str() {
        "Pod" => (pod::COLUMNS, pod::cells),
        "Deployment" => (workload::DEPLOYMENT, workload::deployment),
        "ReplicaSet" => (workload::REPLICA_SET, workload::replica_set),
        "Service" => (network::SERVICE, network::service),
        "Endpoints" => (network::ENDPOINTS, network::endpoints),
        "EndpointSlice" => (network::SLICE, network::slice),
        "Ingress" => (network::INGRESS, network::ingress),
        "IngressClass" => (network::CLASS, network::class),
        "Namespace" => (cluster::NAMESPACE, cluster::namespace),
        "Node" => (cluster::NODE, cluster::node),
        "ConfigMap" => (cluster::CONFIG_MAP, cluster::config_map),
        "Secret" => (cluster::SECRET, cluster::secret),
        "Event" => (cluster::EVENT, cluster::event),
        "Lease" => (cluster::LEASE, cluster::lease),
        "CustomResourceDefinition" => (cluster::DEFINITION, cluster::definition),
        _ => (&["Name", "Age"], |object| vec![object["metadata"]["name"].clone(), age(object)]),
    }
}

fn definitions(names: &[&str]) -> Value {
    let column = |name: &&str| {
        let (name, priority) = name.strip_prefix("wide:").map_or((*name, 0), |name| (name, 1));
        let column_type = if matches!(name, "Desired" | "Current") { "integer" } else { "string" };
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": column_type, "format": format, "description": "", "priority": priority})
    };
    names.iter().map(column).collect()
}

/// Returns the table of objects.
pub(crate) fn table(kind: &Kind, objects: &[Arc<Object>], options: &TableOptions) -> Value {
    let (columns, cells): (Value, Vec<Vec<Value>>) = match &kind.custom {
        Some(found) => (
            custom::definitions(&found.columns),
            objects.iter().map(|o| custom::cells(&found.columns, o)).collect(),
        ),
        None => {
            let (names, cells) = self::columns(kind);
            (definitions(names), objects.iter().map(|object| cells(object)).collect())
        }
    };
    let row = |(object, cells): (&Arc<Object>, Vec<Value>)| {
        let mut row = json!({"cells": cells});
        match options.include {
            Include::None => {}
            Include::Object => row["object"] = kind.in_version(object),
            Include::Metadata => {
                row["object"] = json!({
                    "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{}", options.version),
                    "metadata": object["metadata"],
                });
            }
        }
        row
    };
    let rows: Vec<Value> = objects.iter().zip(cells).map(row).collect();
    let metadata = match objects {
        [one] => json!({"resourceVersion": one.revision().to_string()}),
        _ => json!({}),
    };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{}", options.version), "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

/// Returns a text, or `<none>` if it is empty.
fn or_none(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// Returns labels as `a=b,c=d`.
fn labels(map: &Value) -> Value {
    let pairs = map.as_object().into_iter().flatten();
    or_none(
        pairs
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(","),
    )
}
