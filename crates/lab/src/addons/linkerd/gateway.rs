//! Gateway API's definitions, which a cluster may have from elsewhere.

use anyhow::{Context as _, anyhow};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use meshy_base::error::{Advise, Exit};
use meshy_kube::{MANAGED_BY, MESHY, Object, manifest};

/// What is applied to a cluster without them.
pub(super) const DEFINITIONS: &[&str] = &[
    include_str!("../../../../../linkerd/gateway-api/http-route.yaml"),
    include_str!("../../../../../linkerd/gateway-api/grpc-route.yaml"),
];

/// The range that Linkerd 2.20 works with, both ends included.
pub const RANGE: [(u32, u32, u32); 2] = [(1, 2, 1), (1, 5, 1)];

const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// Whose definitions are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definitions {
    /// No one installed them.
    Absent,
    /// meshy's.
    Ours,
    /// Another tool's, of this version, within the range.
    Foreign(String),
}

/// Looks for the definitions.
///
/// # Errors
/// They are out of Linkerd's range; or the cluster cannot be asked.
pub async fn look(client: &Client) -> anyhow::Result<Definitions> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let there =
        definitions.get_opt(HTTP_ROUTES).await.context("cannot look for Gateway API's definitions")?;
    let Some(there) = there else { return Ok(Definitions::Absent) };
    if there.labels().get(MANAGED_BY).map(String::as_str) == Some(MESHY) {
        return Ok(Definitions::Ours);
    }
    let version = there.annotations().get(BUNDLE_VERSION).map_or("without a version", String::as_str);
    in_range(version)?;
    Ok(Definitions::Foreign(version.to_owned()))
}

/// Whether a version is one that Linkerd works with.
///
/// # Errors
/// It is not.
pub fn in_range(version: &str) -> anyhow::Result<()> {
    let numbers: Vec<u32> =
        version.trim_start_matches('v').split(['.', '-']).filter_map(|n| n.parse().ok()).collect();
    let [low, high] = RANGE;
    match numbers[..] {
        [major, minor, patch, ..] if (low..=high).contains(&(major, minor, patch)) => Ok(()),
        _ => Err(anyhow!(
            "the cluster has Gateway API {version}, and Linkerd 2.20 works with v{}.{}.{} to v{}.{}.{}",
            low.0, low.1, low.2, high.0, high.1, high.2
        ))
        .hint("meshy does not replace definitions that others made: exchange them, or use a cluster without them")
        .id("gateway-range")
        .exit(Exit::Prerequisite),
    }
}

/// Whether an object is one of the definitions.
pub(super) fn is_definition(object: &Object) -> bool {
    manifest::kind(object) == "CustomResourceDefinition"
        && object.name_any().ends_with(".gateway.networking.k8s.io")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_out_of_linkerds_range_are_refused_by_version() {
        for fine in ["v1.2.1", "v1.4.0", "1.5.1"] {
            assert!(in_range(fine).is_ok(), "{fine}");
        }
        for other in ["v1.1.1", "v1.6.0", "v0.8.0", "without a version"] {
            assert!(in_range(other).unwrap_err().to_string().contains(other), "{other}");
        }
    }
}
