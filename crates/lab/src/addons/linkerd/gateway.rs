//! Gateway API's definitions, which a cluster may have from elsewhere.

use anyhow::{Context as _, anyhow};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::Api;
use kube::{Client, ResourceExt as _};

use meshy_base::error::{Advise, Exit};
use meshy_kube::{Object, is_from_meshy, manifest};

/// What is applied to a cluster without them.
pub(super) const DEFINITIONS: &[&str] = &[
    include_str!("../../../../../linkerd/gateway-api/http-route.yaml"),
    include_str!("../../../../../linkerd/gateway-api/grpc-route.yaml"),
];

/// A version of Gateway API: major, minor and patch.
pub type Version = (u32, u32, u32);

/// The versions of Gateway API that a Linkerd is tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tested<'a> {
    /// The version of Linkerd.
    pub linkerd: &'a str,
    /// The oldest and the newest version, both included.
    pub range: [Version; 2],
}

/// The versions for the Linkerd that meshy installs (linkerd.io, "Gateway API support").
pub const INSTALLED: Tested<'_> = Tested { linkerd: "2.20", range: [(1, 2, 1), (1, 5, 1)] };

const HTTP_ROUTES: &str = "httproutes.gateway.networking.k8s.io";
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// Whose definitions are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Definitions {
    /// No one installed them.
    Absent,
    /// meshy's.
    Ours,
    /// Another tool's, of this version, within the range or above it.
    Foreign(String, Fit),
}

/// How a version fits the range that Linkerd is tested with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is in the range.
    Inside,
    /// It is newer: Linkerd ignores a route with a field that its range does not define.
    Above,
}

/// Looks for the definitions.
///
/// # Errors
/// They are older than the range that this Linkerd is tested with; or the cluster cannot be read.
pub async fn find(client: &Client, tested: Tested<'_>) -> anyhow::Result<Definitions> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let there =
        definitions.get_opt(HTTP_ROUTES).await.context("cannot look for Gateway API's definitions")?;
    let Some(there) = there else { return Ok(Definitions::Absent) };
    if is_from_meshy(&there) {
        return Ok(Definitions::Ours);
    }
    let version = there.annotations().get(BUNDLE_VERSION).map_or("without a version", String::as_str);
    let fit = tested.fit(version)?;
    Ok(Definitions::Foreign(version.to_owned(), fit))
}

impl Tested<'_> {
    /// Returns how a version fits the range.
    ///
    /// # Errors
    /// It is older, or not a version.
    fn fit(&self, version: &str) -> anyhow::Result<Fit> {
        let numbers: Vec<u32> =
            version.trim_start_matches('v').split(['.', '-']).filter_map(|n| n.parse().ok()).collect();
        let [low, high] = self.range;
        match numbers[..] {
            [major, minor, patch, ..] if (low..=high).contains(&(major, minor, patch)) => Ok(Fit::Inside),
            [major, minor, patch, ..] if (major, minor, patch) > high => Ok(Fit::Above),
            _ => Err(anyhow!(
                "the cluster has Gateway API {version}, and Linkerd {} works with v{}.{}.{} to v{}.{}.{}",
                self.linkerd, low.0, low.1, low.2, high.0, high.1, high.2
            ))
            .hint("meshy does not replace definitions that others made: exchange them, or use a cluster without them")
            .id("gateway-range")
            .exit(Exit::Prerequisite),
        }
    }

    /// Returns what a user should know about definitions above the range.
    pub fn above(&self, version: &str) -> String {
        let high = self.range[1];
        format!(
            "Gateway API {version} is above the range that Linkerd {} is tested with, which ends at v{}.{}.{}; Linkerd ignores \
             a route with a field that it does not know, which `meshy lint` reports",
            self.linkerd, high.0, high.1, high.2
        )
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
    fn definitions_below_the_range_of_a_linkerd_are_refused_and_those_above_it_are_a_warning() {
        let fit = |version| INSTALLED.fit(version);
        for fine in ["v1.2.1", "v1.4.0", "1.5.1"] {
            assert_eq!(fit(fine).unwrap(), Fit::Inside, "{fine}");
        }
        for newer in ["v1.6.0", "v1.6.1", "v2.0.0"] {
            assert_eq!(fit(newer).unwrap(), Fit::Above, "{newer}");
        }
        assert!(INSTALLED.above("v1.6.1").contains("Linkerd 2.20 is tested with, which ends at v1.5.1"));
        for other in ["v1.1.1", "v0.8.0", "without a version"] {
            assert!(fit(other).unwrap_err().to_string().contains(other), "{other}");
        }
        let older = Tested { linkerd: "2.18.1", range: [(1, 1, 1), (1, 2, 1)] };
        assert_eq!(older.fit("v1.1.1").unwrap(), Fit::Inside);
        assert_eq!(older.fit("v1.4.0").unwrap(), Fit::Above);
        assert!(older.fit("v1.0.0").unwrap_err().to_string().contains("Linkerd 2.18.1 works with v1.1.1"));
    }
}
