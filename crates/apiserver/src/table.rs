//! Tables as kubectl prints them, made by the server.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::http::Call;
use crate::kinds::Kind;
use crate::store::Object;

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
        let beta = call
            .header(&http::header::ACCEPT)
            .split(',')
            .next()
            .is_some_and(|first| first.contains("v=v1beta1"));
        Self { version: if beta { "v1beta1" } else { "v1" }, include }
    }
}

/// A table of objects.
pub(crate) fn table(kind: &Kind, objects: &[Arc<Object>], form: &Form) -> Value {
    let columns = json!([
        {"name": "Name", "type": "string", "format": "name", "description": "", "priority": 0},
        {"name": "Age", "type": "string", "format": "", "description": "", "priority": 0},
    ]);
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = json!([object["metadata"]["name"], "0s"]);
            let mut row = json!({"cells": cells});
            match form.include {
                Include::None => {}
                Include::Object => row["object"] = crate::write::patch::in_version(kind, object),
                Include::Metadata => {
                    row["object"] = json!({
                        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
                    });
                }
            }
            row
        })
        .collect();
    let metadata = match objects {
        [one] => json!({"resourceVersion": one.revision().to_string()}),
        _ => json!({}),
    };
    json!({
        "kind": "Table", "apiVersion": format!("meta.k8s.io/{}", form.version), "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}
