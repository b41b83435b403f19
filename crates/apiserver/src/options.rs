//! How requests ask for things, apart from the object itself.

use crate::error::{ApiError, Result};

/// What happens to fields that a kind does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped in silence.
    Ignore,
    /// They are dropped and named in a warning.
    #[default]
    Warn,
    /// The write is refused.
    Strict,
}

/// How a write is to be done.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Do everything but store.
    pub dry_run: bool,
    /// Who owns the fields that the write sets; `None` takes no part in the bookkeeping of owners.
    pub manager: Option<String>,
    /// Apply takes fields from their owners.
    pub force: bool,
    /// What happens to unknown fields.
    pub validation: FieldValidation,
    /// Paths of fields that the client's text names twice; treated like unknown ones.
    pub repeated: Vec<String>,
}

impl WriteOptions {
    /// A write by this field manager.
    pub fn by(manager: &str) -> Self {
        Self { manager: Some(manager.to_owned()), ..Self::default() }
    }
}

/// How dependents of a deleted object go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without their owner.
    Orphan,
    /// They go afterwards.
    Background,
    /// They go first.
    Foreground,
}

impl Propagation {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        match text {
            "Orphan" => Ok(Self::Orphan),
            "Background" => Ok(Self::Background),
            "Foreground" => Ok(Self::Foreground),
            other => Err(ApiError::bad_request(format!("unknown propagation policy {other:?}"))),
        }
    }
}

/// How a deletion is to be done.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Do everything but delete.
    pub dry_run: bool,
    /// Seconds a pod has to end; `Some(0)` takes it away at once.
    pub grace_seconds: Option<i64>,
    /// How dependents go; `None` is the kind's own way, in the background.
    pub propagation: Option<Propagation>,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only the object at this version.
    pub resource_version: Option<String>,
}

/// Which objects a list or a watch is about.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// `app=web,tier in (a,b)`.
    pub labels: String,
    /// `metadata.name=x,status.phase!=Running`.
    pub fields: String,
}
