//! The types of objects: fields and merge rules.
//!
//! Built-in types are defined by the tables in `schema/types/`: field names, types and merge rules of the Kubernetes API,
//! one block for each type, one line for each field. The types of custom resources are built from their definitions.
//!
//! ```text
//!   core.v1.Container
//!     name! string required #1        ! always written, even if empty; # field number in protobuf
//!     restartPolicy? string #24       ? pointer: an empty value is kept
//!     ports [core.v1.ContainerPort] map(containerPort,protocol) patch(merge:containerPort) #6
//! ```

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

pub(crate) mod crd;
pub(crate) mod decode;
pub(crate) mod mismatch;
pub(crate) mod protobuf;
mod tables;

pub(crate) use tables::{builtin, builtins};

/// The type of a value.
#[derive(Clone, Debug)]
pub(crate) enum Ty {
    String,
    Int32,
    Int64,
    Double,
    Bool,
    Quantity,
    IntOrString,
    Time,
    MicroTime,
    Bytes,
    /// Any value, kept unchanged. If `atomic`, it has one owner.
    Any {
        atomic: bool,
    },
    List(Arc<List>),
    Map(Arc<Map>),
    Struct(StructRef),
}

/// The type of a list.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) item: Ty,
    pub(crate) merge: Merge,
}

/// The type of a map with string keys.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) value: Ty,
    pub(crate) atomic: bool,
}

/// How server-side apply merges a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// The list is replaced as a whole.
    Atomic,
    /// Items are identified by their value.
    Set,
    /// Items are identified by these fields.
    Keys(Vec<String>),
}

/// How a strategic merge patch changes a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strategy {
    /// Whether the list is merged instead of replaced.
    pub(crate) merge: bool,
    /// Whether fields that are not in the patch are removed (`$retainKeys`).
    pub(crate) retain_keys: bool,
    /// The field that identifies an item; empty for lists of scalars.
    pub(crate) key: String,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) ty: Ty,
    /// Whether the field is written even if it is empty.
    pub(crate) always: bool,
    /// Whether an empty value is kept.
    pub(crate) pointer: bool,
    pub(crate) required: bool,
    pub(crate) strategy: Strategy,
    pub(crate) default: Option<Value>,
    /// Field number in protobuf; two numbers for a field of a message that JSON inlines.
    pub(crate) numbers: Vec<u32>,
}

/// A type with fixed fields.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<String, Field>,
    /// Whether the value is replaced as a whole and has one owner.
    pub(crate) atomic: bool,
    /// Whether unknown fields are kept.
    pub(crate) open: bool,
    /// Whether the type is from a custom resource definition; then empty values are kept.
    pub(crate) custom: bool,
}

/// A reference to a struct of the tables (which may be recursive) or of a definition.
#[derive(Clone, Debug)]
pub(crate) enum StructRef {
    Builtin(usize),
    Custom(Arc<Struct>),
}

impl Deref for StructRef {
    type Target = Struct;

    fn deref(&self) -> &Struct {
        match self {
            Self::Builtin(index) => &builtins().structs[*index],
            Self::Custom(custom) => custom,
        }
    }
}

impl Ty {
    /// Returns the type of a field, if the type has it.
    pub(crate) fn field(&self, name: &str) -> Option<&Ty> {
        match self {
            Self::Struct(found) => found.fields.get(name).map(|field| &field.ty),
            Self::Map(map) => Some(&map.value),
            _ => None,
        }
    }

    /// Returns whether a value of this type has one owner in server-side apply.
    pub(crate) fn is_atomic(&self) -> bool {
        match self {
            Self::Struct(found) => found.atomic,
            Self::Map(map) => map.atomic,
            Self::List(list) => list.merge == Merge::Atomic,
            Self::Any { atomic } => *atomic,
            _ => true,
        }
    }
}
