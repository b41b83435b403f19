//! The OpenAPI 2 document in protobuf, the only format that kubectl, helm and client-go accept.
//!
//! The messages are those of github.com/google/gnostic-models, `openapiv2/OpenAPIv2.proto`. Only what this server's
//! documents contain is encoded.

use serde_json::Value;

use crate::value::items;

/// Media type of the document.
pub(crate) const MEDIA_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// A message that is being encoded.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or_default());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u64, value: &Value) {
        if let Some(text) = value.as_str() {
            self.bytes(field, text.as_bytes());
        }
    }

    fn texts(&mut self, field: u64, value: &Value) {
        items(value).for_each(|item| self.text(field, item));
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn boolean(&mut self, field: u64, value: &Value) {
        if value == true {
            self.varint(field << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_i64() {
            self.varint(field << 3);
            self.varint(number.cast_unsigned());
        }
    }

    fn double(&mut self, field: u64, value: &Value) {
        if let Some(number) = value.as_f64() {
            self.varint(field << 3 | 1);
            self.0.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// Encodes a document (`Document`).
pub(super) fn document(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, &document["swagger"]);
    let mut info = Message::default();
    info.text(1, &document["info"]["title"]);
    info.text(2, &document["info"]["version"]);
    out.message(2, &info);
    let mut paths = Message::default();
    for (name, path) in document["paths"].as_object().into_iter().flatten() {
        paths.message(2, &named(name, &path_item(path)));
    }
    out.message(8, &paths);
    out.message(9, &named_schemas(&document["definitions"]));
    out.0
}

/// A pair of a name and a message (`NamedSchema`, `NamedPathItem`, `NamedAny`, …).
fn named(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

/// Any value, as YAML (`Any`). JSON is YAML.
fn any(value: &Value) -> Message {
    let mut out = Message::default();
    out.bytes(2, value.to_string().as_bytes());
    out
}

/// The extensions (`x-…`) of an object.
fn extensions(field: u64, object: &Value, out: &mut Message) {
    for (name, value) in object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-")) {
        out.message(field, &named(name, &any(value)));
    }
}

/// `PathItem`
fn path_item(path: &Value) -> Message {
    let mut out = Message::default();
    for (field, verb) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if path[verb].is_object() {
            out.message(field, &operation(&path[verb]));
        }
    }
    out
}

/// `Operation`
fn operation(operation: &Value) -> Message {
    let mut out = Message::default();
    for found in items(&operation["parameters"]) {
        let mut query = Message::default();
        query.text(2, &found["in"]);
        query.text(4, &found["name"]);
        query.text(6, &found["type"]);
        query.boolean(20, &found["uniqueItems"]);
        // ParametersItem, Parameter, NonBodyParameter, QueryParameterSubSchema: each is a choice.
        let parameter = [3, 2, 1].into_iter().fold(query, |inner, field| {
            let mut outer = Message::default();
            outer.message(field, &inner);
            outer
        });
        out.message(8, &parameter);
    }
    let mut responses = Message::default();
    for (code, found) in operation["responses"].as_object().into_iter().flatten() {
        let mut response = Message::default();
        response.text(1, &found["description"]);
        let mut schema_item = Message::default();
        schema_item.message(1, &schema(&found["schema"]));
        response.message(2, &schema_item);
        let mut value = Message::default();
        value.message(1, &response);
        responses.message(1, &named(code, &value));
    }
    out.message(9, &responses);
    extensions(13, operation, &mut out);
    out
}

/// `Definitions` and `Properties`
fn named_schemas(schemas: &Value) -> Message {
    let mut out = Message::default();
    for (name, found) in schemas.as_object().into_iter().flatten() {
        out.message(1, &named(name, &schema(found)));
    }
    out
}

/// `Schema`
fn schema(schema: &Value) -> Message {
    let mut out = Message::default();
    for (field, name) in [(1, "$ref"), (2, "format"), (3, "title"), (4, "description"), (13, "pattern")] {
        out.text(field, &schema[name]);
    }
    for (field, name) in [(6, "multipleOf"), (7, "maximum"), (9, "minimum")] {
        out.double(field, &schema[name]);
    }
    for (field, name) in [(8, "exclusiveMaximum"), (10, "exclusiveMinimum"), (16, "uniqueItems")] {
        out.boolean(field, &schema[name]);
    }
    for (field, name) in [
        (11, "maxLength"),
        (12, "minLength"),
        (14, "maxItems"),
        (15, "minItems"),
        (17, "maxProperties"),
        (18, "minProperties"),
    ] {
        out.integer(field, &schema[name]);
    }
    if let Some(default) = schema.get("default") {
        out.message(5, &any(default));
    }
    out.texts(19, &schema["required"]);
    items(&schema["enum"]).for_each(|value| out.message(20, &any(value)));
    nested(schema, &mut out);
    extensions(31, schema, &mut out);
    out
}

/// The fields of a schema that contain schemas.
fn nested(found: &Value, out: &mut Message) {
    let mut additional = Message::default();
    match &found["additionalProperties"] {
        Value::Null => {}
        Value::Bool(_) => {
            additional.boolean(2, &found["additionalProperties"]);
            out.message(21, &additional);
        }
        inner => {
            additional.message(1, &schema(inner));
            out.message(21, &additional);
        }
    }
    if found["type"].is_string() {
        let mut item = Message::default();
        item.text(1, &found["type"]);
        out.message(22, &item);
    }
    if found["items"].is_object() {
        let mut item = Message::default();
        item.message(1, &schema(&found["items"]));
        out.message(23, &item);
    }
    items(&found["allOf"]).for_each(|inner| out.message(24, &schema(inner)));
    if found["properties"].is_object() {
        out.message(25, &named_schemas(&found["properties"]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn document_is_encoded_as_in_the_definition_of_the_messages() {
        let found = document(&json!({
            "swagger": "2.0", "info": {"title": "K", "version": "v1"}, "paths": {},
            "definitions": {"a": {"type": "object", "required": ["b"], "properties": {"b": {"$ref": "#/c"}},
                "maxItems": 300, "minimum": 1.5, "x-k": ["y"]}},
        }));
        let schema: Vec<u8> = [
            &b"\x49\x00\x00\x00\x00\x00\x00\xf8\x3f"[..],
            b"\x70\xac\x02",
            b"\x9a\x01\x01b",
            b"\xb2\x01\x08\x0a\x06object",
            b"\xca\x01\x0c\x0a\x0a\x0a\x01b\x12\x05\x0a\x03#/c",
            b"\xfa\x01\x0e\x0a\x03x-k\x12\x07\x12\x05[\"y\"]",
        ]
        .concat();
        let length = u8::try_from(schema.len()).expect("short");
        let expected = [
            b"\x0a\x032.0\x12\x07\x0a\x01K\x12\x02v1\x42\x00\x4a",
            &[length + 7, 0x0a, length + 5, 0x0a, 0x01, b'a', 0x12, length][..],
            &schema,
        ]
        .concat();
        assert_eq!(found, expected);
    }
}
