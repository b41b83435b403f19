//! Restoring an object that meshy changed for a while.

use anyhow::bail;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::capture::Captured;
use super::owners::{self, Part};
use super::write::{delete, patch};
use meshy_kube::Object;

/// How often a restore starts again because another tool wrote the object meanwhile.
const ATTEMPTS: usize = 5;

/// What restoring an object did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverted {
    /// The object is as it was before.
    Restored,
    /// There was nothing to restore.
    Unchanged,
    /// Another tool changed the object since; the reason for leaving it alone.
    LeftAlone(String),
}

pub(super) async fn revert(client: &kube::Client, captured: &Captured) -> anyhow::Result<Reverted> {
    if captured.written.is_empty() {
        return Ok(Reverted::Unchanged);
    }
    for _ in 0..ATTEMPTS {
        match attempt(client, captured).await {
            Err(error) if is_conflict(&error) => {}
            other => return other,
        }
    }
    bail!("the {} changes all the time", captured.place.describe())
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<kube::Error>(), Some(kube::Error::Api(status)) if status.code == 409)
}

async fn attempt(client: &kube::Client, captured: &Captured) -> anyhow::Result<Reverted> {
    let place = &captured.place;
    let now = place.read(client).await?;
    let (before, now) = match (&captured.before, now) {
        (None, None) => return Ok(Reverted::Unchanged),
        (Some(_), None) => return Ok(left(captured, "was deleted")),
        (None, Some(now)) if !captured.wrote(&place.state(Some(&now))) => {
            return Ok(left(captured, "was changed"));
        }
        (None, Some(now)) => {
            delete(client, place, &now, true).await?;
            return Ok(Reverted::Restored);
        }
        (Some(before), Some(now)) => (before, now),
    };
    if before.uid() != now.uid() {
        return Ok(left(captured, "was deleted and created again"));
    }
    let state = place.state(Some(&now));
    let same = state == place.state(Some(before));
    if !same && !captured.wrote(&state) {
        return Ok(left(captured, "was changed"));
    }
    let now = if same { now } else { patch(client, place, values(place.part, before, &now)).await? };
    let managers = owners::restored(place.part, before.managed_fields(), now.managed_fields());
    if !owners::same(&managers, now.managed_fields()) {
        // An empty list means to the API server that the owners stay.
        let managers = if managers.is_empty() { json!([{}]) } else { json!(managers) };
        let op = json!({"op": "add", "path": "/metadata/managedFields", "value": managers});
        patch(client, place, vec![at(&now), op]).await?;
    } else if same {
        return Ok(Reverted::Unchanged);
    }
    Ok(Reverted::Restored)
}

fn left(captured: &Captured, what: &str) -> Reverted {
    Reverted::LeftAlone(format!("the {} {what} by another tool during the run", captured.place.describe()))
}

/// Lets the patch fail where the object is another one by then.
fn at(now: &Object) -> Value {
    json!({"op": "replace", "path": "/metadata/resourceVersion", "value": now.resource_version()})
}

/// Returns the patch that gives `now` the values that `before` has in this part.
fn values(part: Part, before: &Object, now: &Object) -> Vec<Value> {
    let mut ops = vec![at(now)];
    let mut set = |path: &str, value: Value, there: bool| match (value.is_null(), there) {
        (false, _) => ops.push(json!({"op": "add", "path": path, "value": value})),
        (true, true) => ops.push(json!({"op": "remove", "path": path})),
        (true, false) => {}
    };
    let (then, there) = (&before.metadata, &now.metadata);
    match part {
        Part::Whole => {
            set("/spec", before.data["spec"].clone(), now.data.get("spec").is_some());
            set("/metadata/labels", json!(then.labels), there.labels.is_some());
            set("/metadata/annotations", json!(then.annotations), there.annotations.is_some());
        }
        Part::Retries | Part::Policies => {
            let mut annotations = now.annotations().clone();
            annotations.retain(|key, _| !part.has(key));
            let own = before.annotations().iter().filter(|(key, _)| part.has(key));
            annotations.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            if annotations.is_empty() && then.annotations.is_none() {
                set("/metadata/annotations", Value::Null, there.annotations.is_some());
            } else {
                set("/metadata/annotations", json!(annotations), true);
            }
        }
    }
    ops
}
