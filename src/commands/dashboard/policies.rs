//! The policies that the page switches: those of `meshy sp` and `meshy retry`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use meshy_metrics::routes::Service;
use meshy_page::control::Policy;
use meshy_policy::policy::objects::Retries;
use meshy_policy::policy::{self, PolicyChange};
use meshy_predict::edge::Policy as InForce;

use crate::original_demo;

/// The name of the ServiceProfile of the original demo in the list.
const PROFILE: &str = "profile";

/// Attempts by annotations, as `meshy retry apply` has them without flags.
const LIMIT: u16 = 3;

/// Returns the policies of a namespace, with what is in force now; `flags` name the lab in commands.
pub(super) async fn list(
    client: &kube::Client,
    (namespace, flags): (&str, &str),
    names: &[String],
) -> Vec<Policy> {
    let mut found = Vec::new();
    for name in names {
        let service = Service { namespace: namespace.to_owned(), name: name.clone() };
        // A policy that cannot be read is shown as off; applying it reports why.
        let now = policy::of(client, &service).await.unwrap_or(InForce::None);
        if name == original_demo::CALLED && namespace == "default" {
            found.push(Policy {
                name: PROFILE.to_owned(),
                title: format!("{name}: ServiceProfile with a retry budget"),
                on: matches!(now, InForce::Budget { .. }),
                apply: format!("meshy sp apply{flags}"),
                remove: format!("meshy sp delete{flags}"),
            });
        }
        found.push(Policy {
            name: format!("retries {name}"),
            title: format!("{name}: at most {LIMIT} retries by annotations"),
            on: matches!(now, InForce::Limit { .. }),
            apply: format!("meshy retry apply {name} -n {namespace}{flags}"),
            remove: format!("meshy retry delete {name} -n {namespace}{flags}"),
        });
    }
    found
}

/// Returns the change that switches a policy of the list.
///
/// # Errors
/// There is no such policy.
pub(super) fn change(name: &str, namespace: &str, on: bool) -> anyhow::Result<PolicyChange> {
    if name == PROFILE {
        let service = Service { namespace: namespace.to_owned(), name: original_demo::CALLED.to_owned() };
        return Ok(match on {
            true => PolicyChange::profile(policy::shipped()?),
            false => PolicyChange::no_profile(&policy::profile_name(&service), namespace),
        });
    }
    let service = name.strip_prefix("retries ").with_context(|| format!("unknown policy `{name}`"))?;
    let service = Service { namespace: namespace.to_owned(), name: service.to_owned() };
    let retries = Retries { on: "5xx".to_owned(), limit: LIMIT, timeout: None };
    let annotations = if on { retries.annotations()? } else { BTreeMap::new() };
    Ok(PolicyChange::retries(&service, &annotations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_is_switched_by_its_name() {
        for on in [true, false] {
            assert!(change(PROFILE, "default", on).unwrap().describe().contains("bounced-service"));
            assert!(change("retries cart", "shop", on).unwrap().describe().contains("cart"));
        }
        assert!(change("x", "default", true).is_err());
    }
}
