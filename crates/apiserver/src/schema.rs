//! What fields the kinds have, and how their lists merge.
//!
//! Built-in types come from the tables in `schema/types/`: names, types and merge rules of the Kubernetes API, one
//! type a block, one field a line. The types of custom resources are made from their definitions.
//!
//! ```text
//!   core.v1.Container
//!     name! string required #1        ! written even when empty; # the number in protobuf
//!     restartPolicy? string #24       ? a pointer: an empty value is a value
//!     ports [core.v1.ContainerPort] map(containerPort,protocol) patch(merge:containerPort) #6
//! ```

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde_json::Value;

pub(crate) mod crd;
pub(crate) mod decode;
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
    /// Anything, kept as it is, owned as a whole when `atomic`.
    Any {
        atomic: bool,
    },
    List(Arc<List>),
    Map(Arc<Map>),
    Struct(StructRef),
}

/// A list's items and how it merges.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) item: Ty,
    pub(crate) merge: Merge,
}

/// A map from any key to one type.
#[derive(Debug)]
pub(crate) struct Map {
    pub(crate) value: Ty,
    pub(crate) atomic: bool,
}

/// How server-side apply sees a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Merge {
    /// One value, replaced as a whole.
    Atomic,
    /// Its items are their own names.
    Set,
    /// Its items are found by these fields.
    Keys(Vec<String>),
}

/// How a strategic merge patch sees a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strategy {
    /// Merged instead of replaced.
    pub(crate) merge: bool,
    /// Fields that the patch does not name go away (`$retainKeys`).
    pub(crate) retain_keys: bool,
    /// The field that names an item; empty for lists of plain values.
    pub(crate) key: String,
}

/// A field of a struct.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) ty: Ty,
    /// Written even when empty.
    pub(crate) always: bool,
    /// An empty value is kept.
    pub(crate) pointer: bool,
    pub(crate) required: bool,
    pub(crate) strategy: Strategy,
    pub(crate) default: Option<Value>,
    /// Its numbers in the protobuf message: two where JSON inlines what is a message of its own there.
    pub(crate) numbers: Vec<u32>,
}

/// A type with named fields.
#[derive(Debug)]
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) fields: BTreeMap<String, Field>,
    /// Owned and replaced as a whole.
    pub(crate) atomic: bool,
    /// Fields not named here are kept.
    pub(crate) open: bool,
    /// Made from a custom resource definition: nothing is dropped for being empty.
    pub(crate) custom: bool,
}

/// A struct of the tables (which may name itself) or of a definition.
#[derive(Clone, Debug)]
pub(crate) enum StructRef {
    Builtin(usize),
    Own(Arc<Struct>),
}

impl Deref for StructRef {
    type Target = Struct;

    fn deref(&self) -> &Struct {
        match self {
            Self::Builtin(index) => &builtins().structs[*index],
            Self::Own(own) => own,
        }
    }
}

impl Ty {
    /// The type below a field name, when there is one.
    pub(crate) fn field(&self, name: &str) -> Option<&Ty> {
        match self {
            Self::Struct(found) => found.fields.get(name).map(|field| &field.ty),
            Self::Map(map) => Some(&map.value),
            _ => None,
        }
    }

    /// Whether server-side apply owns a value of this type as a whole.
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
