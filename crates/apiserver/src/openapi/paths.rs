//! The paths of a kind: what can be done and which query parameters it takes.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// Adds a kind's paths. `three` is OpenAPI 3, else 2.
pub(super) fn of(kind: &Kind, name: &str, three: bool, out: &mut Map<String, Value>) {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}", kind.api_version())
    };
    let base = match kind.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    };
    let prefix = if three { "#/components/schemas/" } else { "#/definitions/" };
    let reference = |suffix: &str| json!({"$ref": format!("{prefix}{name}{suffix}")});
    let answer = |schema: Value| match three {
        true => json!({"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}),
        false => json!({"200": {"description": "OK", "schema": schema}}),
    };
    let verb = |action: &str, parameters: &[(&str, &str)], schema: Value| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, word)| match three {
                true => json!({"name": name, "in": "query", "schema": {"type": word, "uniqueItems": true}}),
                false => json!({"name": name, "in": "query", "type": word, "uniqueItems": true}),
            })
            .collect();
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "parameters": parameters, "responses": answer(schema),
        })
    };
    let read = [
        ("fieldSelector", "string"),
        ("labelSelector", "string"),
        ("limit", "integer"),
        ("continue", "string"),
        ("watch", "boolean"),
    ];
    let write = [("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
    let patch = [
        ("dryRun", "string"),
        ("fieldManager", "string"),
        ("fieldValidation", "string"),
        ("force", "boolean"),
    ];
    let delete = [("dryRun", "string"), ("gracePeriodSeconds", "integer"), ("propagationPolicy", "string")];
    if kind.namespaced {
        out.insert(format!("{root}/{}", kind.plural), json!({"get": verb("list", &read, reference("List"))}));
    }
    out.insert(
        base.clone(),
        json!({
            "get": verb("list", &read, reference("List")),
            "post": verb("post", &write, reference("")),
            "delete": verb("deletecollection", &delete, json!({"type": "object"})),
        }),
    );
    let one = json!({
        "get": verb("get", &[], reference("")),
        "put": verb("put", &write, reference("")),
        "patch": verb("patch", &patch, reference("")),
        "delete": verb("delete", &delete, json!({"type": "object"})),
    });
    out.insert(format!("{base}/{{name}}"), one);
    if kind.status {
        let part = json!({
            "get": verb("get", &[], reference("")),
            "put": verb("put", &write, reference("")),
            "patch": verb("patch", &patch, reference("")),
        });
        out.insert(format!("{base}/{{name}}/status"), part);
    }
}
