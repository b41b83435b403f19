//! The cluster of an experiment: the lab that is up, the one of `--context`, or an embedded cluster in this process for as
//! long as the experiment takes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use meshy_embedded::{Cluster, Options};
use tokio::sync::watch;

use crate::mesh::injection;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_lab::lab::{LabName, Provider, Record};
use meshy_lab::{Env, cluster, deploy, overlay};
use meshy_policy::policy::{Pauses, Session};

/// Which cluster an experiment uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A new embedded cluster; `like_linkerd` keeps Linkerd's rule for discoveries.
    Own {
        /// A new profile is unseen by a client until its discovery was idle for 5 s.
        like_linkerd: bool,
    },
    /// The lab, or the cluster of `--context`.
    Deployed,
}

/// The cluster of an experiment.
pub(crate) struct RunCluster {
    /// How to talk to it.
    pub client: kube::Client,
    /// Where its ingress listens, if it has one that this machine reaches.
    pub ingress: Option<SocketAddr>,
    /// The lab's name, else the context.
    pub lab: String,
    /// Whether its mesh is the built-in one of the embedded cluster.
    pub is_embedded: bool,
    /// Whether a client's proxy follows a new profile at once, and not only after five idle seconds.
    pub at_once: bool,
    /// Where its cluster comes from.
    pub provider: &'static str,
    /// How meshy's services are deployed into it.
    pub deploy: deploy::Options,
    /// The context of a cluster that meshy did not create.
    pub foreign: Option<String>,
    own: Option<Cluster>,
}

impl RunCluster {
    /// Returns the choice of a command that uses the lab where one is up.
    ///
    /// # Errors
    /// A lab's record cannot be read.
    pub(crate) fn lab_else_own(env: &Env, like_linkerd: bool) -> anyhow::Result<Choice> {
        let is_there = env.context.is_some() || env.lab()?.is_some();
        Ok(if is_there { Choice::Deployed } else { Choice::Own { like_linkerd } })
    }

    /// Returns how the proxies of the lab, or of the cluster of `--context`, take a new policy over.
    ///
    /// # Errors
    /// A lab's record cannot be read.
    pub(crate) fn pauses_of(env: &Env) -> anyhow::Result<Pauses> {
        let lab = Self::record(env)?;
        let at_once =
            lab.is_some_and(|lab| cluster::provider(lab.provider()).built_in().mesh && !lab.like_linkerd());
        Ok(if at_once { Pauses::Short } else { Pauses::LikeLinkerd })
    }

    fn record(env: &Env) -> anyhow::Result<Option<Record>> {
        match &env.context {
            Some(context) => Record::on_context(context),
            None => env.lab(),
        }
    }

    /// Connects to the cluster, or starts it.
    ///
    /// # Errors
    /// There is no such cluster, or it does not respond; the embedded cluster does not start.
    pub(crate) async fn find(env: &Env, choice: Choice) -> anyhow::Result<Self> {
        match choice {
            Choice::Own { like_linkerd } => Self::own(env, like_linkerd).await,
            Choice::Deployed => Self::deployed(env).await,
        }
    }

    /// Opens a cluster with the services of the original demo and a meshed ingress. `fresh` never takes a lab that is up.
    ///
    /// # Errors
    /// The lab has no ingress or no services; the embedded cluster does not start.
    pub(crate) async fn open(env: &Env, fresh: bool, like_linkerd: bool) -> anyhow::Result<Self> {
        let own = Choice::Own { like_linkerd };
        let choice = if fresh { own } else { Self::lab_else_own(env, like_linkerd)? };
        let run_cluster = Self::find(env, choice).await?;
        let ready = async {
            run_cluster.ingress()?;
            if run_cluster.is_own() {
                let names: Vec<String> = overlay::DEFAULT.map(str::to_owned).into();
                deploy::overlays(env, &run_cluster.client, &names, &run_cluster.deploy).await?;
            }
            run_cluster.mesh_ingress(env).await
        };
        match ready.await {
            Ok(()) => Ok(run_cluster),
            Err(error) => {
                run_cluster.close().await?;
                Err(error)
            }
        }
    }

    /// Gives the ingress controller a proxy.
    ///
    /// # Errors
    /// There is no ingress controller, or it does not become ready.
    pub(crate) async fn mesh_ingress(&self, env: &Env) -> anyhow::Result<()> {
        injection::mesh_ingress(&Kinds::new(self.client.clone()), &env.report, env.deadline).await
    }

    /// Returns where the ingress listens.
    ///
    /// # Errors
    /// There is none that this machine reaches.
    pub(crate) fn ingress(&self) -> anyhow::Result<SocketAddr> {
        if let Some(context) = self.foreign.as_ref().filter(|_| self.ingress.is_none()) {
            return Err(anyhow!("the address of the ingress of context `{context}` is not known"))
                .hint("`meshy up --context CONTEXT` makes the cluster a lab; without `--context` and a lab, an embedded cluster is used")
                .exit(Exit::Prerequisite);
        }
        self.ingress
            .ok_or_else(|| anyhow!("lab `{}` has no ingress", self.lab))
            .hint("`meshy up --ingress nginx` installs one")
            .exit(Exit::Prerequisite)
    }

    /// Whether the cluster lives in this process and ends with the experiment.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// How long to wait between two probes of a policy.
    pub(crate) fn pauses(&self) -> Pauses {
        if self.at_once { Pauses::Short } else { Pauses::LikeLinkerd }
    }

    /// The changes that a command makes; on a lab they are restored at its end.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub(crate) async fn session(
        &self,
        env: &Env,
        command: &str,
        force: bool,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Session> {
        let (kinds, options) = (Kinds::new(self.client.clone()), (force, env.deadline));
        match &self.own {
            Some(_) => Ok(Session::unrestored(&kinds, options, stop)),
            None => Session::begin(&kinds, command, options, stop, &env.report).await,
        }
    }

    async fn deployed(env: &Env) -> anyhow::Result<Self> {
        let lab = Self::record(env)?;
        let client = env.client().await?;
        let Some(lab) = lab else {
            let context = env.context.clone().unwrap_or_default();
            return Ok(Self {
                client,
                ingress: None,
                lab: context.clone(),
                is_embedded: false,
                at_once: false,
                provider: cluster::word(Provider::Existing),
                deploy: deploy::Options::default(),
                foreign: Some(context),
                own: None,
            });
        };
        let is_embedded = cluster::provider(lab.provider()).built_in().mesh;
        Ok(Self {
            client,
            ingress: cluster::ingress_port(&lab).map(|port| (Ipv4Addr::LOCALHOST, port).into()),
            provider: cluster::word(lab.provider()),
            is_embedded,
            at_once: is_embedded && !lab.like_linkerd(),
            deploy: deploy::Options::of(&lab),
            foreign: lab.is_foreign().then(|| lab.context.clone()),
            lab: lab.name.to_string(),
            own: None,
        })
    }

    async fn own(env: &Env, like_linkerd: bool) -> anyhow::Result<Self> {
        let step = env.report.step("Starting", "an embedded cluster in this process");
        let options =
            Options { api_addr: None, linkerd_discovery_cache: like_linkerd, ..Options::ephemeral("demo") };
        let cluster = Cluster::start(options).await.context("cannot start the embedded cluster");
        let cluster = step.ended(cluster, |_| String::new())?;
        Ok(Self {
            client: cluster.client(),
            ingress: Some(cluster.ingress_addr()),
            lab: own_name(&env.name),
            is_embedded: true,
            at_once: !like_linkerd,
            provider: cluster::word(Provider::Embedded),
            deploy: deploy::Options::default(),
            foreign: None,
            own: Some(cluster),
        })
    }

    /// Stops a cluster that was started for the experiment.
    ///
    /// # Errors
    /// The embedded cluster does not stop in good order.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        match self.own {
            Some(cluster) => cluster.stop().await.context("cannot stop the embedded cluster"),
            None => Ok(()),
        }
    }
}

/// The name of an experiment's own cluster in records: the user's, if there is one.
fn own_name(given: &LabName) -> String {
    if **given == *LabName::DEFAULT { "demo".to_owned() } else { given.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_its_own_cluster_is_recorded_under_the_name_that_the_user_gives() {
        assert_eq!(own_name(&LabName::default()), "demo");
        assert_eq!(own_name(&"uxdemo".parse().unwrap()), "uxdemo");
    }
}
