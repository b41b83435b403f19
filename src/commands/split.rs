//! `meshy split`: a service's traffic between it and its next version, by weight.

use kube::ResourceExt;
use kube::api::Api;
use serde_json::{Value, json};

use super::proof::{self, Proof};
use super::target::{self, Target};
use crate::context::Context;
use crate::original_demo;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Kinds, Object};
use meshy_metrics::routes::Service;
use meshy_policy::policy::{self, Clients, Options, PolicyChange, objects};

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
pub(crate) enum Command {
    /// Send a share of the clients' requests to another service
    #[command(
        after_help = "Examples:\n  meshy split apply\n  meshy split apply minimal-service --to minimal-service-v2 --weight 50",
        mut_arg("service", of_the_demo)
    )]
    Apply(ApplyArgs),
    /// Send all requests to the service again
    #[command(
        after_help = "Examples:\n  meshy split delete\n  meshy split delete minimal-service",
        mut_arg("service", of_the_demo)
    )]
    Delete(Target),
    /// Show the weights
    #[command(
        after_help = "Examples:\n  meshy split show\n  meshy split show minimal-service -o json",
        mut_arg("service", of_the_demo)
    )]
    Show(Target),
}

/// The argument SERVICE with the default of `meshy split`.
fn of_the_demo(service: clap::Arg) -> clap::Arg {
    service.help(format!("The service [default: {}]", original_demo::CALLER))
}

/// Flags of `meshy split apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    target: Target,
    /// The other service [default: SERVICE-v2]
    #[arg(long, value_name = "SERVICE")]
    to: Option<String>,
    /// The other service's share in percent
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100), value_name = "PERCENT")]
    weight: u32,
    /// Take over fields that other tools own
    #[arg(long)]
    force: bool,
}

/// Runs `meshy split`.
///
/// # Errors
/// No such service, or clients that do not follow.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let client = match &args.command {
        Command::Show(_) => context.client().await?,
        Command::Apply(_) | Command::Delete(_) => context.client_for_change("change a policy in").await?,
    };
    let kinds = Kinds::new(client);
    match args.command {
        Command::Apply(args) => apply(context, &kinds, args).await,
        Command::Delete(target) => {
            let Service { name, namespace } = target.or(original_demo::CALLER);
            if context.dry_run {
                context.report.say(format!("would remove the split of `{name}`"));
                return Ok(Exit::Done);
            }
            // A server that is not a Kubernetes API server must not look like a cluster without HTTPRoutes.
            kinds.resource("v1", "Service").await?;
            policy::restore_left(&kinds, &context.report).await?;
            let route = objects::split_route(&name);
            let was = target::delete_route(context, &kinds, (&route, &namespace)).await?;
            context.report.say(match was {
                true => format!("split of `{name}` removed"),
                false => format!("`{name}` had no split that meshy created"),
            });
            Ok(Exit::Done)
        }
        Command::Show(target) => show(context, &kinds, &target.or(original_demo::CALLER)).await,
    }
}

async fn apply(context: &Context, kinds: &Kinds, args: ApplyArgs) -> anyhow::Result<Exit> {
    let service = args.target.or(original_demo::CALLER);
    let Service { name, namespace } = &service;
    let client = kinds.client();
    let other = args.to.unwrap_or_else(|| format!("{name}-v2"));
    let there = target::read(client, &service).await?;
    let next = Service { name: other.clone(), namespace: namespace.clone() };
    target::read(client, &next).await.hint(format!("`meshy deploy {other}` deploys it"))?;
    let backends = [(name.clone(), 100 - args.weight), (other.clone(), args.weight)];
    let (route, port) = (objects::split_route(name), target::port(&there)?);
    let route = objects::route(&route, name, namespace, port, &Default::default(), &backends)?;
    let change = PolicyChange::route(route);
    let options = Options { force: args.force, dry_run: context.dry_run, deadline: context.deadline };
    if !options.dry_run {
        policy::restore_left(kinds, &context.report).await?;
    }
    let clients = Clients::of(client, &service, context.deadline).await?;
    let work = async {
        let outcome = change.apply(kinds, &options).await?.outcome;
        anyhow::Ok(((), outcome.words().to_owned()))
    };
    context.report.run("Applying", format!("{} % of `{name}` to `{other}`", args.weight), work).await?;
    if options.dry_run {
        return Ok(Exit::Done);
    }
    let wanted = Proof { service, evidence: change.evidence().clone(), restart: false };
    proof::run(context, kinds, wanted, clients).await
}

async fn show(context: &Context, kinds: &Kinds, service: &Service) -> anyhow::Result<Exit> {
    let (resource, _) = kinds.resource("gateway.networking.k8s.io/v1", "HTTPRoute").await?;
    let routes: Api<Object> = Api::namespaced_with(kinds.client().clone(), &service.namespace, &resource);
    let route = routes.get_opt(&objects::split_route(&service.name)).await?;
    let backends = route.as_ref().and_then(|r| r.data.pointer("/spec/rules/0/backendRefs")).cloned();
    let backends = backends.unwrap_or(Value::Array(Vec::new()));
    let name = route.as_ref().map(ResourceExt::name_any);
    context.data(&json!({"route": name, "backends": backends}), |d| {
        let list = d["backends"].as_array().cloned().unwrap_or_default();
        if list.is_empty() {
            return format!("`{}` is not split", service.name);
        }
        let line = |b: &Value| format!("{}  {}\n", b["name"].as_str().unwrap_or("?"), b["weight"]);
        list.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}
