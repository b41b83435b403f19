//! The injection annotation on any workload. The proxy itself is added at pod creation by the injector in the cluster;
//! a manifest only has to ask.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::names;

/// What the annotation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A proxy that routes by the original destination.
    Enabled,
    /// A proxy that routes by `l5d-dst-override`, for ingress controllers.
    Ingress,
    /// No proxy.
    Disabled,
}

impl Mode {
    /// The annotation's value.
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

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            names::ENABLED => Ok(Self::Enabled),
            names::INGRESS => Ok(Self::Ingress),
            names::DISABLED => Ok(Self::Disabled),
            _ => Err(format!("`{text}` is none of enabled, ingress, disabled")),
        }
    }
}

/// What became of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The object's kind, in the API's spelling.
    pub kind: String,
    /// The object's name; empty when it has none (`generateName`).
    pub name: String,
    /// What was done.
    pub done: Done,
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The annotation was set or changed.
    Annotated,
    /// The annotation was taken away.
    Removed,
    /// It was as asked before.
    Already,
    /// Its pods use the node's network, where a proxy cannot redirect traffic; left as it was.
    HostNetwork,
    /// It makes no pods; left as it was.
    NotAWorkload,
}

/// Sets the annotation on the pod template of a workload, on a Pod itself, and on everything in a List.
pub fn annotate(object: &mut Value, mode: Mode) -> Vec<Outcome> {
    each(object, &mut |pod| {
        let host_network = pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
        // Linkerd's injector refuses such a pod; to ask for it would promise what cannot come.
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

/// Takes the annotation away.
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

/// The annotation on a workload's pod template or on a Pod.
pub fn requested(object: &Value) -> Option<&str> {
    let pod = object.pointer(template_pointer(object.get("kind")?.as_str()?)?)?;
    pod.get("metadata")?.get("annotations")?.get(names::INJECT)?.as_str()
}

/// Where a kind keeps what its pods look like, as a JSON pointer; `None` for what makes no pods.
pub fn template_pointer(kind: &str) -> Option<&'static str> {
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

/// The annotations of a pod or template, made where absent; none if the object is misshapen.
fn annotations(pod: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = filled(pod.as_object_mut()?, "metadata")?;
    filled(metadata, "annotations")
}

/// A member that is an object; `null` and absent become an empty one, as YAML writers leave either.
fn filled<'a>(parent: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
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
    fn every_kind_of_workload_is_annotated_on_its_template() {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"] {
            let pointer = template_pointer(kind).unwrap();
            let mut object = workload(kind, pointer);
            assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::Annotated, "{kind}");
            assert_eq!(
                object.pointer(&format!("{pointer}/metadata/annotations/linkerd.io~1inject")),
                Some(&json!("enabled"))
            );
            assert_eq!(object["metadata"].get("annotations"), None, "not on the {kind} itself");
            assert_eq!(requested(&object), Some("enabled"));
            assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::Already);
        }
    }

    #[test]
    fn a_list_is_annotated_item_by_item_and_other_kinds_pass() {
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
    fn removing_leaves_the_object_as_it_was() {
        let before = workload("Deployment", "/spec/template");
        let mut object = before.clone();
        annotate(&mut object, Mode::Enabled);
        assert_eq!(remove(&mut object)[0].done, Done::Removed);
        assert_eq!(object, before);
        assert_eq!(remove(&mut object)[0].done, Done::Already);
    }

    #[test]
    fn the_nodes_network_is_left_alone() {
        let mut object = workload("DaemonSet", "/spec/template");
        object["spec"]["template"]["spec"]["hostNetwork"] = json!(true);
        let before = object.clone();
        assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::HostNetwork);
        assert_eq!(object, before);
    }

    #[test]
    fn a_misshapen_object_is_left_alone() {
        let mut object = json!({"kind": "Deployment", "spec": {"template": "x"}});
        assert_eq!(annotate(&mut object, Mode::Enabled)[0].done, Done::NotAWorkload);
        assert_eq!(annotate(&mut json!(null), Mode::Enabled)[0].done, Done::NotAWorkload);
    }
}
