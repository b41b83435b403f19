//! `meshy check --bundle`: a redacted archive for bug reports.

use meshy_kube::failure;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use serde::Serialize;
use tokio::time::timeout;

use crate::context::Context;
use crate::support::{Archive, redact};
use meshy_base::bounded::{self, Links};
use meshy_base::error::{Advise, Exit};
use meshy_lab::cluster::reach;

/// How long one question to the cluster may take: a sick cluster must not keep its own bundle from being made.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The largest log in the lab's folder that goes in.
const LOG_BYTES: u64 = 64 << 20;

/// How much of each container's log goes in.
const LOG_LINES: i64 = 500;

/// The kinds that are looked at. Secrets are not among them.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "v1", "Node"),
    ("", "v1", "Namespace"),
    ("", "v1", "Pod"),
    ("", "v1", "Service"),
    ("", "v1", "Event"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "ReplicaSet"),
    ("discovery.k8s.io", "v1", "EndpointSlice"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
    ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration"),
    ("linkerd.io", "v1alpha2", "ServiceProfile"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
];

#[derive(Debug, Serialize)]
struct Written {
    file: PathBuf,
    entries: Vec<String>,
    left_out: Vec<String>,
}

/// Writes the bundle.
///
/// # Errors
/// The file exists or cannot be written. A cluster that does not respond is noted in the bundle instead.
pub(super) async fn run(context: &Context, path: PathBuf) -> anyhow::Result<Exit> {
    if context.dry_run {
        context.report.say(format!("would write {} from lab `{}`", path.display(), context.name));
        return Ok(Exit::Done);
    }
    let mut open = fs::OpenOptions::new();
    let file = open.write(true).create_new(true).mode(0o600).open(&path);
    let mut file = file
        .with_context(|| format!("cannot create {}", path.display()))
        .hint("an existing file is never overwritten; name another one")
        .exit(Exit::Usage)?;
    let incomplete = Incomplete(&path);
    let step = context.report.step("Collecting", format!("lab `{}`", context.name));
    let mut archive = Archive::default();
    archive.add("versions.txt", &format!("meshy {}\n{}\n", env!("CARGO_PKG_VERSION"), std::env::consts::OS));
    if let Some(lab) = context.lab()? {
        archive.add("lab.json", &serde_json::to_string_pretty(&lab)?);
    }
    local_logs(context, &mut archive)?;
    match client(context).await {
        Ok(client) => {
            if let Some(error) = cluster(context, &client, &mut archive).await {
                context.report.warn(failure::plain(&reach::explain(context, error).await));
            }
        }
        Err(error) => {
            archive.missing("cluster", failure::plain(&error));
            context.report.warn(crate::ui::error::render(&error).trim_end());
        }
    }
    let (bytes, entries, left_out) = archive.finish()?;
    file.write_all(&bytes).with_context(|| format!("cannot write {}", path.display()))?;
    std::mem::forget(incomplete);
    step.done(format!("{} files", entries.len()));
    let written = Written { file: path, entries, left_out };
    context.data(&written, |w| {
        format!(
            "{}: {} files, {} left out; keys and tokens are redacted",
            w.file.display(),
            w.entries.len(),
            w.left_out.len()
        )
    })?;
    Ok(Exit::Done)
}

/// The logs in the lab's own folder (the embedded cluster's).
fn local_logs(context: &Context, archive: &mut Archive) -> anyhow::Result<()> {
    let Ok(folder) = fs::read_dir(meshy_lab::lab::folder(&context.name)?) else { return Ok(()) };
    for entry in folder.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "log") {
            let name = format!("lab/{}", entry.file_name().to_string_lossy());
            match bounded::read(&path, LOG_BYTES, Links::Refused) {
                Ok(text) => archive.add(&name, &String::from_utf8_lossy(&text)),
                Err(error) => archive.missing(&name, error.to_string()),
            }
        }
    }
    Ok(())
}

/// How long one request may take now: what was collected is written also when there is little time.
fn patience(context: &Context) -> Duration {
    TIMEOUT.min(context.remaining())
}

async fn client(context: &Context) -> anyhow::Result<kube::Client> {
    let opened = timeout(patience(context), context.client()).await;
    opened.unwrap_or_else(|_| Err(anyhow!("its credentials were not there in time")))
}

/// A file that was made and is not complete: removed when dropped.
struct Incomplete<'a>(&'a Path);

impl Drop for Incomplete<'_> {
    fn drop(&mut self) {
        // Also on a timeout: the next run must not find a file in its way.
        let _ = fs::remove_file(self.0);
    }
}

/// Collects objects and logs. Returns the first failure of the API server.
async fn cluster(context: &Context, client: &kube::Client, archive: &mut Archive) -> Option<anyhow::Error> {
    let mut failure = None;
    for (group, version, kind) in KINDS {
        let name = format!("objects/{}.json", kind.to_lowercase());
        let list = async {
            let (resource, _) = pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await?;
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            api.list(&ListParams::default()).await
        };
        match timeout(patience(context), list).await {
            Ok(Ok(list)) => {
                archive.add(&name, &serde_json::to_string_pretty(&list.items).unwrap_or_default());
            }
            Ok(Err(error)) => {
                archive.missing(&name, failure::words(&error));
                failure =
                    failure.or_else(|| Some(error.into()).filter(|error| failure::failure(error).is_some()));
            }
            Err(_) => {
                // One request without a response is enough: the others would each wait as long.
                archive.missing(&name, "no response in time; nothing more was requested".to_owned());
                return failure.or_else(|| Some(anyhow!("the API server did not respond in time")));
            }
        }
    }
    logs(context, client, archive).await;
    failure
}

async fn logs(context: &Context, client: &kube::Client, archive: &mut Archive) {
    let all: Api<Pod> = Api::all(client.clone());
    let pods = match timeout(patience(context), all.list(&ListParams::default())).await {
        Ok(Ok(pods)) => pods,
        Ok(Err(error)) => return archive.missing("logs", failure::words(&error)),
        Err(_) => return archive.missing("logs", "no response in time".to_owned()),
    };
    let containers = pods.items.into_iter().flat_map(|pod| {
        let spec = pod.spec.unwrap_or_default();
        let (ns, name) = (pod.metadata.namespace.unwrap_or_default(), pod.metadata.name.unwrap_or_default());
        let all: Vec<_> = spec.init_containers.into_iter().flatten().chain(spec.containers).collect();
        all.into_iter().map(move |container| (ns.clone(), name.clone(), container.name))
    });
    let mut texts = stream::iter(containers)
        .map(|(ns, pod, container)| {
            let api: Api<Pod> = Api::namespaced(client.clone(), &ns);
            async move {
                let wanted = LogParams {
                    container: Some(container.clone()),
                    tail_lines: Some(LOG_LINES),
                    ..Default::default()
                };
                let text = timeout(patience(context), api.logs(&pod, &wanted)).await;
                (format!("logs/{ns}/{pod}/{container}.log"), text)
            }
        })
        .buffer_unordered(8);
    while let Some((name, text)) = texts.next().await {
        match text {
            Ok(Ok(text)) => archive.add(&name, &redact(&text)),
            Ok(Err(error)) => archive.missing(&name, failure::words(&error)),
            Err(_) => archive.missing(&name, "no response in time".to_owned()),
        }
    }
}
