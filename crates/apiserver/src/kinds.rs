//! The served kinds: built-in kinds, and kinds of custom resource definitions.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::schema::{Ty, builtin, crd};

pub(crate) mod approval;
mod builtins;
mod event;

/// A kind in one version.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// Whether the kind has the subresource `status`.
    pub(crate) status: bool,
    pub(crate) scale: Option<Scale>,
    pub(crate) ty: Ty,
    /// Whether objects are only sent to the server and never stored.
    pub(crate) is_review: bool,
    /// Parts of the definition, for custom resources.
    pub(crate) custom: Option<Custom>,
}

/// Paths of the replicas and the selector of a kind with the subresource `scale`.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    pub(crate) spec: String,
    pub(crate) status: String,
    pub(crate) selector: Option<String>,
}

/// The parts of a definition that are not contained in [`Ty`].
#[derive(Debug)]
pub(crate) struct Custom {
    pub(crate) schema: Value,
    pub(crate) columns: Vec<Value>,
    /// Warning for clients that use a deprecated version.
    pub(crate) deprecation: Option<String>,
}

impl Kind {
    /// Returns the resource name: `pods`, `deployments.apps`.
    pub(crate) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// Returns the name of the collection in the store. Events of both groups are in one collection.
    pub(crate) fn collection(&self) -> String {
        if self.is_new_event() { self.plural.clone() } else { self.resource() }
    }

    /// Returns whether this is the kind of events in the group `events.k8s.io`.
    pub(crate) fn is_new_event(&self) -> bool {
        self.group == event::GROUP && self.kind == "Event"
    }

    /// Returns whether this kind has a separate collection in the store.
    pub(crate) fn is_stored(&self) -> bool {
        !self.is_review && !self.is_new_event()
    }

    /// Returns the form of an object of this kind in the store.
    pub(crate) fn to_stored(&self, mut object: Value) -> Value {
        if self.is_new_event() {
            event::to_core(&mut object);
            object["apiVersion"] = event::STORED_VERSION.into();
        }
        object
    }

    /// Returns the path in a stored object of a field in a field selector, or `None` if the kind does not have it.
    pub(crate) fn stored_path(&self, path: &str) -> Option<String> {
        if self.is_new_event() { event::core_path(path) } else { Some(path.to_owned()) }
    }

    /// Returns the API version: `v1`, `apps/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Returns an object in the version of this kind.
    pub(crate) fn in_version(&self, object: &Value) -> Value {
        let mut object = object.clone();
        let version = self.api_version();
        if object["apiVersion"] != version.as_str() {
            if self.is_new_event() {
                event::from_core(&mut object);
            }
            object["apiVersion"] = version.into();
        }
        object
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    fn from_row(row: &builtins::Row) -> Self {
        let (group, version) = row.api_version.split_once('/').unwrap_or(("", row.api_version));
        let split = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: row.kind.to_owned(),
            plural: row.plural.to_owned(),
            singular: row.kind.to_lowercase(),
            short: split(row.short),
            categories: split(row.categories),
            namespaced: row.namespaced,
            status: row.status,
            scale: row.scale.then(|| Scale {
                spec: ".spec.replicas".to_owned(),
                status: ".status.replicas".to_owned(),
                selector: None,
            }),
            ty: builtin(&format!("{}.{}", row.package, row.kind)),
            is_review: row.is_review,
            custom: None,
        }
    }

    /// Returns the kinds of a definition, one for each served version.
    fn from_definition(definition: &Value) -> Vec<Self> {
        let spec = &definition["spec"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
        let names = if definition["status"]["acceptedNames"]["plural"].is_string() {
            &definition["status"]["acceptedNames"]
        } else {
            &spec["names"]
        };
        let served = spec["versions"].as_array().into_iter().flatten().filter(|v| v["served"] == true);
        served
            .map(|version| {
                let kind = text(&names["kind"]);
                let schema = version["schema"]["openAPIV3Schema"].clone();
                let scale = &version["subresources"]["scale"];
                Self {
                    group: text(&spec["group"]),
                    version: text(&version["name"]),
                    plural: text(&names["plural"]),
                    singular: text(&names["singular"]),
                    short: texts(&names["shortNames"]),
                    categories: texts(&names["categories"]),
                    namespaced: spec["scope"] == "Namespaced",
                    status: version["subresources"]["status"].is_object(),
                    scale: scale.is_object().then(|| Scale {
                        spec: text(&scale["specReplicasPath"]),
                        status: text(&scale["statusReplicasPath"]),
                        selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
                    }),
                    ty: crd::root(&kind, &schema),
                    is_review: false,
                    custom: Some(Custom {
                        deprecation: deprecation(spec, version, &kind),
                        schema,
                        columns: version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default(),
                    }),
                    kind,
                }
            })
            .collect()
    }
}

/// Returns the warning of a deprecated version of a definition.
fn deprecation(spec: &Value, version: &Value, kind: &str) -> Option<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let default = || format!("{}/{} {kind} is deprecated", text(&spec["group"]), text(&version["name"]));
    (version["deprecated"] == true)
        .then(|| version["deprecationWarning"].as_str().map_or_else(default, str::to_owned))
}

/// Kinds by group, version and plural.
#[derive(Clone, Debug, Default)]
pub(crate) struct KindSet {
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
}

impl KindSet {
    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        self.kinds.get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// Returns a kind by `plural` or `plural.group` in its preferred version.
    pub(crate) fn by_resource(&self, resource: &str) -> Option<&Arc<Kind>> {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        let mut found: Vec<_> =
            self.kinds.values().filter(|k| k.plural == plural && k.group == group).collect();
        found.sort_by_key(|kind| priority(&kind.version));
        found.last().copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Kind>> {
        self.kinds.values()
    }

    fn insert(&mut self, kind: Kind) {
        self.kinds.insert((kind.group.clone(), kind.version.clone(), kind.plural.clone()), Arc::new(kind));
    }
}

/// Returns whether a built-in kind has this group and plural.
pub(crate) fn is_builtin_plural(group: &str, plural: &str) -> bool {
    builtins::ROWS.iter().any(|row| row.group() == group && row.plural == plural)
}

/// Returns whether a built-in kind has this group and name.
pub(crate) fn is_builtin_kind(group: &str, kind: &str) -> bool {
    builtins::ROWS.iter().any(|row| row.group() == group && row.kind == kind)
}

/// The currently served kinds. Definitions add and remove kinds.
#[derive(Debug)]
pub(crate) struct KindRegistry {
    current: RwLock<Arc<KindSet>>,
}

impl KindRegistry {
    pub(crate) fn new() -> Self {
        let mut set = KindSet::default();
        builtins::ROWS.iter().for_each(|row| set.insert(Kind::from_row(row)));
        Self { current: RwLock::new(Arc::new(set)) }
    }

    pub(crate) fn current(&self) -> Arc<KindSet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds the kinds of a definition and removes those of its previous state. A definition with the name of a built-in
    /// kind (in a snapshot of an earlier version, which accepted it) has no effect.
    pub(crate) fn add_definition(&self, definition: &Value) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut set = (**current).clone();
        remove_kinds(&mut set, definition);
        Kind::from_definition(definition)
            .into_iter()
            .filter(|kind| !is_builtin_plural(&kind.group, &kind.plural))
            .for_each(|kind| set.insert(kind));
        *current = Arc::new(set);
    }

    /// Removes the kinds of a definition.
    pub(crate) fn remove_definition(&self, definition: &Value) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut set = (**current).clone();
        remove_kinds(&mut set, definition);
        *current = Arc::new(set);
    }
}

fn remove_kinds(set: &mut KindSet, definition: &Value) {
    let (group, plural) = (&definition["spec"]["group"], &definition["spec"]["names"]["plural"]);
    set.kinds.retain(|_, kind| !(kind.is_custom() && *group == *kind.group && *plural == *kind.plural));
}

/// Returns the sort key of a version, as in Kubernetes: `v2` > `v1` > `v1beta2` > `v1alpha1` > anything else.
pub(crate) fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let parse = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..end].parse().ok()?;
        let (stage, minor) = match &rest[end..] {
            "" => (3, ""),
            tail => match (tail.strip_prefix("beta"), tail.strip_prefix("alpha")) {
                (Some(minor), _) => (2, minor),
                (_, Some(minor)) => (1, minor),
                _ => return None,
            },
        };
        Some((stage, major, if minor.is_empty() { 0 } else { minor.parse().ok()? }))
    };
    let (stage, major, minor) = parse().unwrap_or_default();
    (stage, major, minor, std::cmp::Reverse(version.to_owned()))
}
