//! The paths of a kind, with verbs and query parameters.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;

/// Adds the paths of a kind to `out`, in OpenAPI 3 if `v3`, else in OpenAPI 2.
pub(super) fn add(kind: &Kind, name: &str, v3: bool, out: &mut Map<String, Value>) {
    let root = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}", kind.api_version())
    };
    let base = match kind.namespaced {
        true => format!("{root}/namespaces/{{namespace}}/{}", kind.plural),
        false => format!("{root}/{}", kind.plural),
    };
    let prefix = if v3 { "#/components/schemas/" } else { "#/definitions/" };
    let reference = |suffix: &str| json!({"$ref": format!("{prefix}{name}{suffix}")});
    let responses = |schema: Value| match v3 {
        true => json!({"200": {"description": "OK", "content": {"application/json": {"schema": schema}}}}),
        false => json!({"200": {"description": "OK", "schema": schema}}),
    };
    let verb = |action: &str, parameters: &[(&str, &str)], schema: Value| {
        let parameters: Vec<Value> = parameters
            .iter()
            .map(|(name, type_name)| match v3 {
                true => {
                    json!({"name": name, "in": "query", "schema": {"type": type_name, "uniqueItems": true}})
                }
                false => json!({"name": name, "in": "query", "type": type_name, "uniqueItems": true}),
            })
            .collect();
        json!({
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "parameters": parameters, "responses": responses(schema),
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
    if kind.is_review {
        out.insert(base, json!({"post": verb("post", &write, reference(""))}));
        return;
    }
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
    let object = json!({
        "get": verb("get", &[], reference("")),
        "put": verb("put", &write, reference("")),
        "patch": verb("patch", &patch, reference("")),
        "delete": verb("delete", &delete, json!({"type": "object"})),
    });
    out.insert(format!("{base}/{{name}}"), object);
    if kind.status {
        let status = json!({
            "get": verb("get", &[], reference("")),
            "put": verb("put", &write, reference("")),
            "patch": verb("patch", &patch, reference("")),
        });
        out.insert(format!("{base}/{{name}}/status"), status);
    }
}
