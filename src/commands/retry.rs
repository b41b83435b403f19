//! `meshy retry`: the newer dialect of the same lesson, as annotations on a Service or on an HTTPRoute.

use anyhow::{Context as _, anyhow};
use kube::ResourceExt as _;
use kube::api::Api;
use meshy_linkerd::lint;
use meshy_linkerd::policy::Retry;
use serde::Serialize;

use super::proof::{self, Proof};
use super::target::{self, Target};
use crate::context::Context;
use crate::mesh::survey;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Kinds, Object};
use meshy_metrics::routes::Service;
use meshy_policy::policy::objects::{self, Retries};
use meshy_policy::policy::{self, Clients, Options, PolicyChange};

/// The service of the lesson.
const LESSON: &str = "bounced-service";

/// Where the annotations stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum As {
    /// On the Service.
    #[default]
    Service,
    /// On an HTTPRoute that meshy writes.
    Route,
}

/// Flags of `meshy retry`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy retry apply                 5xx of bounced-service, at most 3 times\n  \
                        meshy retry apply web -n shop --as route --on gateway-error --attempt-timeout 500ms\n  meshy retry delete"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do with retries.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Switch retries on and prove that the clients follow
    #[command(
        after_help = "Examples:\n  meshy retry apply --as service --limit 3\n  meshy retry apply bounced-service --as route --on 5xx --attempt-timeout 500ms"
    )]
    Apply(ApplyArgs),
    /// Switch them off
    #[command(
        after_help = "Examples:\n  meshy retry delete\n  meshy retry delete bounced-service --as route"
    )]
    Delete(PlacedArgs),
    /// Print what holds
    #[command(after_help = "Examples:\n  meshy retry show\n  meshy retry show bounced-service -o json")]
    Show(PlacedArgs),
}

/// Flags of `meshy retry delete` and `show`.
#[derive(Debug, clap::Args)]
pub struct PlacedArgs {
    #[command(flatten)]
    target: Target,
    /// Only the annotations that stand there; both places where absent
    #[arg(long = "as", value_enum, value_name = "WHERE")]
    place: Option<As>,
}

impl PlacedArgs {
    fn means(&self, place: As) -> bool {
        self.place.is_none_or(|only| only == place)
    }
}

/// Flags of `meshy retry apply`.
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    target: Target,
    /// Where the annotations stand
    #[arg(long = "as", value_enum, default_value_t, value_name = "WHERE")]
    place: As,
    /// What is retried: 5xx, gateway-error, codes and ranges, with commas
    #[arg(long, default_value = "5xx", value_name = "STATUSES")]
    on: String,
    /// How often a request is retried at most
    #[arg(long, default_value_t = 3, value_name = "N")]
    limit: u16,
    /// How long one attempt may wait for a response
    #[arg(long, value_name = "DURATION")]
    attempt_timeout: Option<String>,
    /// Restart the clients whose proxies keep what they discovered before
    #[arg(long)]
    restart_clients: bool,
    /// Take over fields that other tools hold
    #[arg(long)]
    force: bool,
}

/// Runs `meshy retry`.
///
/// # Errors
/// No such service, a value that Linkerd does not read, or clients that do not follow.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Apply(args) => apply(context, args).await,
        Command::Delete(args) => delete(context, args).await,
        Command::Show(args) => show(context, args).await,
    }
}

async fn apply(context: &Context, args: ApplyArgs) -> anyhow::Result<Exit> {
    let service = args.target.or(LESSON);
    let Service { name, namespace } = &service;
    let retries = Retries { on: args.on, limit: args.limit, timeout: args.attempt_timeout };
    let annotations = retries.annotations()?;
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    let there = target::read(&client, &service).await?;
    let change = match args.place {
        As::Service => PolicyChange::retries(&service, &annotations),
        As::Route => {
            let (route, port) = (objects::retry_route(name), target::port(&there)?);
            PolicyChange::route(objects::route(
                &route,
                name,
                namespace,
                port,
                &annotations,
                &[(name.clone(), 1)],
            )?)
        }
    };
    tell_findings(context, &client, name).await?;
    let options = Options { force: args.force, dry_run: context.dry_run, deadline: context.deadline };
    if !options.dry_run {
        policy::restore_left(&kinds, &context.report).await?;
    }
    let clients = Clients::of(&client, &service, context.deadline).await?;
    let work = async {
        let outcome = change.apply(&kinds, &options).await?.outcome;
        anyhow::Ok(((), outcome.words().to_owned()))
    };
    context.report.run("Applying", format!("retries of `{name}`"), work).await?;
    if options.dry_run {
        return Ok(Exit::Done);
    }
    let wanted = Proof { service, evidence: change.evidence().clone(), restart: args.restart_clients };
    proof::run(context, &kinds, wanted, clients).await
}

/// A profile on the same service would make all of this without effect.
async fn tell_findings(context: &Context, client: &kube::Client, service: &str) -> anyhow::Result<()> {
    let world = survey::world(client).await?;
    let about =
        |f: &&lint::Finding| f.place.name == service || f.place.name.starts_with(&format!("{service}."));
    let findings: Vec<lint::Finding> = lint::lint(&world).iter().filter(about).cloned().collect();
    if !findings.is_empty() {
        context.report.say(survey::words(&findings).trim_end());
    }
    if let Some(profile) = world.profile_of(service) {
        return Err(anyhow!(
            "service `{service}` has the ServiceProfile `{profile}`, which switches these retries off"
        ))
        .hint("`meshy sp delete` removes it; docs/mesh.md says when to use which")
        .id("policy-shadowed")
        .exit(Exit::Lint);
    }
    Ok(())
}

async fn delete(context: &Context, args: PlacedArgs) -> anyhow::Result<Exit> {
    let (on_service, on_route) = (args.means(As::Service), args.means(As::Route));
    let service = args.target.or(LESSON);
    let Service { name, namespace } = &service;
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    target::read(&client, &service).await?;
    if context.dry_run {
        context.report.say(format!("would remove the retries of `{name}`"));
        return Ok(Exit::Done);
    }
    policy::restore_left(&kinds, &context.report).await?;
    let options = Options { force: false, dry_run: false, deadline: context.deadline };
    if on_service {
        // Those that others wrote stay.
        PolicyChange::retries(&service, &Default::default()).apply(&kinds, &options).await?;
    }
    if on_route {
        PolicyChange::no_route(&objects::retry_route(name), namespace).apply(&kinds, &options).await?;
    }
    context.report.say(format!("retries of `{name}` removed"));
    let now = target::read(&client, &service).await?;
    let left: Vec<&str> = now
        .annotations()
        .keys()
        .map(String::as_str)
        .filter(|key| key.starts_with(policy::RETRY_PREFIX))
        .collect();
    if on_service && !left.is_empty() {
        context.report.warn(format!("other tools wrote {}, which stays", left.join(", ")));
    }
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct Shown {
    place: String,
    statuses: Vec<(u16, u16)>,
    limit: u16,
    timeout_ms: Option<u128>,
}

async fn show(context: &Context, args: PlacedArgs) -> anyhow::Result<Exit> {
    let (on_service, on_route) = (args.means(As::Service), args.means(As::Route));
    let service = args.target.or(LESSON);
    let Service { name, namespace } = &service;
    let client = context.client().await?;
    let kinds = Kinds::new(client.clone());
    let there = target::read(&client, &service).await?;
    let mut shown = Vec::new();
    let mut add =
        |place: String, annotations: &std::collections::BTreeMap<String, String>| -> anyhow::Result<()> {
            if let Some(retry) = Retry::from_annotations(annotations)
                .with_context(|| format!("{place} is not read by Linkerd"))?
            {
                let timeout_ms = retry.timeout.map(|t| t.as_millis());
                shown.push(Shown { place, statuses: retry.statuses, limit: retry.limit, timeout_ms });
            }
            Ok(())
        };
    if on_service {
        add(format!("service `{name}`"), there.annotations())?;
    }
    if on_route && let Some((resource, _)) = kinds.served("gateway.networking.k8s.io/v1", "HTTPRoute").await?
    {
        let routes: Api<Object> = Api::namespaced_with(client.clone(), namespace, &resource);
        for route in routes.list(&Default::default()).await.context("cannot list the routes")? {
            let read = meshy_linkerd::httproute::HttpRoute::from_value(&serde_json::json!(route));
            if read.is_ok_and(|r| r.services().any(|s| s == (name.as_str(), namespace.as_str()))) {
                add(format!("route `{}`", route.name_any()), route.annotations())?;
            }
        }
    }
    let text = |shown: &Vec<Shown>| {
        if shown.is_empty() {
            return format!("service `{name}` has no retry annotations");
        }
        let line = |s: &Shown| {
            let statuses: Vec<String> = s
                .statuses
                .iter()
                .map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") })
                .collect();
            let timeout = s.timeout_ms.map(|t| format!(", {t} ms an attempt")).unwrap_or_default();
            format!(
                "{}: {} retried at most {} times{timeout}, without a budget\n",
                s.place,
                statuses.join(", "),
                s.limit
            )
        };
        shown.iter().map(line).collect()
    };
    context.data(&shown, text)?;
    Ok(Exit::Done)
}
