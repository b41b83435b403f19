//! `meshy policy`: which policy objects are in effect for a Service; policies of every kind applied, deleted and verified; the
//! translation of a ServiceProfile to routes.

use anyhow::anyhow;
use kube::ResourceExt as _;
use meshy_base::error::{Advise as _, Exit};
use meshy_kube::Kinds;
use meshy_linkerd::effective::EndpointBreakers;
use meshy_linkerd::migrate::{Migration, Options, migrate};
use meshy_metrics::callers;
use meshy_metrics::routes::Service;
use meshy_policy::policy::About;
use meshy_policy::services;

use std::time::Duration;

use super::target;
use crate::context::Context;
use crate::prove;

mod apply;
mod breakers;

/// How long `show` watches the counters of a Service with a circuit breaker.
const SHOWN_WINDOW: Duration = Duration::from_secs(2);

/// The flags of `meshy policy`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy policy show bounced-service\n  meshy policy apply breaker.yaml -n shop --measure 20s\n  meshy policy migrate bounced-service > routes.yaml"
)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(Debug, clap::Subcommand)]
enum Act {
    /// Show the objects in effect, and who may call the service
    #[command(
        after_help = "Examples:\n  meshy policy show bounced-service\n  meshy policy show cart -n shop --from front"
    )]
    Show {
        #[command(flatten)]
        which: Which,
        /// The client's namespace: its ServiceProfile and routes override those of the service's namespace [default: the service's]
        #[arg(long, value_name = "NAMESPACE")]
        from: Option<String>,
    },
    /// Apply policies of any kind and verify that they are used
    #[command(
        after_help = "Examples:\n  meshy policy apply routes.yaml\n  meshy policy apply breaker.yaml -n shop --measure 20s"
    )]
    Apply(apply::ApplyArgs),
    /// Delete policies of any kind
    #[command(
        after_help = "Examples:\n  meshy policy delete routes.yaml\n  meshy policy delete httproute/cart-retry -n shop"
    )]
    Delete(apply::DeleteArgs),
    /// Show each endpoint's circuit breaker, by client
    #[command(
        after_help = "Examples:\n  meshy policy breakers cart -n shop\n  meshy policy breakers cart --watch"
    )]
    Breakers(breakers::Args),
    /// Translate a ServiceProfile to HTTPRoutes; list differences
    #[command(
        after_help = "Examples:\n  meshy policy migrate bounced-service > routes.yaml\n  meshy policy migrate sp/cart -n shop --prove"
    )]
    Migrate {
        #[command(flatten)]
        which: Which,
        /// The retry limit that replaces the retry budget
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        /// Send the same requests under the profile and under the routes, each on an embedded cluster, and compare the outcomes
        #[arg(long)]
        prove: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

impl Args {
    /// Returns how long the command measures or watches.
    pub(crate) fn planned(&self) -> Duration {
        match &self.act {
            Act::Apply(args) => args.measure.unwrap_or_default().saturating_mul(2),
            Act::Breakers(args) => args.window,
            Act::Show { .. } => SHOWN_WINDOW,
            Act::Migrate { .. } | Act::Delete(_) => Duration::ZERO,
        }
    }
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
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.act {
        Act::Apply(args) => apply::apply(context, args).await,
        Act::Delete(args) => apply::delete(context, args).await,
        Act::Breakers(args) => breakers::run(context, args).await,
        Act::Show { which, from } => {
            let kinds = Kinds::new(context.client().await?);
            show(context, &kinds, &which.service(), from.as_deref()).await
        }
        Act::Migrate { which, limit, prove } => {
            let kinds = Kinds::new(context.client().await?);
            translate(context, &kinds, &which.service(), (limit, prove)).await
        }
    }
}

async fn show(
    context: &Context,
    kinds: &Kinds,
    wanted: &Service,
    from: Option<&str>,
) -> anyhow::Result<Exit> {
    target::read(kinds.client(), wanted).await?;
    let mut about = About::read(kinds, wanted, from).await?;
    about.read_rest(kinds).await?;
    let mut effective = about.effective();
    if about.has_breaker() {
        effective.endpoints = endpoints(context, kinds.client(), wanted).await?;
    }
    context.data(&effective, ToString::to_string)?;
    Ok(Exit::Done)
}

/// Returns what the circuit breakers of clients do with each endpoint; `None` for a Service without running pods.
async fn endpoints(
    context: &Context,
    client: &kube::Client,
    wanted: &Service,
) -> anyhow::Result<Option<Vec<EndpointBreakers>>> {
    let servers = match services::pods(client, &wanted.namespace, &wanted.name).await {
        Ok(servers) => servers,
        Err(error) => {
            context.report.warn(format!("the state of circuit breakers is not shown: {error}"));
            return Ok(None);
        }
    };
    let before = callers::candidates(client).await?;
    let (rows, _) = breakers::measure(context, (client, wanted, &servers), &before, SHOWN_WINDOW).await?;
    Ok(Some(meshy_policy::policy::breakers(&rows)))
}

async fn translate(
    context: &Context,
    kinds: &Kinds,
    wanted: &Service,
    (limit, prove): (u16, bool),
) -> anyhow::Result<Exit> {
    let service = target::read(kinds.client(), wanted).await?;
    let about = About::read(kinds, wanted, None).await?;
    let profile = about
        .profile
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
    if !prove {
        context.data(&migration, yaml)?;
        return Ok(Exit::Done);
    }
    let proof =
        prove::prove(&context.report, context.deadline, &profile, service.annotations(), limit).await?;
    context.data(&proof, ToString::to_string)?;
    match proof.unnamed().len() {
        0 => Ok(Exit::Done),
        count => Err(anyhow!("{count} outcomes are different, and no difference was named"))
            .hint("keep the ServiceProfile, and report the profile as a bug of `meshy policy migrate`")
            .exit(Exit::Expectation),
    }
}

/// The routes as YAML that `kubectl apply` takes.
fn yaml(migration: &Migration) -> String {
    let routes = migration.routes.iter().filter_map(|route| serde_yaml::to_string(route).ok());
    routes.collect::<Vec<_>>().join("---\n")
}
