//! The order of the output.

use std::cmp::Ordering;

use crate::error::Error;
use crate::id::Gvk;
use crate::kustomization::SortOptions;
use crate::resource::Resource;

/// Kinds that others need: they come first, in this order.
const FIRST: &[&str] = &[
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];

/// Kinds that can reject other objects: they come last.
const LAST: &[&str] = &["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Sorts the objects by `options`; without options by kind, as `kustomize build` does.
pub(crate) fn order(list: &mut [Resource], options: Option<&SortOptions>) -> Result<(), Error> {
    let legacy = options.and_then(|options| options.legacy_sort_options.as_ref());
    match options.map(|options| options.order.as_str()) {
        Some("fifo") if legacy.is_some() => Err(Error::invalid(
            "`sortOptions.legacySortOptions` is set but `sortOptions.order` is not `legacy`",
        )),
        Some("fifo") => Ok(()),
        None | Some("legacy") => {
            let (first, last): (Vec<&str>, Vec<&str>) = match legacy {
                Some(legacy) => (
                    legacy.order_first.iter().map(String::as_str).collect(),
                    legacy.order_last.iter().map(String::as_str).collect(),
                ),
                None => (FIRST.to_vec(), LAST.to_vec()),
            };
            by_kind(list, &first, &last);
            Ok(())
        }
        Some(other) => {
            Err(Error::invalid(format!("`sortOptions.order` is `{other}`, not `legacy` or `fifo`")))
        }
    }
}

fn by_kind(list: &mut [Resource], first: &[&str], last: &[&str]) {
    // Of a kind that is listed twice the later place counts.
    let rank =
        |kind: &str| match (last.iter().rposition(|k| *k == kind), first.iter().rposition(|k| *k == kind)) {
            (Some(place), _) => (2, place),
            (None, Some(place)) => (0, place),
            (None, None) => (1, 0),
        };
    list.sort_by_cached_key(|resource| {
        let gvk = resource.gvk();
        let or = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        let group = format!("{}_{}_{}", or(&gvk.group, "~G"), or(&gvk.version, "~V"), or(&gvk.kind, "~K"));
        let name = format!("{}|{}", or(resource.namespace(), "~X"), or(resource.name(), "~N"));
        Key { rank: rank(&gvk.kind), group, gvk, name }
    });
}

#[derive(PartialEq, Eq)]
struct Key {
    rank: (u8, usize),
    group: String,
    gvk: Gvk,
    name: String,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_group = self.group.cmp(&other.group);
        // Of two kinds called Namespace the API's own comes first.
        let both = self.gvk.kind == "Namespace" && other.gvk.kind == "Namespace";
        let one_core = self.gvk.group.is_empty() || other.gvk.group.is_empty();
        let by_group = if both && one_core { by_group.reverse() } else { by_group };
        self.rank.cmp(&other.rank).then(by_group).then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
