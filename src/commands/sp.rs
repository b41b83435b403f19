//! `meshy sp`: the ServiceProfile onto a service, and proof that its clients follow it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::ResourceExt as _;
use kube::api::Api;
use meshy_linkerd::profile::ServiceProfile;
use meshy_linkerd::{generate, names};
use serde::Serialize;
use serde_json::json;

use super::proof::{self, Proof};
use super::toggle::{Load, Toggle};
use crate::context::Context;
use crate::mesh::survey;
use meshy_base::error::{Advise, Exit};
use meshy_kube::{Kinds, Object, manifest};
use meshy_lab::files;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{self, Client, Clients, Evidence, Options, Outcome, Pauses, PolicyChange};

/// Flags of `meshy sp`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy sp apply                    the original demo's profile for bounced-service\n  \
                        meshy sp apply my-profile.yaml --restart-clients\n  \
                        meshy sp apply --service cart -n shop --ratio 0.2 --min 10\n  \
                        meshy sp apply --measure 30s      before and after, with traffic\n  meshy sp show\n  meshy sp delete"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do with a profile.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Apply a profile and verify that clients use it
    #[command(
        after_help = "Examples:\n  meshy sp apply\n  meshy sp apply my-profile.yaml --restart-clients\n  meshy sp apply --service cart -n shop --openapi cart.yaml"
    )]
    Apply(ApplyArgs),
    /// Delete a profile and verify that clients stopped using it
    #[command(after_help = "Examples:\n  meshy sp delete\n  meshy sp delete my-profile.yaml")]
    Delete(DeleteArgs),
    /// Show a profile, its budget, and the state of each client
    #[command(after_help = "Examples:\n  meshy sp show\n  meshy sp show bounced-service -o json")]
    Show(ShowArgs),
}

/// Flags of `meshy sp apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// A file, `-` for stdin, or the name of a profile that ships with meshy
    #[arg(value_name = "FILE|NAME", default_value = "bounced-service-sp.yaml")]
    profile: PathBuf,
    /// Restart stale clients, whose proxies still use the earlier policy
    #[arg(long)]
    restart_clients: bool,
    /// Apply although lint finds an error, and take over fields that other tools own
    #[arg(long)]
    force: bool,
    /// Measure for this long before and after: with a load for the services of the original demo, else the requests of the clients
    #[arg(long, value_parser = meshy_base::duration::parse, value_name = "DURATION")]
    measure: Option<Duration>,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    generate: Generate,
}

/// A generated profile instead of a file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A generated profile")]
struct Generate {
    /// Generate the profile of this service: its idempotent methods are retried
    #[arg(long, value_name = "SERVICE", conflicts_with = "profile")]
    service: Option<String>,
    /// The namespace of the service
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE", requires = "service")]
    namespace: String,
    /// Retries per request that does not fail (retryRatio)
    #[arg(long, default_value_t = 0.2, value_name = "RATIO", requires = "service")]
    ratio: f64,
    /// Retries per second in addition to the ratio (minRetriesPerSecond)
    #[arg(long, default_value_t = 10, value_name = "COUNT", requires = "service")]
    min: u32,
    /// An OpenAPI document (YAML or JSON), whose operations become the routes; `-` for stdin
    #[arg(long, value_name = "FILE", requires = "service")]
    openapi: Option<PathBuf>,
}

impl Generate {
    /// Generates the profile; none if no service is given.
    fn profile(&self) -> anyhow::Result<Option<serde_json::Value>> {
        let Some(service) = &self.service else { return Ok(None) };
        let document = match &self.openapi {
            None => None,
            Some(file) => {
                let text = super::lint::read(file)?;
                let parsed: serde_json::Value = serde_yaml::from_str(&text)
                    .with_context(|| format!("{} is neither YAML nor JSON", file.display()))
                    .exit(Exit::Usage)?;
                Some(parsed)
            }
        };
        let options = generate::Options {
            namespace: &self.namespace,
            name: service,
            retry_ratio: self.ratio,
            min_retries_per_second: self.min,
        };
        let profile = generate::profile(&options, document.as_ref());
        let from = self.openapi.as_ref().map(|file| format!(" from {}", file.display()));
        let profile = profile.with_context(|| {
            format!("cannot generate a profile for service `{service}`{}", from.unwrap_or_default())
        });
        Ok(Some(profile.exit(Exit::Usage)?.to_value()))
    }
}

/// Flags of `meshy sp delete`.
#[derive(Debug, clap::Args)]
pub(crate) struct DeleteArgs {
    /// The service, a profile's full name, or a file
    #[arg(value_name = "SERVICE|NAME|FILE", default_value = "bounced-service")]
    profile: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

/// Flags of `meshy sp show`.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The service
    #[arg(value_name = "SERVICE", default_value = "bounced-service")]
    service: String,
    /// The service's namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

impl Args {
    /// `--measure` sends load before and after the change.
    pub(crate) fn planned(&self) -> Duration {
        match &self.command {
            Command::Apply(args) => args.measure.unwrap_or_default().saturating_mul(2),
            Command::Delete(_) | Command::Show(_) => Duration::ZERO,
        }
    }
}

/// Runs `meshy sp`.
///
/// # Errors
/// A profile that lint or the API server refuses, or clients that do not follow.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Apply(args) => apply(context, args).await,
        Command::Delete(args) => delete(context, args).await,
        Command::Show(args) => show(context, args).await,
    }
}

async fn apply(context: &Context, args: ApplyArgs) -> anyhow::Result<Exit> {
    let generated = args.generate.profile()?;
    let is_generated = generated.is_some();
    let object = match generated {
        Some(profile) => profile,
        None => read(&args.profile)?,
    };
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    if is_generated {
        let (name, namespace) = (args.generate.service.unwrap_or_default(), args.generate.namespace);
        super::target::read(&client, &Service { name, namespace }).await?;
    }
    let mut world = survey::world(&client).await?;
    world.set_only_target(object.clone());
    let refusal = "lint found errors in the profile; it was not applied";
    survey::evaluate(&context.report, &world, args.force, refusal)?;
    let profile =
        ServiceProfile::from_value(&object).context("Linkerd would reject this profile").exit(Exit::Usage)?;
    let (name, own) =
        profile.service().ok_or_else(|| anyhow!("the profile names no service")).exit(Exit::Usage)?;
    let service = Service { name: name.to_owned(), namespace: own.to_owned() };
    let object: Object = serde_json::from_value(object)?;
    let options = Options { force: args.force, dry_run: context.dry_run, deadline: context.deadline };
    let change = PolicyChange::profile(object);
    if options.dry_run {
        change.apply(&kinds, &options).await?;
        context.report.say(format!("would apply the profile of `{name}`; the API server accepts it"));
        return Ok(Exit::Done);
    }
    policy::restore_left(&kinds, &context.report).await?;
    let measured = match args.measure {
        Some(length) => {
            Some(Toggle::begin(context, &client, ("sp apply", &service), length, &args.load).await?)
        }
        None => None,
    };
    if measured.as_ref().is_some_and(Toggle::interrupted) {
        context.report.say("interrupted; the profile was not applied");
        return Ok(Exit::Interrupted);
    }
    let clients = Clients::of(&client, &service, context.deadline).await?;
    let work = async {
        let outcome = change.apply(&kinds, &options).await?.outcome;
        anyhow::Ok(((), outcome.words().to_owned()))
    };
    context.report.run("Applying", format!("profile of `{}`", service.name), work).await?;
    context.report.say(format!("budget: {}", profile.budget().in_words()));
    let wanted = Proof { service, evidence: change.evidence().clone(), restart: args.restart_clients };
    let Some(measured) = measured else { return proof::run(context, &kinds, wanted, clients).await };
    let seen = proof::observe(context, &kinds, &wanted, clients).await?;
    // A stale client's traffic would show the old policy as the new one's.
    proof::evaluate(&seen)?;
    measured.end(context, &client, &seen).await
}

async fn delete(context: &Context, args: DeleteArgs) -> anyhow::Result<Exit> {
    let (name, namespace) = named(&args.profile, &args.namespace)?;
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    // A cluster without ServiceProfiles is an error with a hint.
    profiles(&kinds, &namespace).await?;
    if context.dry_run {
        context.report.say(format!("would delete the profile `{name}` in `{namespace}`"));
        return Ok(Exit::Done);
    }
    policy::restore_left(&kinds, &context.report).await?;
    let (service, own) = names::parse_service_fqdn(&name).unwrap_or((&name, &namespace));
    let service = Service { name: service.to_owned(), namespace: own.to_owned() };
    let clients = Clients::of(&client, &service, context.deadline).await?;
    let change = PolicyChange::no_profile(&name, &namespace);
    let options = Options { force: false, dry_run: false, deadline: context.deadline };
    if change.apply(&kinds, &options).await?.outcome == Outcome::Absent {
        context.report.say(format!("there was no profile `{name}` in `{namespace}`"));
        return Ok(Exit::Done);
    }
    context.report.say(format!("profile `{name}` deleted"));
    let wanted = Proof { service, evidence: change.evidence().clone(), restart: false };
    proof::run(context, &kinds, wanted, clients).await
}

#[derive(Debug, Serialize)]
struct Shown {
    profile: serde_json::Value,
    budget: String,
    clients: Vec<Client>,
}

async fn show(context: &Context, args: ShowArgs) -> anyhow::Result<Exit> {
    let (name, namespace) = named(&args.service, &args.namespace)?;
    let client = context.client().await?;
    let kinds = Kinds::new(client.clone());
    let api = profiles(&kinds, &namespace).await?;
    let there = api.get_opt(&name).await.context("cannot read the profile")?;
    let mut there = there
        .ok_or_else(|| anyhow!("service `{}` in `{namespace}` has no profile", args.service))
        .hint("`meshy sp apply` applies the profile of the original demo; `meshy retry show` shows retry annotations")?;
    there.metadata.managed_fields = None;
    let profile = ServiceProfile::read_leniently(&json!(there)).context("cannot understand the profile")?;
    let (service, own) = profile.service().unwrap_or((&args.service, &namespace));
    let service = Service { name: service.to_owned(), namespace: own.to_owned() };
    let mut clients = Clients::of(&client, &service, context.deadline).await?;
    let clients = clients.settled(&Evidence::Profile, Pauses::Short, context.deadline).await;
    let shown = Shown { profile: profile.to_value(), budget: profile.budget().in_words(), clients };
    context.data(&shown, |shown| {
        let yaml = serde_yaml::to_string(&shown.profile).unwrap_or_default();
        format!("{yaml}\nbudget: {}\n\n{}", shown.budget, proof::table(&shown.clients))
    })?;
    Ok(Exit::Done)
}

/// Where ServiceProfiles of a namespace are.
async fn profiles(kinds: &Kinds, namespace: &str) -> anyhow::Result<Api<Object>> {
    let served = kinds.served(names::PROFILE_API_VERSION, names::PROFILE_KIND).await?;
    let (resource, _) = served
        .context("this cluster has no ServiceProfiles")
        .hint("`meshy up` installs Linkerd")
        .exit(Exit::Prerequisite)?;
    Ok(Api::namespaced_with(kinds.client().clone(), namespace, &resource))
}

/// The profile's name and namespace for a service, a full name or a file.
fn named(what: &str, namespace: &str) -> anyhow::Result<(String, String)> {
    let is_file = Path::new(what).extension().is_some_and(|e| e == "yaml" || e == "yml");
    if is_file {
        let object: Object = serde_json::from_value(read(Path::new(what))?)?;
        return Ok((object.name_any(), object.namespace().unwrap_or_else(|| namespace.to_owned())));
    }
    match names::parse_service_fqdn(what) {
        Some((_, own)) => Ok((what.to_owned(), own.to_owned())),
        None => Ok((names::service_fqdn(what, namespace), namespace.to_owned())),
    }
}

/// Reads a profile: a bare name means one that ships with meshy, a path the disk.
fn read(file: &Path) -> anyhow::Result<serde_json::Value> {
    let name = file.to_string_lossy();
    let bare = !name.contains('/') && !file.exists();
    let named = [name.to_string(), format!("{name}-sp.yaml")];
    let text = match named.iter().filter(|_| bare).find_map(|name| files::profile(name)) {
        Some(text) => text.to_owned(),
        None => super::lint::read(file)
            .hint(format!("without a path: {}, which ships with meshy", policy::SHIPPED))?,
    };
    let mut objects = manifest::parse(&text).with_context(|| format!("in {name}")).exit(Exit::Usage)?;
    objects.retain(|o| manifest::kind(o) == names::PROFILE_KIND);
    match objects.len() {
        1 => Ok(json!(objects.remove(0))),
        0 => Err(anyhow!("{name} contains no ServiceProfile")).exit(Exit::Usage),
        many => Err(anyhow!("{name} contains {many} ServiceProfiles"))
            .hint(
                "`meshy sp apply` applies one profile and verifies it; `meshy policy apply` applies several",
            )
            .exit(Exit::Usage),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_named_by_service_by_full_name_or_by_the_file_that_comes_with_meshy() {
        let full = "bounced-service.default.svc.cluster.local".to_owned();
        for what in ["bounced-service", &full, "bounced-service-sp.yaml"] {
            assert_eq!(named(what, "default").unwrap(), (full.clone(), "default".to_owned()), "{what}");
        }
        assert!(read(Path::new("no-such.yaml")).is_err());
    }
}
