//! The service that a policy is for, as `sp`, `retry` and `split` get it.

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Service as CoreService;
use kube::ResourceExt as _;
use kube::api::Api;

use crate::context::Context;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{Options, Outcome, PolicyChange};

/// The service that is meant.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The service [default: bounced-service]
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

impl Target {
    /// Name and namespace, with the name to take where none was given.
    pub(super) fn or(self, lesson: &str) -> Service {
        Service { name: self.service.unwrap_or_else(|| lesson.to_owned()), namespace: self.namespace }
    }
}

/// Reads a Service.
pub(super) async fn read(client: &kube::Client, wanted: &Service) -> anyhow::Result<CoreService> {
    let Service { name, namespace } = wanted;
    let services: Api<CoreService> = Api::namespaced(client.clone(), namespace);
    let there = services.get_opt(name).await.context("cannot read the service")?;
    there
        .ok_or_else(|| anyhow!("there is no service `{name}` in namespace `{namespace}`"))
        .hint("`meshy deploy` deploys the test services; `-n NAMESPACE` selects another namespace")
        .exit(Exit::Usage)
}

/// A service's first port.
pub(super) fn port(service: &CoreService) -> anyhow::Result<u16> {
    let ports = service.spec.as_ref().and_then(|s| s.ports.as_ref());
    let first = ports.and_then(|p| p.first()).map(|p| p.port).and_then(|p| u16::try_from(p).ok());
    first.with_context(|| format!("service `{}` has no port", service.name_any()))
}

/// Deletes the HTTPRoute that a short form creates; one that another tool created is kept, with a warning. Returns whether
/// it was deleted.
///
/// # Errors
/// The API server does not respond or refuses.
pub(super) async fn delete_route(
    context: &Context,
    kinds: &Kinds,
    (name, namespace): (&str, &str),
) -> anyhow::Result<bool> {
    let change = PolicyChange::no_route(name, namespace);
    if change.is_of_another_tool(kinds).await? {
        let delete = format!("`meshy policy delete httproute/{name} -n {namespace}` deletes it");
        context.report.warn(format!("kept the {}, which meshy did not create; {delete}", change.describe()));
        return Ok(false);
    }
    let options = Options { force: false, dry_run: false, deadline: context.deadline };
    Ok(change.apply(kinds, &options).await?.outcome == Outcome::Deleted)
}
