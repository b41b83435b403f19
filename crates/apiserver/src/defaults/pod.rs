//! Defaults of pods.

use serde_json::{Value, json};

use crate::value::{default, items, items_mut};

/// Sets the defaults of a pod spec or of the spec of a pod template.
pub(crate) fn spec(spec: &mut Value) {
    if !spec.is_object() {
        *spec = json!({});
    }
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "schedulerName", "default-scheduler");
    default(spec, "securityContext", json!({}));
    match (spec["serviceAccountName"].as_str(), spec["serviceAccount"].as_str()) {
        (Some(name), _) => spec["serviceAccount"] = name.to_owned().into(),
        (None, Some(name)) => spec["serviceAccountName"] = name.to_owned().into(),
        _ => {}
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for found in items_mut(&mut spec[list]) {
            container(found, host_network);
        }
    }
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        if spec[list].is_null() {
            spec.as_object_mut().map(|map| map.remove(list));
        }
    }
    items_mut(&mut spec["volumes"]).for_each(volume);
    if spec["volumes"].is_null() {
        spec.as_object_mut().map(|map| map.remove("volumes"));
    }
    // `containers` is always written, even if it is missing.
    if spec.get("containers").is_none() {
        spec["containers"] = Value::Null;
    }
}

fn container(container: &mut Value, host_network: bool) {
    let image = container["image"].as_str().unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", policy);
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    default(container, "resources", json!({}));
    for port in container.get_mut("ports").into_iter().flat_map(items_mut) {
        default(port, "protocol", "TCP");
        if host_network {
            let same = port["containerPort"].clone();
            default(port, "hostPort", same);
        }
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container[name].is_object() {
            probe(&mut container[name]);
        }
    }
    for hook in ["postStart", "preStop"] {
        if let Some(get) = container.pointer_mut(&format!("/lifecycle/{hook}/httpGet")) {
            http_get(get);
        }
    }
    for variable in container.get_mut("env").into_iter().flat_map(items_mut) {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", "v1");
        }
    }
    crate::value::drop_nulls(container);
    if let Some(resources) = container.get_mut("resources") {
        crate::value::drop_nulls(resources);
    }
}

fn probe(probe: &mut Value) {
    for (name, number) in
        [("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)]
    {
        default(probe, name, number);
    }
    if let Some(get) = probe.get_mut("httpGet") {
        http_get(get);
    }
    if let Some(grpc) = probe.get_mut("grpc") {
        default(grpc, "service", "");
    }
}

fn http_get(get: &mut Value) {
    default(get, "path", "/");
    default(get, "scheme", "HTTP");
}

fn volume(volume: &mut Value) {
    /// Readable for all, writable for the owner.
    const MODE: i64 = 0o644;
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        if let Some(found) = volume.get_mut(source) {
            default(found, "defaultMode", MODE);
            let fields = found.get_mut("items").into_iter().flat_map(items_mut);
            for field in fields.filter_map(|item| item.get_mut("fieldRef")) {
                default(field, "apiVersion", "v1");
            }
        }
    }
    if let Some(path) = volume.get_mut("hostPath") {
        default(path, "type", "");
    }
    for source in volume.pointer_mut("/projected/sources").into_iter().flat_map(items_mut) {
        if let Some(token) = source.get_mut("serviceAccountToken") {
            default(token, "expirationSeconds", 3607);
        }
        let fields = source.pointer_mut("/downwardAPI/items").into_iter().flat_map(items_mut);
        for field in fields.filter_map(|item| item.get_mut("fieldRef")) {
            default(field, "apiVersion", "v1");
        }
    }
    // A volume without a source is an emptyDir.
    if volume.as_object().is_some_and(|map| map.len() == 1) {
        volume["emptyDir"] = json!({});
    }
}

/// Returns whether an image has the tag `latest`, or neither tag nor digest.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !name.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

/// Sets missing resource requests to the limits. Only for pods; the pods of a template get them on creation.
pub(super) fn requests(spec: &mut Value) {
    let containers = |spec: &mut Value, list: &str| spec.get_mut(list).map(Value::take);
    for list in ["initContainers", "containers"] {
        let Some(mut found) = containers(spec, list) else { continue };
        for container in items_mut(&mut found) {
            let limits = container["resources"]["limits"].as_object().cloned().unwrap_or_default();
            for (name, amount) in limits {
                if container["resources"]["requests"][&name].is_null() {
                    container["resources"]["requests"][&name] = amount;
                }
            }
            if let Some(resources) = container.get_mut("resources") {
                crate::value::drop_nulls(resources);
            }
        }
        spec[list] = found;
    }
}

/// Returns the QoS class of a pod.
pub(crate) fn qos(spec: &Value) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for container in items(&spec["containers"]).chain(items(&spec["initContainers"])) {
        let amount = |what: &str, name: &str| {
            container["resources"][what][name].as_str().and_then(crate::quantity::millis).filter(|n| *n > 0)
        };
        for name in ["cpu", "memory"] {
            let (request, limit) = (amount("requests", name), amount("limits", name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
