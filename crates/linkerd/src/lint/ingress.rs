//! Checks of an Ingress whose controller has a proxy in ingress mode.

use serde_json::Value;

use super::{Sink, World};

pub(super) fn lint(_: &World, sink: &mut Sink<'_>) {
    for (field, backend) in backends(&sink.object().clone()) {
        if let Some(port) = backend.pointer("/service/port/name").and_then(Value::as_str) {
            let what = format!("named port `{port}`");
            sink.add(
                "ingress-named-port",
                format!("{field}.service.port.name"),
                what,
                "write the port number: `port: {number: N}`",
            );
        }
    }
}

fn backends(ingress: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    if let Some(backend) = ingress.pointer("/spec/defaultBackend") {
        found.push(("spec.defaultBackend".to_owned(), backend.clone()));
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for (i, rule) in list(ingress.pointer("/spec/rules")).iter().enumerate() {
        for (j, path) in list(rule.pointer("/http/paths")).iter().enumerate() {
            let backend = path.get("backend").cloned().unwrap_or_default();
            found.push((format!("spec.rules[{i}].http.paths[{j}].backend"), backend));
        }
    }
    found
}
