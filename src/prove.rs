//! `meshy policy migrate --prove`: the same requests under a ServiceProfile and under its translation, each on a separate
//! embedded cluster, and what is different in the outcomes.
//!
//! ```text
//! probes   profile → requests: a path of each route, and one that no route matches
//! ground   a cluster with the service; the requests are sent through its meshed ingress
//! compare  outcomes under both → differences, and which of the named ones they show
//! ```

pub(crate) mod compare;
mod ground;
pub(crate) mod probes;

use anyhow::Context as _;
use meshy_base::Report;
use meshy_linkerd::migrate::{Migration, Options, migrate};
use meshy_linkerd::policy::Annotations;
use meshy_linkerd::profile::ServiceProfile;
use serde_json::Value;
use tokio::time::Instant;

use compare::Proof;

/// The port of the service on the clusters.
const PORT: u16 = 9090;

/// Sends the same requests under a profile and under its translation, and compares the outcomes. `annotations` are those of the
/// Service, and apply in both cases.
///
/// # Errors
/// Returns an error if a cluster does not start, the profile names no service, or a request cannot be sent.
pub(crate) async fn prove(
    report: &Report,
    deadline: Instant,
    profile: &ServiceProfile,
    annotations: &Annotations,
    limit: u16,
) -> anyhow::Result<Proof> {
    let profile = on_port(profile, PORT);
    let options = Options { port: PORT, limit, annotations };
    let migration =
        migrate(&profile, &options).context("the ServiceProfile names no service of a cluster")?;
    let plan = probes::plan(&profile, limit);
    let of =
        |objects: Vec<Value>| ground::outcomes((report, deadline), &profile, annotations, objects, &plan);
    let before = of(vec![profile.to_value()]).await.context("under the ServiceProfile")?;
    let after = of(migration.routes.clone()).await.context("under the routes")?;
    let Migration { differences, .. } = migration;
    Ok(Proof::of(differences, before, after))
}

/// Returns the profile with all backends on one port, which the services of the clusters have.
fn on_port(profile: &ServiceProfile, port: u16) -> ServiceProfile {
    let mut profile = profile.clone();
    for backend in &mut profile.spec.dst_overrides {
        if let Some((host, _)) = backend.authority.split_once(':').filter(|(host, _)| host.contains(".svc")) {
            backend.authority = format!("{host}:{port}");
        }
    }
    profile
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use meshy_base::report::Memory;

    use super::*;

    async fn proof(fixture: &str) -> Proof {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/linkerd/tests/migrate");
        let text =
            std::fs::read_to_string(folder.join(format!("{fixture}.yaml"))).expect("the fixture is there");
        let objects: Vec<Value> = serde_yaml::from_multiple(&text).expect("the fixture is YAML");
        let profile = ServiceProfile::from_value(&objects[0]).expect("the fixture is a profile");
        let annotations = objects.get(1).map(|service| service["metadata"]["annotations"].clone());
        let annotations: Annotations =
            annotations.map(serde_json::from_value).transpose().expect("annotations").unwrap_or_default();
        let deadline = Instant::now() + Duration::from_secs(240);
        prove(&Memory::default().report(), deadline, &profile, &annotations, 3).await.expect("a proof")
    }

    /// Each of eight named differences is shown by the outcomes of its fixture. One after the other: a proof needs two clusters.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_outcomes_show_each_of_eight_named_differences() {
        for fixture in [
            "unmatched-requests",
            "budget-becomes-limit",
            "retry-backoff",
            "response-classes",
            "timeout-response",
            "route-order",
            "backend-lost",
            "annotations-apply",
        ] {
            let proof = proof(fixture).await;
            let named = proof.differences.iter().find(|one| one.difference.kind.to_string() == fixture);
            let shown = named.and_then(|one| one.by.as_ref());
            assert!(shown.is_some(), "{fixture} is not shown:\n{proof}\n{:#?}", proof.rows);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn profiles_that_routes_express_exactly_have_equal_outcomes() {
        for fixture in ["none-plain-route", "none-traffic-split", "none-rejected-budget"] {
            let proof = proof(fixture).await;
            assert!(proof.differences.is_empty() && proof.is_equal(), "{fixture}:\n{proof}");
        }
    }
}
