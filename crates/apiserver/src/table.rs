//! Tables as kubectl prints them, made by the server.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::http::Call;
use crate::kinds::Kind;
use crate::store::Object;

mod age;
mod cluster;
mod custom;
mod network;
mod pod;
mod workload;

pub(crate) use age::age;

/// What a client wants to see beside the cells.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    version: &'static str,
    include: Include,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    None,
    Metadata,
    Object,
}

impl Form {
    pub(crate) fn of(call: &Call) -> Self {
        let include = match call.query.get("includeObject") {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        let first = call.header(&http::header::ACCEPT).split(',').next().unwrap_or_default();
        Self { version: if first.contains("v=v1beta1") { "v1beta1" } else { "v1" }, include }
    }
}

/// A kind's columns, as `Name` or `wide:Name`, and the function that fills a row's cells.
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
        let word = if matches!(name, "Desired" | "Current") { "integer" } else { "string" };
        let format = if name == "Name" { "name" } else { "" };
        json!({"name": name, "type": word, "format": format, "description": "", "priority": priority})
    };
    names.iter().map(column).collect()
}

/// A table of objects.
pub(crate) fn table(kind: &Kind, objects: &[Arc<Object>], form: &Form) -> Value {
    let (head, cells): (Value, Vec<Vec<Value>>) = match &kind.custom {
        Some(found) => (
            custom::definitions(&found.columns),
            objects.iter().map(|o| custom::cells(&found.columns, o)).collect(),
        ),
        None => {
            let (names, cells) = columns(kind);
            (definitions(names), objects.iter().map(|object| cells(object)).collect())
        }
    };
    let row = |(object, cells): (&Arc<Object>, Vec<Value>)| {
        let mut row = json!({"cells": cells});
        match form.include {
            Include::None => {}
            Include::Object => row["object"] = crate::write::patch::in_version(kind, object),
            Include::Metadata => {
                row["object"] = json!({
                    "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{}", form.version),
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
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{}", form.version), "metadata": metadata,
        "columnDefinitions": head, "rows": rows,
    })
}

/// Text, or `<none>` for none.
fn or_none(text: String) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

/// Labels as `a=b,c=d`.
fn labels(map: &Value) -> Value {
    let pairs = map.as_object().into_iter().flatten();
    or_none(
        pairs
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect::<Vec<_>>()
            .join(","),
    )
}
