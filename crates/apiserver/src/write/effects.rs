//! Effects of writes on the server: served kinds, cluster IPs and node ports.

use std::sync::Arc;

use serde_json::Value;

use super::Writer;
use crate::defaults;
use crate::error::Result;
use crate::kinds::{Kind, is_builtin_plural};
use crate::store::Object;
use crate::system;

impl Writer<'_> {
    /// Sets the fields that the server allocates: address and node ports of a Service, accepted names of a definition.
    pub(super) fn allocate(
        &self,
        kind: &Kind,
        old: Option<&Value>,
        value: &mut Value,
        dry_run: bool,
    ) -> Result<()> {
        match kind.kind.as_str() {
            _ if kind.is_custom() => {}
            "Service" => self.addresses.allocate(old, value, dry_run)?,
            "CustomResourceDefinition" => defaults::definition::set_accepted(value),
            _ => {}
        }
        Ok(())
    }

    /// Undoes [`Writer::allocate`] for an object that was not stored.
    pub(super) fn undo_allocate(&self, kind: &Kind, old: Option<&Value>, value: &Value, dry_run: bool) {
        if kind.kind == "Service" && !kind.is_custom() && !dry_run {
            match old {
                Some(old) => self.addresses.undo(old, value),
                None => self.addresses.release(value),
            }
        }
    }

    /// Applies the effects of a stored object: a definition registers its kinds, a namespace gets the certificate of the
    /// authority.
    pub(super) fn after_store(&self, kind: &Kind, object: &Arc<Object>) {
        match (kind.kind.as_str(), &self.root_certificate) {
            _ if kind.is_custom() => {}
            ("CustomResourceDefinition", _) => self.kinds.add_definition(object),
            ("Namespace", Some(certificate)) => system::publish_certificate(self.store, certificate, object),
            _ => {}
        }
    }

    /// Applies the effects of a removed object: a definition removes its kinds and their objects, a Service releases its
    /// address and node ports.
    pub(super) fn after_remove(&self, kind: &Kind, object: &Arc<Object>) {
        match kind.kind.as_str() {
            _ if kind.is_custom() => {}
            "CustomResourceDefinition" => {
                self.remove_instances(object);
                self.kinds.remove_definition(object);
            }
            "Service" => self.addresses.release(object),
            _ => {}
        }
    }

    /// Removes all objects of a definition's kind.
    fn remove_instances(&self, definition: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &definition["spec"];
        let (plural, group) = (text(&spec["names"]["plural"]), text(&spec["group"]));
        if is_builtin_plural(&group, &plural) {
            return;
        }
        let resource = format!("{plural}.{group}");
        let collection = self.store.collection(&resource);
        for object in collection.list(None).0 {
            // A concurrent write may leave an object behind; it cannot be read, because its kind is not served any more.
            let _ = collection.remove(&object.key(), object.revision(), None);
        }
    }
}
