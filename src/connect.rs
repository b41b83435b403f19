//! From the flags to a client: the lab's own cluster, or the one that `--context` names. Never the current context.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::cluster;
use crate::context::Context;
use crate::error::{Advise, Exit};
use crate::k8s;
use crate::lab::Record;

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
    /// There is no such lab or context; the lab is stopped; the kubeconfig cannot be read. The cluster itself is not asked yet.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        match (&self.global.context, self.lab()?) {
            (Some(context), _) => client(context, self.global.kubeconfig.as_deref()).await,
            (None, Some(lab)) => {
                cluster::reach::refuse_stopped(&lab)?;
                self.client_of(&lab).await
            }
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
    let file = match kubeconfig {
        Some(file) => Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display())),
        None => Kubeconfig::read().context("cannot read the kubeconfig"),
    };
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..Default::default() };
    let config = kube::Config::from_custom_kubeconfig(file?, &options).await;
    let config =
        config.with_context(|| format!("cannot use context `{context}`")).exit(Exit::Prerequisite)?;
    let server = config.cluster_url.clone();
    let plain = kube::Client::try_from(config).context("cannot prepare the connection to the cluster")?;
    Ok(k8s::checked(plain, &server))
}
