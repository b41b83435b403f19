//! Options of requests.

use crate::error::{ApiError, Result};

/// Handling of unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped, with a warning.
    #[default]
    Warn,
    /// The write is rejected.
    Strict,
}

/// Options of a write.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Whether the write is validated but not stored.
    pub dry_run: bool,
    /// Field manager of the write; `None` leaves `managedFields` unchanged.
    pub manager: Option<String>,
    /// Whether apply takes over fields of other managers instead of failing with a conflict.
    pub force: bool,
    /// Handling of unknown and duplicate fields.
    pub validation: FieldValidation,
    /// Messages about duplicate and unknown fields that were found in the request body; handled like unknown fields.
    pub strict_errors: Vec<String>,
}

impl WriteOptions {
    /// Returns the options of a write by this field manager.
    pub fn with_manager(manager: &str) -> Self {
        Self { manager: Some(manager.to_owned()), ..Self::default() }
    }
}

/// What happens to the dependents of a deleted object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They are kept.
    Orphan,
    /// They are deleted after the object.
    Background,
    /// They are deleted before the object.
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

/// Options of a deletion.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// Whether the deletion is validated but not done.
    pub dry_run: bool,
    /// Grace period of a pod in seconds; `Some(0)` removes it immediately, `None` uses the value in its spec.
    pub grace_seconds: Option<i64>,
    /// What happens to the dependents; `None` deletes them in the background.
    pub propagation: Option<Propagation>,
    /// Precondition: uid of the object.
    pub uid: Option<String>,
    /// Precondition: resource version of the object.
    pub resource_version: Option<String>,
}

/// Selectors of a list.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// Label selector, for example `app=web,tier in (a,b)`.
    pub labels: String,
    /// Field selector, for example `metadata.name=x,status.phase!=Running`.
    pub fields: String,
}
