//! `meshy retry`: the newer dialect of the same lesson, as annotations on a Service or on an HTTPRoute.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use kube::ResourceExt as _;
use meshy_linkerd::lint;
use meshy_linkerd::policy::Retry;
use serde::Serialize;
use serde_json::json;

use super::proof::{self, Proof};
use super::target::{self, Target};
use crate::context::Context;
use crate::mesh::survey;
use crate::original_demo;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_metrics::routes::Service;
use meshy_policy::policy::objects::{self, Retries};
use meshy_policy::policy::{self, About, Clients, Options, Outcome, PolicyChange};

/// Where the annotations stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum As {
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
                        meshy retry apply web -n shop --as route --on gateway-error --retry-timeout 500ms\n  meshy retry delete"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do with retries.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Set retry annotations and verify that clients use them
    #[command(
        after_help = "Examples:\n  meshy retry apply --as service --limit 3\n  meshy retry apply bounced-service --as route --on 5xx --retry-timeout 500ms"
    )]
    Apply(ApplyArgs),
    /// Delete the retries that `meshy retry apply` created
    #[command(
        after_help = "Examples:\n  meshy retry delete\n  meshy retry delete bounced-service --as route"
    )]
    Delete(PlacedArgs),
    /// Show the retry annotations and what is in effect
    #[command(after_help = "Examples:\n  meshy retry show\n  meshy retry show bounced-service -o json")]
    Show(PlacedArgs),
}

/// Flags of `meshy retry delete` and `show`.
#[derive(Debug, clap::Args)]
pub(crate) struct PlacedArgs {
    #[command(flatten)]
    target: Target,
    /// Only the annotations of the Service, or only the HTTPRoute SERVICE-retry [default: both]
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
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    target: Target,
    /// Where the annotations are written: in the Service, or in an HTTPRoute SERVICE-retry, which meshy creates
    #[arg(long = "as", value_enum, default_value_t, value_name = "WHERE")]
    place: As,
    /// What is retried: 5xx, gateway-error (502 to 504), statuses and ranges of them, with commas between
    #[arg(long, default_value = "5xx", value_name = "STATUSES")]
    on: String,
    /// The retry limit: how often a request is retried at most
    #[arg(long, default_value_t = 3, value_name = "N")]
    limit: u16,
    /// The retry timeout: after it an attempt is retried, except for the last one
    #[arg(long, alias = "attempt-timeout", value_name = "DURATION")]
    retry_timeout: Option<String>,
    /// Restart stale clients, whose proxies still use the earlier policy
    #[arg(long)]
    restart_clients: bool,
    /// Take over fields that other tools own
    #[arg(long)]
    force: bool,
}

/// The finding about a service whose clients have no proxy.
const CLIENTS_ABSENT: &str = "clients-absent";

/// Runs `meshy retry`.
///
/// # Errors
/// No such service, a value that Linkerd does not read, or clients that do not follow.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Apply(args) => apply(context, args).await,
        Command::Delete(args) => delete(context, args).await,
        Command::Show(args) => show(context, args).await,
    }
}

async fn apply(context: &Context, args: ApplyArgs) -> anyhow::Result<Exit> {
    let service = args.target.or(original_demo::CALLED);
    let Service { name, namespace } = &service;
    let retries = Retries { on: args.on, limit: args.limit, timeout: args.retry_timeout };
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
    report_findings(context, &client, &service, &annotations).await?;
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

/// A profile on the same service would make all of this without effect, and so would clients without a proxy.
async fn report_findings(
    context: &Context,
    client: &kube::Client,
    Service { name: service, namespace }: &Service,
    annotations: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    let mut world = survey::world(client).await?;
    let about =
        |f: &&lint::Finding| f.place.name == *service || f.place.name.starts_with(&format!("{service}."));
    let mut findings: Vec<lint::Finding> = lint::lint(&world).iter().filter(about).cloned().collect();
    world.set_only_target(json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": service, "namespace": namespace, "annotations": annotations}}));
    let new = |f: &lint::Finding| f.id == CLIENTS_ABSENT && findings.iter().all(|one| one.id != f.id);
    let new: Vec<lint::Finding> = lint::lint(&world).into_iter().filter(new).collect();
    findings.extend(new);
    if !findings.is_empty() {
        context.report.say(survey::words(&findings).trim_end());
    }
    if let Some(profile) = world.profile_of(service) {
        return Err(anyhow!(
            "service `{service}` has the ServiceProfile `{profile}`, which switches these retries off"
        ))
        .hint("`meshy sp delete` removes it; docs/mesh.md explains when to use which")
        .id("policy-overridden")
        .exit(Exit::Lint);
    }
    Ok(())
}

async fn delete(context: &Context, args: PlacedArgs) -> anyhow::Result<Exit> {
    let (on_service, on_route) = (args.means(As::Service), args.means(As::Route));
    let service = args.target.or(original_demo::CALLED);
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
    let mut removed = false;
    if on_service {
        // Those that others wrote stay.
        let change = PolicyChange::retries(&service, &Default::default());
        removed |= change.apply(&kinds, &options).await?.outcome == Outcome::Changed;
    }
    if on_route {
        let route = objects::retry_route(name);
        removed |= target::delete_route(context, &kinds, (&route, namespace)).await?;
    }
    context.report.say(match removed {
        true => format!("retries of `{name}` removed"),
        false => format!("`{name}` had no retries that meshy created"),
    });
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

/// Retries, where they are set, and what has an effect instead.
#[derive(Debug, Serialize)]
struct Shown {
    place: String,
    statuses: Vec<(u16, u16)>,
    limit: u16,
    timeout_ms: Option<u128>,
    /// The object that replaces them for some or all requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
}

async fn show(context: &Context, args: PlacedArgs) -> anyhow::Result<Exit> {
    let (on_service, on_route) = (args.means(As::Service), args.means(As::Route));
    let service = args.target.or(original_demo::CALLED);
    let kinds = Kinds::new(context.client().await?);
    target::read(kinds.client(), &service).await?;
    let about = About::read(&kinds, &service, None).await?;
    let shown: Vec<Shown> = shown(&about)?
        .into_iter()
        .filter(|(is_route, _)| if *is_route { on_route } else { on_service })
        .map(|(_, shown)| shown)
        .collect();
    context.data(&shown, |shown| {
        if shown.is_empty() {
            return format!("service `{}` has no retry annotations", service.name);
        }
        shown.iter().map(line).collect()
    })?;
    Ok(Exit::Done)
}

/// The retries of a Service and of its routes; whether each one is a route's.
fn shown(about: &About) -> anyhow::Result<Vec<(bool, Shown)>> {
    let profile = about.profile.as_ref().filter(|profile| profile.replaces_policy());
    let profile = profile.map(|profile| format!("ServiceProfile `{}`", profile.metadata.name));
    let mut all = Vec::new();
    let mut overriding = Vec::new();
    for route in &about.routes {
        let name = format!("route `{}`", route.metadata.name);
        if let Some(retry) = read(&name, &route.metadata.annotations)? {
            overriding.push(name.clone());
            all.push((true, of(name, retry, profile.clone())));
        }
    }
    let name = format!("service `{}`", about.wanted.name);
    if let Some(retry) = read(&name, &about.annotations)? {
        let by_routes = (!overriding.is_empty()).then(|| overriding.join(", "));
        all.insert(0, (false, of(name, retry, profile.or(by_routes))));
    }
    Ok(all)
}

fn read(place: &str, annotations: &BTreeMap<String, String>) -> anyhow::Result<Option<Retry>> {
    Retry::from_annotations(annotations).with_context(|| format!("Linkerd does not read {place}"))
}

fn of(place: String, retry: Retry, replaced_by: Option<String>) -> Shown {
    let timeout_ms = retry.timeout.map(|timeout| timeout.as_millis());
    Shown { place, statuses: retry.statuses, limit: retry.limit, timeout_ms, replaced_by }
}

fn line(shown: &Shown) -> String {
    let status = |(from, to): &(u16, u16)| {
        if from == to { from.to_string() } else { format!("{from}-{to}") }
    };
    let statuses: Vec<String> = shown.statuses.iter().map(status).collect();
    let timeout = shown.timeout_ms.map(|t| format!(", {t} ms an attempt")).unwrap_or_default();
    let replaced = shown.replaced_by.as_ref().map(|by| format!("; replaced by {by}")).unwrap_or_default();
    format!(
        "{}: {} retried at most {} times{timeout}, without a budget{replaced}\n",
        shown.place,
        statuses.join(", "),
        shown.limit
    )
}

#[cfg(test)]
mod tests {
    use meshy_linkerd::httproute::HttpRoute;
    use meshy_linkerd::profile::ServiceProfile;
    use serde_json::json;

    use super::*;

    fn lines(about: &About) -> Vec<String> {
        shown(about).unwrap().iter().map(|(_, shown)| line(shown).trim().to_owned()).collect()
    }

    #[test]
    fn retries_that_another_object_replaces_are_shown_as_replaced() {
        let annotations = |limit: &str| {
            let pairs = [("retry.linkerd.io/http", "5xx"), ("retry.linkerd.io/limit", limit)];
            BTreeMap::from(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())))
        };
        let wanted = Service { namespace: "default".to_owned(), name: "web".to_owned() };
        let route = json!({"metadata": {"name": "web-retry", "annotations": annotations("2")}, "spec": {"rules": [{}]}});
        let mut about = About::of(wanted, annotations("3"));
        about.routes = vec![HttpRoute::from_value(&route).unwrap()];
        assert_eq!(
            lines(&about),
            [
                "service `web`: 500-599 retried at most 3 times, without a budget; replaced by route `web-retry`",
                "route `web-retry`: 500-599 retried at most 2 times, without a budget",
            ]
        );
        let profile = json!({"metadata": {"name": "web.default.svc.cluster.local"},
            "spec": {"routes": [{"name": "a", "condition": {"pathRegex": "/.*"}}]}});
        about.profile = Some(ServiceProfile::read_leniently(&profile).unwrap());
        assert!(lines(&about).iter().all(|line| line.contains("; replaced by ServiceProfile `web.default")));
        about.profile = None;
        about.routes.clear();
        assert_eq!(lines(&about), ["service `web`: 500-599 retried at most 3 times, without a budget"]);
    }
}
