//! `meshy inject`: a proxy into a workload, and proof of it.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use meshy_linkerd::inject::{self, Done, Mode};
use serde::Serialize;
use serde_json::Value;

use crate::context::Context;
use crate::mesh::explain;
use crate::mesh::injection::{self, Outcome};
use crate::mesh::workloads::{self, NoWorkload, Selection};
use meshy_base::error::{self, Advise, Exit};
use meshy_base::input;
use meshy_kube::{Kinds, Object};
use meshy_lab::addons::ingress_nginx;

/// How a proxy routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ModeArg {
    /// By the original destination.
    Enabled,
    /// By the header `l5d-dst-override`, for ingress controllers.
    Ingress,
}

/// Which workloads: shared by `inject` and `uninject`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Which {
    /// Workloads as deploy/NAME, sts/NAME or ds/NAME; `-` filters YAML from stdin; none: the ingress controller
    #[arg(value_name = "WORKLOAD")]
    pub workloads: Vec<String>,
    /// The workloads' namespace
    #[arg(long, short, default_value = "default", value_name = "NAMESPACE")]
    pub namespace: String,
    /// All workloads of the namespace
    #[arg(long, conflicts_with_all = ["workloads", "selector"])]
    pub all: bool,
    /// The workloads with these labels
    #[arg(long, short = 'l', conflicts_with = "workloads", value_name = "LABELS")]
    pub selector: Option<String>,
}

/// Flags of `meshy inject`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy inject                      the ingress controller, in ingress mode\n  \
                        meshy inject deploy/web -n shop\n  kubectl get deploy -o yaml | meshy inject - | kubectl apply -f -\n  \
                        meshy inject --explain web-5d9c7-x2x4z\n  meshy inject --remove --all -n shop"
)]
pub struct Args {
    #[command(flatten)]
    which: Which,
    /// How the proxies route [default: ingress for the ingress controller, enabled for all others]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeArg>,
    /// Remove the proxies; if a namespace or a manifest requests a proxy, set the annotation to `disabled`
    #[arg(long, conflicts_with_all = ["mode", "explain"])]
    remove: bool,
    /// Show why this pod is not meshed, or what is wrong with its proxy
    #[arg(long, value_name = "POD", conflicts_with_all = ["workloads", "all", "selector", "mode"])]
    explain: Option<String>,
}

/// What the command did.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    workloads: Vec<Outcome>,
}

/// Meshes workloads, or reports why a pod is not meshed.
///
/// # Errors
/// No such workload or pod, a refusal of the API server, or a pod without a ready proxy afterwards.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.remove {
        return remove(context, &args.which).await;
    }
    if args.which.workloads == ["-"] {
        let mode = if args.mode == Some(ModeArg::Ingress) { Mode::Ingress } else { Mode::Enabled };
        return filter(context, |object| inject::annotate(object, mode));
    }
    if let Some(pod) = &args.explain {
        return explain_pod(context, &context.client().await?, &args.which.namespace, pod).await;
    }
    let client = context.client_for_change("mesh workloads of").await?;
    let workloads = args.which.find(&client).await?;
    let mode = |workload: &Object| match args.mode {
        Some(ModeArg::Enabled) => Mode::Enabled,
        Some(ModeArg::Ingress) => Mode::Ingress,
        None if is_ingress(workload) => Mode::Ingress,
        None => Mode::Enabled,
    };
    change(context, &client, workloads, |workload| Some(mode(workload))).await
}

/// Removes proxies from workloads.
async fn remove(context: &Context, which: &Which) -> anyhow::Result<Exit> {
    if which.workloads == ["-"] {
        return filter(context, inject::remove);
    }
    let client = context.client_for_change("remove proxies from").await?;
    let workloads = which.find(&client).await?;
    change(context, &client, workloads, |_| None).await
}

impl Which {
    /// The selected workloads; the ingress controller without a selection.
    async fn find(&self, client: &kube::Client) -> anyhow::Result<Vec<Object>> {
        let mut selection = Selection {
            names: self.workloads.clone(),
            namespace: self.namespace.clone(),
            all: self.all,
            selector: self.selector.clone(),
        };
        if self.workloads.is_empty() && !self.all && self.selector.is_none() {
            selection.names = vec![format!("deploy/{}", ingress_nginx::CONTROLLER)];
            selection.namespace = ingress_nginx::NAMESPACE.to_owned();
            let found = workloads::find(client, &selection).await;
            if !found.as_ref().is_err_and(|error| error::cause::<NoWorkload>(error).is_some()) {
                return found;
            }
            return found.context("there is no ingress controller to mesh").hint(
                "name the workloads: `meshy inject deploy/NAME -n NAMESPACE`; `meshy up --ingress nginx` installs a controller",
            );
        }
        workloads::find(client, &selection).await
    }
}

fn is_ingress(workload: &Object) -> bool {
    workload.metadata.name.as_deref() == Some(ingress_nginx::CONTROLLER)
}

/// Sets each workload's mode, all at the same time, and judges the pods that come of it.
async fn change(
    context: &Context,
    client: &kube::Client,
    workloads: Vec<Object>,
    mode: impl Fn(&Object) -> Option<Mode>,
) -> anyhow::Result<Exit> {
    if context.dry_run {
        for workload in &workloads {
            let word = mode(workload).map_or("no proxy", Mode::as_str);
            context
                .report
                .say(format!("would set {} to `{word}` and restart it", injection::title(workload)));
        }
        return Ok(Exit::Done);
    }
    let kinds = Kinds::new(client.clone());
    let each = workloads
        .iter()
        .map(|workload| injection::set(&kinds, workload, mode(workload), &context.report, context.deadline));
    let results = futures::future::join_all(each).await;
    let outcomes: Vec<Outcome> = results.into_iter().collect::<anyhow::Result<_>>()?;
    let document = Document { workloads: outcomes };
    context.data(&document, words)?;
    injection::evaluate(&document.workloads)?;
    Ok(Exit::Done)
}

fn words(document: &Document) -> String {
    let mut text = String::new();
    for outcome in &document.workloads {
        for pod in &outcome.pods {
            let proxy = pod.proxy.map_or("no proxy".to_owned(), |kind| format!("proxy as {kind}"));
            let ready = if pod.ready { "ready" } else { "not ready" };
            let until =
                pod.certificate_until_seconds.and_then(|s| jiff::Timestamp::from_second(s as i64).ok());
            let until = until.map(|t| format!(", certificate until {t}")).unwrap_or_default();
            let why = if pod.proxy.is_none() && outcome.mode != "disabled" {
                pod.why_not.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
            } else {
                String::new()
            };
            text += &format!("{}  {}  {proxy}, {ready}{until}{why}\n", outcome.workload, pod.pod);
        }
    }
    text
}

/// Reads YAML from stdin, changes each object and prints the lot.
fn filter(context: &Context, change: impl Fn(&mut Value) -> Vec<inject::Outcome>) -> anyhow::Result<Exit> {
    let text = input::any_text(Path::new("-")).context("cannot read stdin")?;
    let documents: Vec<Value> =
        serde_yaml::from_multiple(&text).context("stdin is not YAML").exit(Exit::Usage)?;
    let mut out = Vec::new();
    let mut workloads = 0;
    for mut document in documents.into_iter().filter(|d| !d.is_null()) {
        for outcome in change(&mut document) {
            let what = format!("{} `{}`", outcome.kind.to_lowercase(), outcome.name);
            workloads += usize::from(outcome.done != Done::NotAWorkload);
            match outcome.done {
                Done::Annotated => context.report.say(format!("{what} annotated")),
                Done::Removed => context.report.say(format!("{what}: annotation removed")),
                Done::Already => context.report.say(format!("{what} unchanged")),
                Done::HostNetwork => {
                    context.report.warn(format!("{what} unchanged: it uses the node's network"));
                }
                Done::NotAWorkload => context.report.say(format!("{what} unchanged: it creates no pods")),
            }
        }
        out.push(serde_yaml::to_string(&document).context("cannot write YAML")?);
    }
    crate::ui::data(&out.join("---\n"))?;
    if workloads == 0 {
        return Err(anyhow!("there is no workload on stdin")).exit(Exit::Usage);
    }
    Ok(Exit::Done)
}

async fn explain_pod(
    context: &Context,
    client: &kube::Client,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Exit> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = pods.get_opt(name).await.context("cannot read the pod")?;
    let pod = pod.ok_or_else(|| anyhow!("there is no pod `{name}` in namespace `{namespace}`"));
    let pod = pod.hint("`-n NAMESPACE` selects another namespace").exit(Exit::Usage)?;
    let why = explain::pod(client, &pod).await?;
    let document = serde_json::json!({"pod": name, "namespace": namespace, "why": why});
    context.data(&document, |_| why.join("\n"))?;
    Ok(Exit::Done)
}
