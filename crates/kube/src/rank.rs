//! What must be there before what: objects of one rank are applied at the same time.

use super::Object;
use super::manifest::kind;

/// The ranks, first to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Namespaces,
    /// Kinds, waited for until the API server serves them.
    Definitions,
    /// Who may do what: a pod needs its ServiceAccount, a controller its role.
    Access,
    /// What workloads read or are reached by, and objects of defined kinds.
    Configuration,
    Workloads,
    /// What the API server calls or checks against what is above.
    Hooks,
}

impl Rank {
    /// The rank of an object.
    pub(super) fn of(object: &Object) -> Self {
        match kind(object) {
            "Namespace" => Self::Namespaces,
            "CustomResourceDefinition" => Self::Definitions,
            "ServiceAccount" | "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding"
            | "PriorityClass" => Self::Access,
            "Pod" | "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" => {
                Self::Workloads
            }
            "APIService"
            | "MutatingWebhookConfiguration"
            | "ValidatingWebhookConfiguration"
            | "ValidatingAdmissionPolicyBinding" => Self::Hooks,
            _ => Self::Configuration,
        }
    }
}

/// Objects in groups, first rank first; within a group the order given.
pub(super) fn groups(objects: Vec<Object>) -> Vec<(Rank, Vec<Object>)> {
    let mut groups: Vec<(Rank, Vec<Object>)> = Vec::new();
    for object in objects {
        let rank = Rank::of(&object);
        match groups.iter_mut().find(|(r, _)| *r == rank) {
            Some((_, group)) => group.push(object),
            None => groups.push((rank, vec![object])),
        }
    }
    groups.sort_by_key(|(rank, _)| *rank);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    #[test]
    fn workloads_come_after_what_they_need() {
        let kinds =
            ["Deployment", "Service", "Role", "Namespace", "ServiceProfile", "CustomResourceDefinition"];
        let text: Vec<String> =
            kinds.iter().map(|k| format!("{{apiVersion: v1, kind: {k}, metadata: {{name: x}}}}")).collect();
        let groups = groups(manifest::parse(&text.join("\n---\n")).unwrap());
        let order: Vec<Vec<&str>> = groups.iter().map(|(_, g)| g.iter().map(kind).collect()).collect();
        assert_eq!(
            order,
            [
                vec!["Namespace"],
                vec!["CustomResourceDefinition"],
                vec!["Role"],
                vec!["Service", "ServiceProfile"],
                vec!["Deployment"]
            ]
        );
    }
}
