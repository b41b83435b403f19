//! From the flags to a client: the lab's own cluster, or the one that `--context` names. Never the current context.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::activity::{self, Kind};
use crate::cluster;
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::lab::Record;

mod watched;

impl Context {
    /// The lab's record, if the lab exists.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn lab(&self) -> anyhow::Result<Option<Record>> {
        Record::load(&self.global.name)
    }

    /// A client for the lab's cluster or for `--context`.
    ///
    /// # Errors
    /// There is no such lab or context; the kubeconfig cannot be read. The cluster itself is not asked yet.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        match (&self.global.context, self.lab()?) {
            (Some(context), _) => client(context, self.global.kubeconfig.as_deref()).await,
            (None, Some(lab)) => self.client_of(&lab).await,
            (None, None) => Err(anyhow!("there is no lab `{}`", self.global.name))
                .hint("`meshy up` makes it; `--context CONTEXT` uses a cluster that you have")
                .id("lab-absent")
                .exit(Exit::Prerequisite),
        }
    }

    /// As [`Context::client`], for a command that changes the cluster: one that no lab is on is asked for first.
    ///
    /// # Errors
    /// As there; the answer is no.
    pub async fn client_for_change(&self, act: &str) -> anyhow::Result<kube::Client> {
        if let Some(named) = &self.global.context
            && Record::on_context(named)?.is_none()
        {
            cluster::consent(self, act, named)?;
        }
        self.client().await
    }

    /// A client for a lab's cluster.
    ///
    /// # Errors
    /// The kubeconfig cannot be read or lacks the lab's context.
    pub async fn client_of(&self, lab: &Record) -> anyhow::Result<kube::Client> {
        let kubeconfig = self.global.kubeconfig.as_deref().or(lab.kubeconfig.as_deref());
        client(&lab.context, kubeconfig).await
    }
}

/// A client for a context.
///
/// # Errors
/// The kubeconfig cannot be read or lacks the context.
pub(crate) async fn client(context: &str, kubeconfig: Option<&Path>) -> anyhow::Result<kube::Client> {
    let (name, kubeconfig) = (context.to_owned(), kubeconfig.map(Path::to_owned));
    // Off the runtime: files may be pipes, and a user's exec plugin runs as long as it likes.
    let runtime = tokio::runtime::Handle::current();
    let open = move || {
        let file = read(kubeconfig.as_deref())?;
        let options = KubeConfigOptions { context: Some(name.clone()), ..Default::default() };
        let reading = activity::begin(Kind::File, format!("reading the credentials of context `{name}`"));
        let config = runtime.block_on(kube::Config::from_custom_kubeconfig(file, &options));
        let mut config =
            config.with_context(|| format!("cannot use context `{name}`")).exit(Exit::Prerequisite)?;
        // `--timeout` decides, and names what was waited for.
        (config.connect_timeout, config.write_timeout) = (None, None);
        let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let _waiting = plugin.map(|plugin| {
            drop(reading);
            activity::begin(
                Kind::Program,
                format!("waiting for the exec plugin `{plugin}` of context `{name}` to end"),
            )
        });
        kube::Client::try_from(config).context("cannot prepare the connection to the cluster")
    };
    match tokio::task::spawn_blocking(open).await {
        Ok(plain) => Ok(watched::client(plain?, context)),
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// Reads a kubeconfig, or those of the user.
fn read(kubeconfig: Option<&Path>) -> anyhow::Result<Kubeconfig> {
    match kubeconfig {
        Some(file) => {
            let _reading = activity::reading(file);
            Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display()))
        }
        None => {
            let _reading = activity::begin(Kind::File, "reading the kubeconfig");
            Kubeconfig::read().context("cannot read the kubeconfig")
        }
    }
}
