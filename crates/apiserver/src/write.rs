//! Write requests, from the received object to the stored object.
//!
//! ```text
//!   decode ─ defaults ─ field managers ─ admission (mutate) ─ prepare ─ validate ─ admission (validate) ─ store
//! ```

use std::sync::Arc;

use serde_json::Value;

use crate::address::ServiceAllocator;
use crate::admission::{Admission, AdmissionRequest, Operation};
use crate::error::Result;
use crate::kinds::{Kind, KindRegistry};
use crate::options::{FieldValidation, WriteOptions};
use crate::store::{Object, Store};

mod apply;
mod create;
mod decode;
mod delete;
mod effects;
mod patch;
mod prepare;
mod scale;
mod update;

use decode::decode;
pub use delete::DeleteResult;
pub use patch::Patch;
pub(crate) use scale::to_scale;

/// Writes objects to a store.
pub(crate) struct Writer<'a> {
    pub(crate) store: &'a Store,
    /// Receives the kinds of stored definitions.
    pub(crate) kinds: &'a KindRegistry,
    pub(crate) addresses: &'a ServiceAllocator,
    pub(crate) admission: &'a [Arc<dyn Admission>],
    /// The certificate of the authority as PEM, which new namespaces contain.
    pub(crate) root_certificate: Option<Arc<str>>,
}

/// The result of a write.
#[derive(Clone, Debug)]
pub struct WriteResult {
    /// The stored object; for a dry run the object that would be stored.
    pub object: Arc<Object>,
    /// Whether the write created the object.
    pub created: bool,
    /// Warnings for the client, sent as `Warning` headers.
    pub warnings: Vec<String>,
}

/// Maximum attempts of a write that conflicts with concurrent writes. Each conflict means that another write succeeded.
const ATTEMPTS: usize = 16;

impl Writer<'_> {
    /// Runs the mutating admission hooks and decodes the object again if they changed it.
    async fn mutate(&self, kind: &Kind, request: &AdmissionRequest, object: &mut Value) -> Result<()> {
        if self.admission.is_empty() {
            return Ok(());
        }
        let before = object.clone();
        for hook in self.admission {
            hook.mutate(request, object).await?;
        }
        if *object != before {
            let options = WriteOptions { validation: FieldValidation::Ignore, ..WriteOptions::default() };
            *object = decode(kind, object.take(), &options, &mut Vec::new())
                .map_err(|error| error.bad_request(kind))?;
        }
        Ok(())
    }

    /// Runs the validating admission hooks.
    async fn admit(&self, request: &AdmissionRequest, object: &Value) -> Result<()> {
        for hook in self.admission {
            hook.validate(request, object).await?;
        }
        Ok(())
    }
}

fn admission_request(
    kind: &Kind,
    operation: Operation,
    object: &Value,
    options: &WriteOptions,
) -> AdmissionRequest {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    AdmissionRequest {
        operation,
        resource: kind.resource(),
        namespace: text("namespace"),
        name: text("name"),
        subresource: String::new(),
        old: None,
        dry_run: options.dry_run,
    }
}
