//! `meshy up --program`: programs of this machine, and what was rewritten for them.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Event, ObjectReference, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde::Serialize;

use crate::context::Context;
use meshy_base::error::AdviseError as _;
use meshy_embedded::{NO_SERVICE_REWRITTEN, PROGRAM_EVENTS};
use meshy_lab::lab::{Program, Programs, Record};
use meshy_linkerd::lint::{self, Finding};

/// The flags for programs of this machine.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Programs")]
pub(super) struct ProgramArgs {
    /// Run a program of this machine instead of an image, on the embedded cluster; may be repeated
    #[arg(long = "program", value_name = "IMAGE=COMMAND")]
    programs: Vec<String>,
    /// Set HTTP_PROXY for programs that read the names of Services from files or code, not from their environment
    #[arg(long, requires = "programs")]
    http_proxy: bool,
    /// Run the test service in place of a Service, for example price=errors:30%,delay:200ms,calls:tax+stock; may be repeated
    #[arg(long = "stub", value_name = "NAME")]
    pub(super) stubs: Vec<String>,
}

/// What happened to the environment of a program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Rewritten {
    /// The namespace of the pod.
    namespace: String,
    /// The pod.
    pod: String,
    /// `VARIABLE: SERVICE is ADDRESS`, or what is unusual.
    text: String,
}

impl ProgramArgs {
    /// Returns the programs that the flags name; `None` without one.
    ///
    /// # Errors
    /// A flag is not valid, or a program is not there.
    pub(super) fn programs(&self) -> anyhow::Result<Option<Programs>> {
        if self.programs.is_empty() {
            return Ok(None);
        }
        let folder = std::env::current_dir().context("cannot find the current folder")?;
        let images = self.programs.iter().map(|text| Program::parse(text, &folder));
        let images = images.collect::<anyhow::Result<_>>()?;
        Ok(Some(Programs { images, http_proxy: self.http_proxy }))
    }
}

/// What programs print when their port is taken.
const PORT_TAKEN: [&str; 2] = ["address already in use", "eaddrinuse"];

/// Reads what was rewritten for the programs that run, and prints it.
///
/// # Errors
/// The events cannot be read.
pub(super) async fn report(context: &Context, record: &Record) -> anyhow::Result<Vec<Rewritten>> {
    let rewritten = read(context, record, &PROGRAM_EVENTS).await?;
    let mut pods: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for found in &rewritten {
        pods.entry((&found.namespace, &found.pod)).or_default().push(&found.text);
    }
    for ((namespace, pod), texts) in pods {
        context.report.say(format!("program of pod `{namespace}/{pod}`: {}", texts.join("; ")));
    }
    Ok(rewritten)
}

/// Returns a finding for each workload whose programs have no replaced value in their environment: calls of theirs may bypass the
/// proxy. It names the first pod.
///
/// # Errors
/// The pods or events cannot be read.
pub(in crate::commands) async fn lint(context: &Context, record: &Record) -> anyhow::Result<Vec<Finding>> {
    if record.programs().is_none() {
        return Ok(Vec::new());
    }
    let (pods, events) = events_of_pods(context, record).await?;
    Ok(findings(&pods, events))
}

fn findings(pods: &[Pod], events: Vec<Event>) -> Vec<Finding> {
    let mut of_workload = BTreeMap::new();
    for event in events.into_iter().filter(|event| event.reason.as_deref() == Some(NO_SERVICE_REWRITTEN)) {
        let ObjectReference { uid, field_path, .. } = event.involved_object;
        // Events outlive their pods.
        let Some(pod) = pods.iter().find(|pod| pod.metadata.uid == uid && uid.is_some()) else { continue };
        let owner = pod.metadata.owner_references.iter().flatten().next().map(|owner| &owner.uid);
        let field = field_path.unwrap_or_default();
        let finding = lint::program(&pod.namespace().unwrap_or_default(), &pod.name_any(), &field);
        let workload = (pod.namespace(), owner.or(pod.metadata.uid.as_ref()), field);
        let first = of_workload.entry(workload).or_insert_with(|| finding.clone());
        if finding.place < first.place {
            *first = finding;
        }
    }
    let mut findings: Vec<Finding> = of_workload.into_values().collect();
    findings.sort_by(|a, b| a.place.cmp(&b.place));
    findings
}

/// Reads the events with these reasons of the pods that run.
async fn read(context: &Context, record: &Record, reasons: &[&str]) -> anyhow::Result<Vec<Rewritten>> {
    if record.programs().is_none() {
        return Ok(Vec::new());
    }
    let (pods, events) = events_of_pods(context, record).await?;
    Ok(rewritten(events, &pods, reasons))
}

async fn events_of_pods(context: &Context, record: &Record) -> anyhow::Result<(Vec<Pod>, Vec<Event>)> {
    let client = context.client_of(record).await?;
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = pods.list(&ListParams::default()).await.context("cannot list the pods")?;
    let events: Api<Event> = Api::all(client);
    let events = events.list(&ListParams::default()).await.context("cannot read the events of the pods")?;
    Ok((pods.items, events.items))
}

/// Adds a hint to the failure of a program whose port is taken.
pub(super) fn explain(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}").to_lowercase();
    if !PORT_TAKEN.iter().any(|taken| text.contains(taken)) {
        return error;
    }
    let hint = "the program listens on a fixed port that another process has: let it read its port from PORT, or from an argument \
                or variable that contains the container's port";
    error.hint(hint)
}

/// Returns the events of these pods as text; events outlive their pods.
fn rewritten(events: Vec<Event>, pods: &[Pod], reasons: &[&str]) -> Vec<Rewritten> {
    let uids: HashSet<&str> = pods.iter().filter_map(|pod| pod.metadata.uid.as_deref()).collect();
    let shown = |event: Event| {
        let is_shown = event.reason.as_deref().is_some_and(|reason| reasons.contains(&reason))
            && event.involved_object.uid.as_deref().is_some_and(|uid| uids.contains(uid));
        is_shown.then(|| Rewritten {
            namespace: event.involved_object.namespace.unwrap_or_default(),
            pod: event.involved_object.name.unwrap_or_default(),
            text: event.message.unwrap_or_default(),
        })
    };
    let mut all: Vec<Rewritten> = events.into_iter().filter_map(shown).collect();
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lint_names_each_workload_once_whose_program_has_no_replaced_value() {
        let pod = |name: &str, uid: &str, owner: &str| {
            let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner});
            json!({"metadata": {"name": name, "namespace": "shop", "uid": uid, "ownerReferences": [owner]}})
        };
        let pods = json!([pod("web-b", "1", "web"), pod("web-a", "2", "web"), pod("cart-a", "3", "cart")]);
        let event = |reason: &str, uid: &str| {
            json!({
                "metadata": {},
                "reason": reason,
                "involvedObject": {"uid": uid, "fieldPath": "spec.containers{app}"},
            })
        };
        let none = NO_SERVICE_REWRITTEN;
        let events =
            json!([event(none, "1"), event(none, "2"), event("ServiceRewritten", "3"), event(none, "gone")]);
        let (pods, events): (Vec<Pod>, Vec<Event>) =
            (serde_json::from_value(pods).unwrap(), serde_json::from_value(events).unwrap());
        let found = findings(&pods, events);
        let places: Vec<(&str, &str)> =
            found.iter().map(|one| (one.place.name.as_str(), one.place.field.as_str())).collect();
        assert_eq!(places, [("web-a", "spec.containers{app}.env")]);
        assert_eq!(found[0].id, "program-calls-unknown");
    }
}
