//! `meshy split`: a service's traffic between it and its next version, by weight.

use kube::ResourceExt;
use kube::api::Api;
use serde_json::{Value, json};

use super::proof::{self, Proof};
use super::retry::{delete_route, named_service, port};
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::k8s::{Apply, Kinds, Manager, Object};
use crate::mesh::clients::{self, Evidence, Service};
use crate::mesh::policy;

/// Flags of `meshy split`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy split apply                 10 % of minimal-service to minimal-service-v2\n  \
                        meshy split apply --weight 50\n  meshy split delete"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do with a split.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Send a share of the clients' requests to another service
    Apply(ApplyArgs),
    /// Send everything to the service again
    Delete(Target),
    /// Print the weights
    Show(Target),
}

/// The service that is split.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The service
    #[arg(value_name = "SERVICE", default_value = "minimal-service")]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

/// Flags of `meshy split apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    target: Target,
    /// The other service; SERVICE-v2 where absent
    #[arg(long, value_name = "SERVICE")]
    to: Option<String>,
    /// The other service's share in percent
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100), value_name = "PERCENT")]
    weight: u32,
}

/// Runs `meshy split`.
///
/// # Errors
/// No such service, or clients that do not follow.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = context.client().await?;
    let kinds = Kinds::new(client.clone());
    match args.command {
        Command::Apply(args) => apply(context, &kinds, args).await,
        Command::Delete(target) => {
            let route = policy::split_route(&target.service);
            let was = !context.global.dry_run && delete_route(&kinds, &target.namespace, &route).await?;
            let word = if was { "removed" } else { "not there" };
            context.report.say(format!("split of `{}` {word}", target.service));
            Ok(Exit::Done)
        }
        Command::Show(target) => show(context, &kinds, &target).await,
    }
}

async fn apply(context: &Context, kinds: &Kinds, args: ApplyArgs) -> anyhow::Result<Exit> {
    let Target { service: name, namespace } = &args.target;
    let client = kinds.client();
    let other = args.to.clone().unwrap_or_else(|| format!("{name}-v2"));
    let there = named_service(client, name, namespace).await?;
    named_service(client, &other, namespace).await.hint(format!("`meshy deploy {other}` brings it"))?;
    let backends = [(name.clone(), 100 - args.weight), (other.clone(), args.weight)];
    let route = policy::split_route(name);
    let object = policy::route(&route, name, namespace, port(&there)?, &Default::default(), &backends)?;
    let before = clients::sight(client).await?;
    let apply =
        Apply::new(kinds, Manager::Policy, context.deadline).force(true).dry_run(context.global.dry_run);
    let work = async {
        let applied = apply.run(vec![object]).await?;
        anyhow::Ok(((), crate::k8s::apply::summary(&applied)))
    };
    context.report.run("Applying", format!("{} % of `{name}` to `{other}`", args.weight), work).await?;
    if context.global.dry_run {
        return Ok(Exit::Done);
    }
    let service = Service { name: name.clone(), namespace: namespace.clone() };
    proof::run(
        context,
        kinds,
        Proof { service, evidence: Evidence::Policy(Some(route)), restart: false },
        before,
    )
    .await
}

async fn show(context: &Context, kinds: &Kinds, target: &Target) -> anyhow::Result<Exit> {
    let (resource, _) = kinds.resource("gateway.networking.k8s.io/v1", "HTTPRoute").await?;
    let routes: Api<Object> = Api::namespaced_with(kinds.client().clone(), &target.namespace, &resource);
    let route = routes.get_opt(&policy::split_route(&target.service)).await?;
    let backends = route.as_ref().and_then(|r| r.data.pointer("/spec/rules/0/backendRefs")).cloned();
    let backends = backends.unwrap_or(Value::Array(Vec::new()));
    let name = route.as_ref().map(ResourceExt::name_any);
    context.data(&json!({"route": name, "backends": backends}), |d| {
        let list = d["backends"].as_array().cloned().unwrap_or_default();
        if list.is_empty() {
            return format!("`{}` is not split", target.service);
        }
        let line = |b: &Value| format!("{}  {}\n", b["name"].as_str().unwrap_or("?"), b["weight"]);
        list.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}
