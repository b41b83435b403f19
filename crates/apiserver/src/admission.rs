//! Admission hooks: they change or reject a write before it is stored.

use serde_json::Value;

use meshy_net::BoxFuture;

use crate::error::Result;

/// The operation of an admission request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// An update, patch or apply of an existing object.
    Update,
    /// A deletion.
    Delete,
}

/// A write that is passed to the admission hooks.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    /// The operation.
    pub operation: Operation,
    /// Resource: `pods`, `deployments.apps`.
    pub resource: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name of the object; empty if the server generates it.
    pub name: String,
    /// Subresource: `status`, `scale`, or empty for the object.
    pub subresource: String,
    /// The stored object; `None` for a new object.
    pub old: Option<Value>,
    /// Whether the write is not stored.
    pub dry_run: bool,
}

/// An admission hook. The default implementations accept every write unchanged.
pub trait Admission: Send + Sync + 'static {
    /// Changes the object before it is validated. Not called for deletions.
    ///
    /// # Errors
    /// An error rejects the write and is returned to the client.
    fn mutate<'a>(
        &'a self,
        request: &'a AdmissionRequest,
        object: &'a mut Value,
    ) -> BoxFuture<'a, Result<()>> {
        let _ = (request, object);
        Box::pin(async { Ok(()) })
    }

    /// Checks the object that is to be stored, or for a deletion the stored object.
    ///
    /// # Errors
    /// An error rejects the write and is returned to the client.
    fn validate<'a>(&'a self, request: &'a AdmissionRequest, object: &'a Value) -> BoxFuture<'a, Result<()>> {
        let _ = (request, object);
        Box::pin(async { Ok(()) })
    }
}
