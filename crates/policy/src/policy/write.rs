//! Writes to one object: as the field manager of policies, with preconditions.

use anyhow::Context as _;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use meshy_kube::{Manager, Object};
use serde_json::Value;

use super::capture::Place;

/// Deletes an object by its uid, with `exact` only in its version; returns false if it does not exist any more.
pub(super) async fn delete(
    client: &kube::Client,
    place: &Place,
    object: &Object,
    exact: bool,
) -> anyhow::Result<bool> {
    let resource_version = object.resource_version().filter(|_| exact);
    let preconditions = Preconditions { uid: object.uid(), resource_version };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    match place.api(client).delete(&place.name, &params).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot delete the {}", place.describe())),
    }
}

/// Changes an object by a JSON patch, as the field manager of policies.
pub(super) async fn patch(client: &kube::Client, place: &Place, ops: Vec<Value>) -> anyhow::Result<Object> {
    let ops = serde_json::from_value(Value::Array(ops))?;
    let params =
        PatchParams { field_manager: Some(Manager::Policy.name().to_owned()), ..PatchParams::default() };
    let patched = place.api(client).patch(&place.name, &params, &Patch::<()>::Json(ops)).await;
    patched.with_context(|| format!("cannot change the {}", place.describe()))
}
