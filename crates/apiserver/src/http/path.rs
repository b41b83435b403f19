//! What a path is about.

use std::sync::Arc;

use super::query::decode;
use crate::error::{ApiError, Result};
use crate::kinds::{Kind, Set};

/// A path's meaning.
pub(super) enum Place {
    /// Discovery, health, OpenAPI.
    Plain,
    /// Objects.
    Target(Target),
}

/// The objects a path names.
pub(crate) struct Target {
    pub(crate) kind: Arc<Kind>,
    /// Empty: all namespaces, or a kind without.
    pub(crate) namespace: String,
    /// Empty: the collection.
    pub(crate) name: String,
    pub(crate) subresource: String,
    /// What follows the subresource (of a proxied path).
    pub(crate) rest: String,
    /// The deprecated `/watch/` prefix.
    pub(crate) watch: bool,
}

pub(super) fn parse(kinds: &Set, path: &str) -> Result<Place> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() && rest != [""] => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() && rest != [""] => (*group, *version, rest),
        _ => return Ok(Place::Plain),
    };
    let (watch, rest) = match rest {
        ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
        rest => (false, rest),
    };
    let find = |plural: &str| kinds.get(group, version, plural).cloned();
    let (namespace, plural, rest) = match rest {
        // A namespace's own subresources look like resources in it.
        ["namespaces", name, sub @ ("status" | "finalize")] => {
            let kind = find("namespaces").ok_or_else(ApiError::no_such_path)?;
            let name = decode(name)?;
            return Ok(Place::Target(Target {
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
        "log" | "portforward" | "proxy" | "exec" | "attach" | "eviction" | "binding" => {
            kind.kind == "Pod" && !kind.is_custom()
        }
        "token" => kind.kind == "ServiceAccount" && !kind.is_custom(),
        _ => false,
    };
    if !known || (kind.namespaced && namespace.is_empty() && !name.is_empty()) {
        return Err(ApiError::no_such_path());
    }
    Ok(Place::Target(Target { kind, namespace, name, subresource, rest, watch }))
}
