//! `meshy policy apply` and `delete`: policies of every kind, with lint, a check for conflicts, and evidence.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::error::{Advise as _, Exit};
use meshy_kube::{Kinds, Object, manifest};
use meshy_lab::files;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{self, Clients, Evidence, Options, Outcome, PolicyChange, PolicyKind, State};
use serde_json::json;

use super::super::proof::{self, Proof};
use super::super::toggle::{Load, Toggle};
use crate::context::Context;
use crate::mesh::survey;

/// The flags of `meshy policy apply`.
#[derive(Debug, clap::Args)]
pub(super) struct ApplyArgs {
    /// A file, `-` for stdin, or the name of a policy that ships with meshy
    #[arg(value_name = "FILE|NAME")]
    file: PathBuf,
    /// The namespace of objects that name none
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
    /// Restart stale clients, whose proxies still use the earlier policy
    #[arg(long)]
    restart_clients: bool,
    /// Apply although lint finds an error, and take over fields that other tools own
    #[arg(long)]
    force: bool,
    /// Measure for this long before and after: with a load for the services of the original demo, else the requests of the clients
    #[arg(long, value_parser = meshy_base::duration::parse, value_name = "DURATION")]
    pub(super) measure: Option<Duration>,
    #[command(flatten)]
    load: Load,
}

/// The flags of `meshy policy delete`.
#[derive(Debug, clap::Args)]
pub(super) struct DeleteArgs {
    /// A file, `-` for stdin, the name of a policy that ships with meshy, or KIND/NAME such as sp/cart, httproute/cart-retry, service/cart; of a Service only the annotations of policies that meshy applied are removed
    #[arg(value_name = "FILE|KIND/NAME")]
    what: String,
    /// The namespace of objects that name none
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    namespace: String,
}

/// Applies the policies of a file. All are checked before the first one is written.
pub(super) async fn apply(context: &Context, args: ApplyArgs) -> anyhow::Result<Exit> {
    let objects = read(&args.file)?;
    let changes = objects.iter().map(|object| PolicyChange::of(object.clone(), &args.namespace));
    let changes: Vec<PolicyChange> = changes.collect::<anyhow::Result<_>>()?;
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    evaluate(context, &client, &objects, &args).await?;
    let options = Options { force: args.force, dry_run: context.dry_run, deadline: context.deadline };
    for change in &changes {
        let check = Options { dry_run: true, ..options };
        change
            .apply(&kinds, &check)
            .await
            .with_context(|| format!("cannot apply the {}", change.describe()))?;
    }
    if options.dry_run {
        for change in &changes {
            context.report.say(format!("would apply the {}; the API server accepts it", change.describe()));
        }
        return Ok(Exit::Done);
    }
    policy::restore_left(&kinds, &context.report).await?;
    let measured = match (args.measure, concerned(&changes).first()) {
        (Some(length), Some(service)) => {
            let begun =
                Toggle::begin(context, &client, ("policy apply", service), length, &args.load).await?;
            if begun.interrupted() {
                context.report.say("interrupted; nothing was applied");
                return Ok(Exit::Interrupted);
            }
            Some(begun)
        }
        (Some(_), None) => {
            return Err(anyhow!("{} names no service whose clients can be measured", args.file.display()))
                .hint("`meshy stat --watch` shows the requests that arrive at workloads")
                .exit(Exit::Usage);
        }
        (None, _) => None,
    };
    let mut watched = Vec::new();
    for service in concerned(&changes) {
        watched.push((service.clone(), Clients::of(&client, &service, context.deadline).await?));
    }
    for change in &changes {
        let work = async {
            let outcome = change.apply(&kinds, &options).await?.outcome;
            anyhow::Ok(((), outcome.words().to_owned()))
        };
        context.report.run("Applying", change.describe(), work).await?;
    }
    let mut seen = Vec::new();
    for (service, clients) in watched {
        let evidence = evidence_of(&changes, &service);
        let wanted = Proof { service, evidence, restart: args.restart_clients };
        seen.extend(proof::observe(context, &kinds, &wanted, clients).await?);
    }
    for change in &changes {
        seen.extend(of_servers(context, &kinds, change, &args.namespace).await?);
    }
    match measured {
        Some(measured) => {
            // The load of a client that uses the old policy would be shown as that of the new one.
            proof::evaluate(&seen)?;
            measured.end(context, &client, &seen).await
        }
        None => {
            context.data(&seen, |seen| proof::table(seen))?;
            proof::evaluate(&seen)
        }
    }
}

/// Deletes the policies that a file or a name names.
pub(super) async fn delete(context: &Context, args: DeleteArgs) -> anyhow::Result<Exit> {
    let changes = match args.what.split_once('/') {
        Some((kind, name)) if !Path::new(&args.what).exists() && PolicyKind::find(kind).is_some() => {
            let kind = PolicyKind::find(kind).context("the kind was found before")?;
            vec![PolicyChange::without(kind, &full_name(kind, name, &args.namespace), &args.namespace)]
        }
        _ => {
            let objects = read(Path::new(&args.what))?;
            let changes = objects.iter().map(|object| PolicyChange::without_object(object, &args.namespace));
            changes.collect::<anyhow::Result<_>>()?
        }
    };
    let client = context.client_for_change("change a policy in").await?;
    let kinds = Kinds::new(client.clone());
    if context.dry_run {
        changes.iter().for_each(|one| context.report.say(format!("would delete the {}", one.describe())));
        return Ok(Exit::Done);
    }
    policy::restore_left(&kinds, &context.report).await?;
    let options = Options { force: false, dry_run: false, deadline: context.deadline };
    let mut seen = Vec::new();
    // What refers to others goes first.
    for change in changes.iter().rev() {
        let mut watched = Vec::new();
        for service in change.services() {
            watched.push((service.clone(), Clients::of(&client, &service, context.deadline).await?));
        }
        let outcome = change.apply(&kinds, &options).await?.outcome;
        context.report.say(match outcome {
            Outcome::Absent | Outcome::Unchanged => format!("there was no {}", change.describe()),
            _ => format!("{} deleted", change.describe()),
        });
        if outcome == Outcome::Absent || outcome == Outcome::Unchanged {
            continue;
        }
        for (service, clients) in watched {
            let wanted = Proof { service, evidence: change.evidence().clone(), restart: false };
            seen.extend(proof::observe(context, &kinds, &wanted, clients).await?);
        }
    }
    context.data(&seen, |seen| proof::table(seen))?;
    proof::evaluate(&seen)
}

/// A profile has the full name of its service.
fn full_name(kind: PolicyKind, name: &str, namespace: &str) -> String {
    let is_short = kind.kind == "ServiceProfile" && !name.contains('.');
    if is_short { meshy_linkerd::names::service_fqdn(name, namespace) } else { name.to_owned() }
}

/// The services that the changes concern, each once.
fn concerned(changes: &[PolicyChange]) -> Vec<Service> {
    let mut services: Vec<Service> = Vec::new();
    for service in changes.iter().flat_map(PolicyChange::services) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// What shows that a client of a service uses the changes: those of the object that wins, a profile before a route before
/// annotations. With several routes, requests that any of them counts.
fn evidence_of(changes: &[PolicyChange], service: &Service) -> Evidence {
    let own: Vec<&Evidence> = changes
        .iter()
        .filter(|change| change.services().contains(service))
        .map(PolicyChange::evidence)
        .collect();
    let routes: Vec<&&Evidence> = own.iter().filter(|one| matches!(one, Evidence::Policy(Some(_)))).collect();
    match (own.iter().find(|one| matches!(one, Evidence::Profile)), &routes[..]) {
        (Some(profile), _) => (**profile).clone(),
        (None, [route]) => (**route).clone(),
        (None, _) => Evidence::Policy(None),
    }
}

/// What the proxies of servers show of a change.
async fn of_servers(
    context: &Context,
    kinds: &Kinds,
    change: &PolicyChange,
    namespace: &str,
) -> anyhow::Result<Vec<policy::Client>> {
    match change.evidence() {
        Evidence::Server { label, name } => {
            let step =
                context.report.step("Verifying", format!("servers that use the {}", change.describe()));
            let mut seen = policy::servers(kinds, namespace, label, name, context.deadline).await?;
            // An authorization concerns some pods of the namespace; the others count by their own.
            if *label == "authz_name" && seen.iter().any(|one| one.state == State::InForce) {
                seen.retain(|one| one.state == State::InForce);
            }
            step.done(proof::words(&seen));
            // Several policies of a namespace can apply to one server: that another one counts a request is not a failure.
            Ok(seen)
        }
        Evidence::Uncounted(why) => {
            context.report.say(format!("{}: not verified, {why}", change.describe()));
            Ok(Vec::new())
        }
        _ => Ok(Vec::new()),
    }
}

/// Reads the objects of a file, or of a policy that ships with meshy.
fn read(file: &Path) -> anyhow::Result<Vec<Object>> {
    let name = file.to_string_lossy();
    let bare = !name.contains('/') && !file.exists();
    let text = match files::policy(&name).filter(|_| bare) {
        Some(text) => text.to_owned(),
        None => super::super::lint::read(file)
            .hint(format!("without a path: {}, which ship with meshy", files::policies().join(", ")))?,
    };
    let objects = manifest::parse(&text).with_context(|| format!("in {name}")).exit(Exit::Usage)?;
    if objects.is_empty() {
        return Err(anyhow!("{name} has no object")).exit(Exit::Usage);
    }
    Ok(objects)
}

/// Lints the objects against the cluster: errors stop, warnings are reported.
async fn evaluate(
    context: &Context,
    client: &kube::Client,
    objects: &[Object],
    args: &ApplyArgs,
) -> anyhow::Result<()> {
    let mut world = survey::world(client).await?;
    world.set_only_targets(objects.iter().map(|object| {
        let mut object = object.clone();
        object.metadata.namespace.get_or_insert_with(|| args.namespace.clone());
        json!(object)
    }));
    let refusal = format!("lint found errors in {}; nothing was applied", args.file.display());
    survey::evaluate(&context.report, &world, args.force, &refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_that_wins_is_the_one_that_must_be_counted() {
        let object = |kind: &str, version: &str, name: &str, spec: serde_json::Value| -> PolicyChange {
            let annotations = json!({"retry.linkerd.io/http": "5xx"});
            let metadata = json!({"name": name, "namespace": "shop", "annotations": annotations});
            let object = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec});
            PolicyChange::of(serde_json::from_value(object).unwrap(), "shop").unwrap()
        };
        let parents = json!({"parentRefs": [{"group": "", "kind": "Service", "name": "cart"}]});
        let route = |name: &str| object("HTTPRoute", "gateway.networking.k8s.io/v1", name, parents.clone());
        let service = object("Service", "v1", "cart", json!({}));
        let profile =
            object("ServiceProfile", "linkerd.io/v1alpha2", "cart.shop.svc.cluster.local", json!({}));
        let cart = Service { namespace: "shop".to_owned(), name: "cart".to_owned() };
        let of = |changes: &[PolicyChange]| evidence_of(changes, &cart);
        assert_eq!(of(std::slice::from_ref(&service)), Evidence::Policy(None));
        assert_eq!(of(&[service.clone(), route("a")]), Evidence::Policy(Some("a".to_owned())));
        assert_eq!(of(&[route("a"), route("b")]), Evidence::Policy(None));
        assert_eq!(of(&[route("a"), service, profile.clone()]), Evidence::Profile);
        assert_eq!(concerned(&[route("a"), route("b"), profile]), [cart]);
    }

    #[test]
    fn a_profile_is_named_by_its_service_and_other_policies_by_their_name() {
        let name = |kind: &str, name: &str| full_name(PolicyKind::find(kind).unwrap(), name, "shop");
        assert_eq!(name("sp", "cart"), "cart.shop.svc.cluster.local");
        assert_eq!(name("sp", "cart.front.svc.cluster.local"), "cart.front.svc.cluster.local");
        assert_eq!(name("httproute", "cart"), "cart");
    }
}
