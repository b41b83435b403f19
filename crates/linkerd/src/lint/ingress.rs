//! Checks of an Ingress whose controller has a proxy in ingress mode.

use serde_json::Value;

use super::{Sink, World, route};

pub(super) fn lint(world: &World, sink: &mut Sink<'_>) {
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
        let service = backend.pointer("/service/name").and_then(Value::as_str).unwrap_or_default();
        let number = backend.pointer("/service/port/number").and_then(Value::as_u64);
        let number = number.and_then(|number| u16::try_from(number).ok());
        let namespace = sink.item.namespace_or_default().to_owned();
        route::port(world, sink, service, &namespace, number, &format!("{field}.service.port"));
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
