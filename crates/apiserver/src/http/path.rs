//! URL paths.

use std::sync::Arc;

use super::query::decode;
use crate::error::{ApiError, Result};
use crate::kinds::{Kind, KindSet};

/// What a path refers to.
pub(super) enum Route {
    /// Discovery, health, version or OpenAPI.
    Document,
    /// A collection, an object or a subresource.
    Resource(ResourcePath),
}

/// The collection, object or subresource that a path refers to.
pub(super) struct ResourcePath {
    pub(super) kind: Arc<Kind>,
    /// Empty for all namespaces and for cluster-scoped kinds.
    pub(super) namespace: String,
    /// Empty for the collection.
    pub(super) name: String,
    pub(super) subresource: String,
    /// The path after the subresource `proxy`.
    pub(super) rest: String,
    /// Whether the path has the deprecated `/watch/` prefix.
    pub(super) watch: bool,
}

impl ResourcePath {
    /// Returns the namespace of a collection, or `None` for all namespaces.
    pub(super) fn selected_namespace(&self) -> Option<&str> {
        Some(self.namespace.as_str()).filter(|namespace| !namespace.is_empty())
    }

    /// Returns whether the subresource is an action of a pod or service account rather than a part of the object.
    pub(super) fn is_action(&self) -> bool {
        matches!(
            self.subresource.as_str(),
            "log" | "portforward" | "proxy" | "exec" | "attach" | "eviction" | "token" | "binding"
        )
    }
}

/// Parses a path.
///
/// # Errors
/// 404 for a resource or subresource that is not served, 400 for an invalid escape.
pub(super) fn parse(kinds: &KindSet, path: &str) -> Result<Route> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() && rest != [""] => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() && rest != [""] => (*group, *version, rest),
        _ => return Ok(Route::Document),
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let find = |plural: &str| kinds.get(group, version, plural).cloned();
    let (namespace, plural, rest) = match rest {
        // Subresources of a namespace have the form of resources in it.
        ["namespaces", name, sub @ ("status" | "finalize")] => {
            let kind = find("namespaces").ok_or_else(ApiError::no_such_path)?;
            let name = decode(name)?;
            return Ok(Route::Resource(ResourcePath {
                kind,
                namespace: String::new(),
                name,
                subresource: (*sub).to_owned(),
                rest: String::new(),
                watch,
            }));
        }
        ["namespaces", namespace, plural, rest @ ..] => (decode(namespace)?, *plural, rest),
        [plural, rest @ ..] => (String::new(), *plural, rest),
        [] => return Err(ApiError::no_such_path()),
    };
    let kind = find(plural).ok_or_else(ApiError::no_such_path)?;
    if !namespace.is_empty() && !kind.namespaced {
        return Err(ApiError::no_such_path());
    }
    let (name, subresource, rest) = match rest {
        [] | [""] => (String::new(), String::new(), String::new()),
        [name] => (decode(name)?, String::new(), String::new()),
        [name, sub, rest @ ..] => (decode(name)?, (*sub).to_owned(), rest.join("/")),
    };
    let known = match subresource.as_str() {
        "" => true,
        "status" => kind.status,
        "scale" => kind.scale.is_some(),
        "finalize" => kind.kind == "Namespace" && !kind.is_custom(),
        "proxy" if kind.kind == "Service" => !kind.is_custom(),
        "log" | "portforward" | "proxy" | "exec" | "attach" | "eviction" | "binding" => {
            kind.kind == "Pod" && !kind.is_custom()
        }
        "token" => kind.kind == "ServiceAccount" && !kind.is_custom(),
        _ => false,
    };
    if !known || (kind.namespaced && namespace.is_empty() && !name.is_empty()) {
        return Err(ApiError::no_such_path());
    }
    Ok(Route::Resource(ResourcePath { kind, namespace, name, subresource, rest, watch }))
}
