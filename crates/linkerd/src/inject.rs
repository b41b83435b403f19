//! Sets and removes the injection annotation of workloads. The injector in the cluster adds the proxy when a pod with
//! the annotation is created.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::names;

/// The value of the injection annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Inject a proxy that routes by the original destination.
    Enabled,
    /// Inject a proxy that routes by the header `l5d-dst-override`, for ingress controllers.
    Ingress,
    /// Do not inject a proxy.
    Disabled,
}

impl Mode {
    /// Returns the value as written in the annotation.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => names::ENABLED,
            Self::Ingress => names::INGRESS,
            Self::Disabled => names::DISABLED,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A value that is not a mode of injection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid value `{0}`, expected `enabled`, `ingress` or `disabled`")]
pub struct InvalidMode(String);

impl FromStr for Mode {
    type Err = InvalidMode;

    fn from_str(text: &str) -> Result<Self, InvalidMode> {
        match text {
            names::ENABLED => Ok(Self::Enabled),
            names::INGRESS => Ok(Self::Ingress),
            names::DISABLED => Ok(Self::Disabled),
            _ => Err(InvalidMode(text.to_owned())),
        }
    }
}

/// The result of [`annotate`] or [`remove`] for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The kind of the object.
    pub kind: String,
    /// The name of the object; empty if it has none (`generateName`).
    pub name: String,
    /// The change that was made to the object.
    pub done: Done,
}

/// The change that was made to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The annotation was set or changed.
    Annotated,
    /// The annotation was removed.
    Removed,
    /// The object is unchanged: it already had the annotation, or it had none to remove.
    Already,
    /// The object is unchanged: its pods use the host network, where a proxy cannot redirect traffic.
    HostNetwork,
    /// The object is unchanged: it is not a Pod and has no pod template, or the template is malformed.
    NotAWorkload,
}

/// Sets the annotation on a Pod, on the pod template of a workload, or on each item of a List. Returns the result for
/// each object.
pub fn annotate(object: &mut Value, mode: Mode) -> Vec<Outcome> {
    each(object, &mut |pod| {
        let host_network = pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
        // Linkerd's injector skips such a pod, so the annotation would have no effect.
        if host_network && mode != Mode::Disabled {
            return Done::HostNetwork;
        }
        let value = json!(mode.as_str());
        let Some(annotations) = annotations(pod) else { return Done::NotAWorkload };
        match annotations.insert(names::INJECT.to_owned(), value.clone()) {
            Some(before) if before == value => Done::Already,
            _ => Done::Annotated,
        }
    })
}

/// Removes the annotation from a Pod, from the pod template of a workload, or from each item of a List. Returns the
/// result for each object. Also removes an empty map of annotations.
pub fn remove(object: &mut Value) -> Vec<Outcome> {
    each(object, &mut |pod| {
        let Some(annotations) = pod.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        else {
            return Done::Already;
        };
        let done = if annotations.remove(names::INJECT).is_some() { Done::Removed } else { Done::Already };
        let empty = annotations.is_empty();
        if empty && let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("annotations");
        }
        done
    })
}

/// Returns the value of the annotation on a Pod or on the pod template of a workload.
pub fn requested(object: &Value) -> Option<&str> {
    let pod = object.pointer(template_pointer(object.get("kind")?.as_str()?)?)?;
    pod.get("metadata")?.get("annotations")?.get(names::INJECT)?.as_str()
}

/// Returns the JSON pointer to the pod template of a kind; empty for a Pod, `None` for a kind without pods.
pub(crate) fn template_pointer(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some(""),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" | "ReplicationController" => {
            Some("/spec/template")
        }
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn each(object: &mut Value, change: &mut dyn FnMut(&mut Value) -> Done) -> Vec<Outcome> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == "List" || kind.ends_with("List") && object.get("items").is_some_and(Value::is_array) {
        let items = object.get_mut("items").and_then(Value::as_array_mut);
        return items.into_iter().flatten().flat_map(|item| each(item, change)).collect();
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let pod = template_pointer(&kind).and_then(|pointer| object.pointer_mut(pointer));
    let done = pod.map_or(Done::NotAWorkload, change);
    vec![Outcome { kind, name, done }]
}

/// Returns the annotations of a pod or pod template, and creates them if absent; `None` if the object is malformed.
fn annotations(pod: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object_or_create(pod.as_object_mut()?, "metadata")?;
    object_or_create(metadata, "annotations")
}

/// Returns a member as an object, and creates it if it is absent or null; `None` if it has another type.
fn object_or_create<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = parent.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(kind: &str, pointer: &str) -> Value {
        let pod = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}});
        let spec = match pointer {
            "/spec/template" => json!({"template": pod}),
            _ => json!({"jobTemplate": {"spec": {"template": pod}}}),
        };
        json!({"kind": kind, "metadata": {"name": "a"}, "spec": spec})
    }

    #[test]
    fn the_pod_template_of_each_workload_kind_is_annotated() {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"] {
            let pointer = template_pointer(kind).unwrap();
            let mut object = workload(kind, pointer);
            assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::Annotated, "{kind}");
            assert_eq!(
                object.pointer(&format!("{pointer}/metadata/annotations/linkerd.io~1inject")),
                Some(&json!("enabled"))
            );
            assert_eq!(object["metadata"].get("annotations"), None, "the {kind} itself has no annotations");
            assert_eq!(requested(&object), Some("enabled"));
            assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::Already);
        }
    }

    #[test]
    fn each_workload_of_a_list_is_annotated() {
        let pod = json!({"kind": "Pod", "metadata": {"name": "p", "annotations": null}, "spec": {}});
        let service = json!({"kind": "Service", "metadata": {"name": "s"}});
        let mut list = json!({"kind": "List", "items": [pod, service.clone()]});
        let outcomes = annotate(&mut list, Mode::Ingress);
        assert_eq!(
            outcomes.iter().map(|o| o.done).collect::<Vec<_>>(),
            [Done::Annotated, Done::NotAWorkload]
        );
        assert_eq!(list["items"][0]["metadata"]["annotations"]["linkerd.io/inject"], "ingress");
        assert_eq!(list["items"][1], service);
    }

    #[test]
    fn removing_the_annotation_restores_the_object() {
        let before = workload("Deployment", "/spec/template");
        let mut object = before.clone();
        annotate(&mut object, Mode::Enabled);
        assert_eq!(remove(&mut object)[0].done, Done::Removed);
        assert_eq!(object, before);
        assert_eq!(remove(&mut object)[0].done, Done::Already);
    }

    #[test]
    fn a_workload_with_host_network_is_unchanged() {
        let mut object = workload("DaemonSet", "/spec/template");
        object["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
        let before = object.clone();
        assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::HostNetwork);
        assert_eq!(object, before);
    }

    #[test]
    fn a_malformed_object_is_unchanged() {
        let mut object = json!({"kind": "Deployment", "spec": {"template": "x"}});
        assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::NotAWorkload);
        assert_eq!(annotate(&mut json!(null), Mode::Enabled)[0].done, Done::NotAWorkload);
    }
}
