//! What tab completion offers beyond flags: labs, overlays, runs, pages, and what is on the lab's cluster.

use std::ffi::OsStr;
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::runs;
use meshy_base::activity;
use meshy_base::exec::children;
use meshy_lab::lab::{self, Record};
use meshy_lab::{connect, files};

/// How long a key press may wait for the cluster.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The command line with candidates for its values. Selected by the argument's name, so that a new command has them too.
pub fn with_candidates(command: Command) -> Command {
    let names: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
    let mut command = names.iter().fold(command, |command, name| {
        let Some(offer) = offer(name) else { return command };
        command.mut_arg(name, |arg| {
            arg.add(ArgValueCompleter::new(move |typed: &OsStr| fitting(typed, offer())))
        })
    });
    let subcommands: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in subcommands {
        command = command.mut_subcommand(name, with_candidates);
    }
    command
}

fn offer(argument: &str) -> Option<fn() -> Vec<String>> {
    match argument {
        "name" => Some(labs),
        "overlay" | "overlays" => Some(files::overlays),
        "what" => Some(explainable),
        "run" | "first" | "second" => Some(recorded),
        "service" => Some(services),
        "target" | "from" | "workloads" => Some(workloads),
        _ => None,
    }
}

fn fitting(typed: &OsStr, all: Vec<String>) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    all.into_iter().filter(|one| one.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

fn labs() -> Vec<String> {
    lab::names().unwrap_or_default().into_iter().map(String::from).collect()
}

fn recorded() -> Vec<String> {
    let mut all = runs::ids().unwrap_or_default();
    all.push("last".to_owned());
    all
}

fn explainable() -> Vec<String> {
    recorded().into_iter().chain(files::pages().map(str::to_owned)).collect()
}

/// The services of namespace `default`; without a cluster those that meshy ships.
fn services() -> Vec<String> {
    on_cluster(async |client| {
        let found = Api::<Service>::default_namespaced(client).list(&ListParams::default()).await?;
        Ok(found.iter().map(ResourceExt::name_any).collect())
    })
    .unwrap_or_else(files::overlays)
}

fn workloads() -> Vec<String> {
    on_cluster(async |client| {
        let found = Api::<Deployment>::default_namespaced(client).list(&ListParams::default()).await?;
        Ok(found.iter().map(|one| format!("deploy/{}", one.name_any())).collect())
    })
    .unwrap_or_else(|| files::overlays().into_iter().map(|name| format!("deploy/{name}")).collect())
}

/// Reads the cluster of the lab that `--name` would mean without a flag. Without a response in time there are no candidates.
fn on_cluster(ask: impl AsyncFnOnce(kube::Client) -> anyhow::Result<Vec<String>>) -> Option<Vec<String>> {
    let name = match std::env::var("MESHY_NAME") {
        Ok(name) => name.parse().ok()?,
        Err(_) => lab::unnamed(false),
    };
    let lab = Record::load(&name).ok()??;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async {
        let asked = async {
            let client = connect::client_of(&lab, None).await?;
            ask(client).await
        };
        tokio::time::timeout(TIMEOUT, asked).await.ok()?.ok()
    });
    // A file that is still being read, or a plugin that still runs, must not hold up the shell.
    runtime.shutdown_background();
    if activity::has_program() {
        children::end();
    }
    found
}
