//! The place where others look at a write, and may change it, before it is stored.

use serde_json::Value;

use meshy_net::BoxFuture;

use crate::error::Result;

/// What kind of write is being looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object, by update, patch or apply.
    Update,
    /// An object about to go.
    Delete,
}

/// What an admission hook is told about a write.
#[derive(Clone, Debug)]
pub struct Review {
    /// Create, update or delete.
    pub operation: Operation,
    /// `pods`, `deployments.apps`.
    pub resource: String,
    /// The namespace, empty for kinds without one.
    pub namespace: String,
    /// The name; empty when it is still to be generated.
    pub name: String,
    /// `status`, `scale`, or empty for the object itself.
    pub subresource: String,
    /// The object as it is now.
    pub old: Option<Value>,
    /// Nothing will be stored.
    pub dry_run: bool,
}

/// A hook in the path of writes. Both halves do nothing unless written.
pub trait Admission: Send + Sync + 'static {
    /// Changes the object before it is validated. Not asked for deletions.
    ///
    /// # Errors
    /// Refuses the write with that answer.
    fn mutate<'a>(&'a self, review: &'a Review, object: &'a mut Value) -> BoxFuture<'a, Result<()>> {
        let _ = (review, object);
        Box::pin(async { Ok(()) })
    }

    /// Looks at the object as it would be stored (for a deletion: as it is).
    ///
    /// # Errors
    /// Refuses the write with that answer.
    fn validate<'a>(&'a self, review: &'a Review, object: &'a Value) -> BoxFuture<'a, Result<()>> {
        let _ = (review, object);
        Box::pin(async { Ok(()) })
    }
}
