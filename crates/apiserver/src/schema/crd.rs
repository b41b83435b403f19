//! Types from the structural schema of a custom resource definition.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::{Field, List, Map, Merge, Strategy, Struct, StructRef, Ty, builtin};

/// Returns the type of a custom resource from its `openAPIV3Schema`.
pub(crate) fn root(kind: &str, schema: &Value) -> Ty {
    let mut fields = properties(kind, schema);
    for name in ["apiVersion", "kind"] {
        fields.insert(name.to_owned(), plain(Ty::String));
    }
    fields.insert("metadata".to_owned(), plain(builtin("meta.v1.ObjectMeta")));
    let open = keeps_unknown(schema);
    Ty::Struct(StructRef::Custom(Arc::new(Struct {
        name: kind.to_owned(),
        fields,
        atomic: false,
        open,
        custom: true,
    })))
}

fn plain(ty: Ty) -> Field {
    Field {
        ty,
        always: false,
        pointer: true,
        required: false,
        strategy: Strategy::default(),
        default: None,
        numbers: Vec::new(),
    }
}

fn keeps_unknown(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"].as_bool() == Some(true)
}

fn properties(name: &str, schema: &Value) -> BTreeMap<String, Field> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let listed = schema["properties"].as_object().into_iter().flatten();
    listed
        .map(|(key, schema)| {
            let field = Field {
                required: required.contains(&key.as_str()),
                default: schema.get("default").cloned(),
                ..plain(ty(&format!("{name}.{key}"), schema))
            };
            (key.clone(), field)
        })
        .collect()
}

fn ty(name: &str, schema: &Value) -> Ty {
    if schema["x-kubernetes-int-or-string"].as_bool() == Some(true) {
        return Ty::IntOrString;
    }
    match schema["type"].as_str() {
        Some("string") => Ty::String,
        Some("integer") => Ty::Int64,
        Some("number") => Ty::Double,
        Some("boolean") => Ty::Bool,
        Some("array") => Ty::List(Arc::new(List { item: ty(name, &schema["items"]), merge: merge(schema) })),
        Some("object") if schema["x-kubernetes-embedded-resource"].as_bool() == Some(true) => {
            let mut fields = properties(name, schema);
            for name in ["apiVersion", "kind"] {
                fields.insert(name.to_owned(), plain(Ty::String));
            }
            fields.insert("metadata".to_owned(), plain(Ty::Any { atomic: false }));
            structure(name, schema, fields)
        }
        Some("object") => {
            let atomic = schema["x-kubernetes-map-type"].as_str() == Some("atomic");
            match &schema["additionalProperties"] {
                Value::Object(value) => {
                    Ty::Map(Arc::new(Map { value: ty(name, &Value::Object(value.clone())), atomic }))
                }
                Value::Bool(true) => Ty::Any { atomic },
                _ => structure(name, schema, properties(name, schema)),
            }
        }
        _ => Ty::Any { atomic: false },
    }
}

fn structure(name: &str, schema: &Value, fields: BTreeMap<String, Field>) -> Ty {
    if fields.is_empty() && keeps_unknown(schema) {
        return Ty::Any { atomic: schema["x-kubernetes-map-type"].as_str() == Some("atomic") };
    }
    let structure = Struct {
        name: name.to_owned(),
        fields,
        atomic: schema["x-kubernetes-map-type"].as_str() == Some("atomic"),
        open: keeps_unknown(schema),
        custom: true,
    };
    Ty::Struct(StructRef::Custom(Arc::new(structure)))
}

fn merge(schema: &Value) -> Merge {
    match schema["x-kubernetes-list-type"].as_str() {
        Some("set") => Merge::Set,
        Some("map") => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            Merge::Keys(keys.filter_map(|key| key.as_str().map(str::to_owned)).collect())
        }
        _ => Merge::Atomic,
    }
}
