//! Where the story is played: the lab that is up, else an embedded cluster in this process for as long as it takes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, anyhow};
use meshy_embedded::{Cluster, Options};
use tokio::sync::watch;

use crate::mesh::injection;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_lab::addons::ingress_nginx;
use meshy_lab::cluster;
use meshy_lab::lab::{LabName, Provider};
use meshy_lab::{Env, deploy, overlay};
use meshy_metrics::Workload;
use meshy_policy::policy::{Pauses, Session};

/// A cluster with the two services and a meshed ingress.
pub struct Stage {
    /// How to talk to it.
    pub client: kube::Client,
    /// Where its ingress listens.
    pub ingress: SocketAddr,
    /// The lab's name.
    pub lab: String,
    /// Whether its mesh is the built-in one of the embedded cluster.
    pub stand_in: bool,
    /// Whether a client's proxy sees a new profile at once, and not only after five idle seconds.
    pub at_once: bool,
    /// Where its cluster comes from.
    pub provider: &'static str,
    own: Option<Cluster>,
}

impl Stage {
    /// Namespace and workload of the client that sends the requests of a case to the failing service.
    pub fn caller(&self, ingress: bool) -> (String, Workload) {
        let (namespace, name) = if ingress {
            (ingress_nginx::NAMESPACE, ingress_nginx::CONTROLLER)
        } else {
            ("default", "minimal-service")
        };
        (namespace.to_owned(), Workload { kind: "deployment".to_owned(), name: name.to_owned() })
    }

    /// How long to wait between two probes of a policy.
    pub fn pauses(&self) -> Pauses {
        if self.at_once { Pauses::Short } else { Pauses::LikeLinkerd }
    }

    /// The changes that a command makes; on a lab they are restored at its end.
    ///
    /// # Errors
    /// As [`Session::begin`].
    pub async fn session(
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

    /// Opens the stage. `fresh` never takes a lab that is up; `like_linkerd` is for a separate cluster, a lab keeps its
    /// setting.
    ///
    /// # Errors
    /// The lab has no ingress or no services; the embedded cluster does not start.
    pub async fn open(env: &Env, fresh: bool, like_linkerd: bool) -> anyhow::Result<Self> {
        let lab = if fresh { None } else { env.lab()? };
        let stage = match lab {
            Some(lab) => {
                let port =
                    cluster::ingress_port(&lab).ok_or_else(|| anyhow!("lab `{}` has no ingress", lab.name));
                let port = port.hint("`meshy up --ingress nginx` installs one").exit(Exit::Prerequisite)?;
                let stand_in = cluster::provider(lab.provider).built_in().mesh;
                Self {
                    client: env.client().await?,
                    ingress: (Ipv4Addr::LOCALHOST, port).into(),
                    provider: cluster::word(lab.provider),
                    stand_in,
                    at_once: stand_in && !lab.like_linkerd,
                    lab: lab.name.to_string(),
                    own: None,
                }
            }
            None if env.context.is_some() => {
                return Err(anyhow!("the way to the ingress of `--context` is not known"))
                    .hint("`meshy up --context CONTEXT` makes it a lab; without either, demo brings its own")
                    .exit(Exit::Prerequisite);
            }
            None => Self::own(env, like_linkerd).await?,
        };
        injection::mesh_ingress(&Kinds::new(stage.client.clone()), &env.report, env.deadline).await?;
        Ok(stage)
    }

    async fn own(env: &Env, like_linkerd: bool) -> anyhow::Result<Self> {
        let step = env.report.step("Starting", "an embedded cluster in this process");
        let options =
            Options { api_addr: None, linkerd_discovery_cache: like_linkerd, ..Options::ephemeral("demo") };
        let cluster = Cluster::start(options).await.context("cannot start the embedded cluster")?;
        step.done("");
        let client = cluster.client();
        let names: Vec<String> = overlay::DEFAULT.map(str::to_owned).into();
        let deployed = deploy::overlays(env, &client, &names, &deploy::Options::default()).await;
        let stage = Self {
            client,
            ingress: cluster.ingress_addr(),
            lab: own_name(&env.name),
            stand_in: true,
            at_once: !like_linkerd,
            provider: cluster::word(Provider::Embedded),
            own: Some(cluster),
        };
        match deployed {
            Ok(_) => Ok(stage),
            Err(error) => {
                stage.close().await?;
                Err(error)
            }
        }
    }

    /// Takes down what was brought up for the story.
    ///
    /// # Errors
    /// The embedded cluster does not stop in good order.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.own {
            Some(cluster) => cluster.stop().await.context("cannot stop the embedded cluster"),
            None => Ok(()),
        }
    }
}

/// The name of the demo's own cluster in records: the user's, if there is one.
fn own_name(given: &LabName) -> String {
    if **given == *LabName::DEFAULT { "demo".to_owned() } else { given.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_is_recorded_under_the_name_that_the_user_gives() {
        assert_eq!(own_name(&LabName::default()), "demo");
        assert_eq!(own_name(&"uxdemo".parse().unwrap()), "uxdemo");
    }
}
