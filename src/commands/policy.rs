//! `meshy policy`: which policy objects are in effect for a Service, and the translation of a ServiceProfile to routes.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use meshy_base::error::{Advise as _, Exit};
use meshy_kube::{Kinds, Object};
use meshy_linkerd::effective::{Objects, RateLimit, effective};
use meshy_linkerd::httproute::HttpRoute;
use meshy_linkerd::inbound::{RateLimitPolicy, Server};
use meshy_linkerd::migrate::{Migration, Options, migrate};
use meshy_linkerd::names;
use meshy_linkerd::profile::ServiceProfile;
use meshy_metrics::routes::Service;
use serde_json::{Value, json};

use super::target;
use crate::context::Context;

/// The flags of `meshy policy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy policy show bounced-service\n  meshy policy migrate bounced-service > routes.yaml"
)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Show which object is in effect for each setting, and why
    #[command(
        after_help = "Examples:\n  meshy policy show bounced-service\n  meshy policy show cart -n shop -o json"
    )]
    Show(Which),
    /// Translate a ServiceProfile to HTTPRoutes and name each difference
    #[command(
        after_help = "Examples:\n  meshy policy migrate bounced-service > routes.yaml\n  meshy policy migrate cart -n shop --limit 2"
    )]
    Migrate {
        #[command(flatten)]
        which: Which,
        /// Retries per request that take the place of the retry budget
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Its namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

impl Which {
    fn service(self) -> Service {
        // `sp/NAME` and the name of a ServiceProfile are accepted as well.
        let name = self.service.strip_prefix("sp/").unwrap_or(&self.service);
        let name = name.split('.').next().unwrap_or(name).to_owned();
        Service { namespace: self.namespace, name }
    }
}

/// Shows or translates policies.
///
/// # Errors
/// Returns an error if there is no such service, an object cannot be read, or there is no profile to translate.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let kinds = Kinds::new(context.client().await?);
    match args.act {
        Act::Show(which) => show(context, &kinds, &which.service()).await,
        Act::Migrate { which, limit } => translate(context, &kinds, &which.service(), limit).await,
    }
}

async fn show(context: &Context, kinds: &Kinds, wanted: &Service) -> anyhow::Result<Exit> {
    let service = target::read(kinds.client(), wanted).await?;
    let profile = profile(kinds, wanted).await?;
    let mut routes = Vec::new();
    for route in list(kinds, "gateway.networking.k8s.io/v1", "HTTPRoute", &wanted.namespace).await? {
        let name = route["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        routes
            .push(HttpRoute::from_value(&route).with_context(|| format!("cannot read HTTPRoute `{name}`"))?);
    }
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    let rate_limits = rate_limits(kinds, &wanted.namespace, &selector).await?;
    let found = effective(&Objects {
        namespace: &wanted.namespace,
        name: &wanted.name,
        annotations: service.annotations(),
        profile: profile.as_ref(),
        routes: &routes,
        rate_limits: &rate_limits,
    });
    context.data(&found, ToString::to_string)?;
    Ok(Exit::Done)
}

async fn translate(context: &Context, kinds: &Kinds, wanted: &Service, limit: u16) -> anyhow::Result<Exit> {
    let service = target::read(kinds.client(), wanted).await?;
    let profile = profile(kinds, wanted).await?;
    let profile = profile
        .ok_or_else(|| anyhow!("service `{}` has no ServiceProfile", wanted.name))
        .hint("`meshy policy show` shows what is in effect instead")
        .exit(Exit::Usage)?;
    let options = Options { port: target::port(&service)?, limit, annotations: service.annotations() };
    let migration = migrate(&profile, &options)
        .ok_or_else(|| anyhow!("ServiceProfile `{}` does not name a service of a cluster", wanted.name))
        .exit(Exit::Usage)?;
    for difference in &migration.differences {
        context.report.warn(difference.to_string());
    }
    context.data(&migration, yaml)?;
    Ok(Exit::Done)
}

/// The routes as YAML that `kubectl apply` takes.
fn yaml(migration: &Migration) -> String {
    let routes = migration.routes.iter().filter_map(|route| serde_yaml::to_string(route).ok());
    routes.collect::<Vec<_>>().join("---\n")
}

/// Reads the ServiceProfile of a service; none where it or its kind is absent.
async fn profile(kinds: &Kinds, service: &Service) -> anyhow::Result<Option<ServiceProfile>> {
    let name = names::service_fqdn(&service.name, &service.namespace);
    let all = list(kinds, names::PROFILE_API_VERSION, names::PROFILE_KIND, &service.namespace).await?;
    let Some(found) = all.into_iter().find(|profile| profile["metadata"]["name"] == name) else {
        return Ok(None);
    };
    let read = ServiceProfile::read_leniently(&found);
    read.with_context(|| format!("cannot read ServiceProfile `{name}`")).map(Some)
}

/// Reads the rate limits of the Servers that select pods with these labels.
async fn rate_limits(
    kinds: &Kinds,
    namespace: &str,
    labels: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<RateLimit>> {
    let mut servers = Vec::new();
    for object in list(kinds, "policy.linkerd.io/v1beta3", "Server", namespace).await? {
        let server = Server::from_value(&object)?;
        if server.pod_selector.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value)) {
            servers.push(object["metadata"]["name"].clone());
        }
    }
    let mut found = Vec::new();
    for object in list(kinds, "policy.linkerd.io/v1alpha1", "HTTPLocalRateLimitPolicy", namespace).await? {
        let policy = RateLimitPolicy::from_value(&object)?;
        if servers.contains(&object["spec"]["targetRef"]["name"]) {
            found.push(RateLimit {
                name: object["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                total: policy.total.map(|limit| limit.requests_per_second),
                identity: policy.identity.map(|limit| limit.requests_per_second),
            });
        }
    }
    Ok(found)
}

/// Lists the objects of a kind; none where the cluster does not serve it.
async fn list(kinds: &Kinds, api_version: &str, kind: &str, namespace: &str) -> anyhow::Result<Vec<Value>> {
    let Some((resource, _)) = kinds.served(api_version, kind).await? else { return Ok(Vec::new()) };
    let api: Api<Object> = Api::namespaced_with(kinds.client().clone(), namespace, &resource);
    let found = api.list(&ListParams::default()).await;
    let found = found.with_context(|| format!("cannot list objects of kind {kind}"))?;
    Ok(found.items.into_iter().map(|object| json!(object)).collect())
}
