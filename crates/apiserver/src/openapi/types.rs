//! Types as OpenAPI schemas.

use serde_json::{Map, Value, json};

use crate::kinds::Kind;
use crate::schema::{Field, Merge, Struct, Ty};

/// Schemas by name.
pub(super) struct Schemas {
    prefix: &'static str,
    found: Map<String, Value>,
}

impl Schemas {
    /// Returns an empty set of schemas; `prefix` is the prefix of references.
    pub(super) fn new(prefix: &'static str) -> Self {
        Self { prefix, found: Map::new() }
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.found)
    }

    /// Adds the schemas of a kind, its list and the types it refers to. Returns the schema name of the kind.
    pub(super) fn add_kind(&mut self, kind: &Kind) -> String {
        let gvk = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        let name = match (&kind.custom, &kind.ty) {
            (Some(custom), _) => {
                let mut labels: Vec<&str> = kind.group.split('.').collect();
                labels.reverse();
                let name = format!("{}.{}.{}", labels.join("."), kind.version, kind.kind);
                let mut schema =
                    if custom.schema.is_object() { custom.schema.clone() } else { json!({"type": "object"}) };
                let metadata = self.reference(&crate::schema::builtin("meta.v1.ObjectMeta"));
                schema["properties"]["metadata"] = metadata;
                schema["properties"]["apiVersion"] = json!({"type": "string"});
                schema["properties"]["kind"] = json!({"type": "string"});
                self.found.insert(name.clone(), schema);
                name
            }
            (None, Ty::Struct(structure)) => {
                self.add(structure);
                full_name(&structure.name)
            }
            _ => return String::new(),
        };
        self.found[&name]["x-kubernetes-group-version-kind"] = gvk;
        let list = json!({
            "type": "object", "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"}, "kind": {"type": "string"},
                "metadata": {"type": "object"},
                "items": {"type": "array", "items": {"$ref": format!("{}{name}", self.prefix)}},
            },
            "x-kubernetes-group-version-kind":
                [{"group": kind.group, "version": kind.version, "kind": format!("{}List", kind.kind)}],
        });
        self.found.insert(format!("{name}List"), list);
        name
    }

    fn add(&mut self, structure: &Struct) {
        let name = full_name(&structure.name);
        if self.found.contains_key(&name) {
            return;
        }
        // Inserted before its fields are added, because types may be recursive.
        self.found.insert(name.clone(), Value::Null);
        let mut schema = json!({"type": "object"});
        for (field, found) in &structure.fields {
            schema["properties"][field] = self.field(found);
        }
        let required: Vec<&String> =
            structure.fields.iter().filter(|(_, f)| f.required).map(|(name, _)| name).collect();
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if structure.atomic {
            schema["x-kubernetes-map-type"] = "atomic".into();
        }
        self.found.insert(name, schema);
    }

    fn field(&mut self, field: &Field) -> Value {
        let mut schema = self.reference(&field.ty);
        match &field.ty {
            Ty::List(list) => match &list.merge {
                Merge::Atomic => schema["x-kubernetes-list-type"] = "atomic".into(),
                Merge::Set => schema["x-kubernetes-list-type"] = "set".into(),
                Merge::Keys(keys) => {
                    schema["x-kubernetes-list-type"] = "map".into();
                    schema["x-kubernetes-list-map-keys"] = json!(keys);
                }
            },
            Ty::Map(map) if map.atomic => schema["x-kubernetes-map-type"] = "atomic".into(),
            _ => {}
        }
        let mut strategy = Vec::new();
        if field.strategy.merge {
            strategy.push("merge");
        }
        if field.strategy.retain_keys {
            strategy.push("retainKeys");
        }
        if !strategy.is_empty() {
            schema["x-kubernetes-patch-strategy"] = strategy.join(",").into();
        }
        if !field.strategy.key.is_empty() {
            schema["x-kubernetes-patch-merge-key"] = field.strategy.key.clone().into();
        }
        if let Some(default) = &field.default {
            schema["default"] = default.clone();
        }
        schema
    }

    fn reference(&mut self, ty: &Ty) -> Value {
        match ty {
            Ty::String | Ty::Quantity => json!({"type": "string"}),
            Ty::Time | Ty::MicroTime => json!({"type": "string", "format": "date-time"}),
            Ty::Bytes => json!({"type": "string", "format": "byte"}),
            Ty::Int32 => json!({"type": "integer", "format": "int32"}),
            Ty::Int64 => json!({"type": "integer", "format": "int64"}),
            Ty::Double => json!({"type": "number", "format": "double"}),
            Ty::Bool => json!({"type": "boolean"}),
            Ty::IntOrString => json!({"type": "string", "format": "int-or-string"}),
            Ty::Any { .. } => json!({"x-kubernetes-preserve-unknown-fields": true}),
            Ty::List(list) => json!({"type": "array", "items": self.reference(&list.item)}),
            Ty::Map(map) => json!({"type": "object", "additionalProperties": self.reference(&map.value)}),
            Ty::Struct(structure) => {
                self.add(structure);
                json!({"$ref": format!("{}{}", self.prefix, full_name(&structure.name))})
            }
        }
    }
}

/// Returns the schema name in Kubernetes: the reversed Go package and the type.
fn full_name(short: &str) -> String {
    match short.split('.').next() {
        Some("meta") => format!("io.k8s.apimachinery.pkg.apis.{short}"),
        Some("apiextensions") => format!("io.k8s.apiextensions-apiserver.pkg.apis.{short}"),
        _ => format!("io.k8s.api.{short}"),
    }
}
