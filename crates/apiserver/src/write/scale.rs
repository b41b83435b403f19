//! The `scale` subresource.

use serde_json::{Value, json};

use super::update::Candidate;
use super::{WriteResult, Writer};
use crate::error::{ApiError, Cause, Result};
use crate::kinds::Kind;
use crate::options::WriteOptions;
use crate::selector::format_selector;
use crate::store::{Key, Object};
use crate::value::{at, set_at};

/// Returns the Scale of an object, null for kinds without this subresource.
pub(crate) fn to_scale(kind: &Kind, object: &Value) -> Value {
    let Some(paths) = &kind.scale else { return Value::Null };
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {}, "status": {"replicas": at(object, &paths.status).as_i64().unwrap_or_default()},
    });
    if let Some(replicas) = at(object, &paths.spec).as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    let selector = match &paths.selector {
        Some(path) => at(object, path).as_str().map(str::to_owned),
        None => Some(format_selector(&object["spec"]["selector"])),
    };
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

impl Writer<'_> {
    /// Changes the Scale of an object with `change` and writes its replicas into the object.
    pub(crate) async fn rescale(
        &self,
        kind: &Kind,
        key: &Key,
        options: &WriteOptions,
        mut change: impl FnMut(Value) -> Result<Value>,
    ) -> Result<WriteResult> {
        let path = kind.scale.as_ref().ok_or_else(ApiError::no_such_path)?.spec.clone();
        self.change(kind, key, "scale", options, |live: &std::sync::Arc<Object>| {
            let scale = change(to_scale(kind, live))?;
            let replicas = scale["spec"]["replicas"].as_i64().unwrap_or_default();
            if replicas < 0 {
                let message = format!("Invalid value: {replicas}: must be greater than or equal to 0");
                let cause = Cause { reason: "FieldValueInvalid", message, field: "spec.replicas".to_owned() };
                return Err(ApiError::invalid("Scale", "autoscaling", &key.name, &[cause]));
            }
            let mut value = kind.in_version(live);
            set_at(&mut value, &path, replicas.into());
            value["metadata"]["resourceVersion"] = scale["metadata"]["resourceVersion"].clone();
            Ok(Candidate { value, owned: false, warnings: Vec::new() })
        })
        .await
    }
}
