//! The two services of the original demo: how they are reached, and whether their clients use a policy.

pub(crate) mod cases;

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use meshy_base::error::{Advise, Exit};
use meshy_lab::Env;
use meshy_load::{Plan, Target};
use meshy_metrics::Workload;
use meshy_metrics::routes::Service;
use meshy_policy::policy::{self, Clients, Evidence, PolicyChange, Session};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::run_cluster::RunCluster;

/// The service that fails.
pub(crate) const CALLED: &str = "bounced-service";

/// The service that calls it.
pub(crate) const CALLER: &str = "minimal-service";

/// How long the clients may take to use a policy.
const IN_USE: Duration = Duration::from_secs(45);

/// Returns the service that fails.
pub(crate) fn bounced() -> Service {
    Service { namespace: "default".to_owned(), name: CALLED.to_owned() }
}

/// Returns a request to the caller.
///
/// # Errors
/// The cluster has no ingress.
pub(crate) fn target(run_cluster: &RunCluster) -> anyhow::Result<Target> {
    cases::target(cases::DEFAULT, run_cluster.ingress()?)
}

/// Opens a cluster with the two services and a meshed ingress: the lab that is up, else an embedded cluster.
///
/// # Errors
/// As [`RunCluster::open`].
pub(crate) async fn open(env: &Env, like_linkerd: bool) -> anyhow::Result<RunCluster> {
    RunCluster::open(env, false, like_linkerd).await
}

/// Waits until a request of the caller shows that it uses a policy.
///
/// # Errors
/// The ingress cannot be reached; the caller's proxy does not follow in time; the end of the run was requested.
pub(crate) async fn in_use(
    run_cluster: &RunCluster,
    session: &Session,
    evidence: &Evidence,
    deadline: Instant,
) -> anyhow::Result<()> {
    let service = bounced();
    let deadline = deadline.min(Instant::now() + IN_USE);
    let used = async {
        let caller = Workload { kind: "deployment".to_owned(), name: CALLER.to_owned() };
        let caller = (service.namespace.clone(), caller);
        let mut clients = Clients::known(&run_cluster.client, &service, caller, deadline).await?;
        let probe = async || probe(run_cluster).await;
        clients.probed(evidence, run_cluster.pauses(), probe, deadline).await
    };
    if session.wait(used).await? {
        return Ok(());
    }
    Err(anyhow!("the clients of `{}` do not use the changed policy", service.name))
        .hint("`meshy sp show` shows the state of each client; a proxy with other requests to the service does not discover it again")
        .exit(Exit::Timeout)
}

/// Sends one request.
async fn probe(run_cluster: &RunCluster) -> anyhow::Result<()> {
    let (_go, stop) = watch::channel(false);
    let plan = Plan { rate: 100.0, length: Duration::from_millis(10), connections: 1, ..Plan::default() };
    let target = target(run_cluster)?;
    let address = target.server.clone();
    let sent = meshy_load::run(target, plan, stop, |_| {}).await?;
    match sent.outcomes_count.keys().find(|outcome| outcome.starts_with("connection")) {
        None => Ok(()),
        Some(outcome) => {
            Err(anyhow!("{outcome}")).with_context(|| format!("cannot reach the ingress at {address}"))
        }
    }
}

/// Lets the caller's proxy see the profile once: on a real Linkerd it then follows each later change at once. One that
/// discovered the service before the first profile does not, until it was idle.
///
/// # Errors
/// The clients do not use the profile before the deadline, or the API fails.
pub(crate) async fn warm_up(
    run_cluster: &RunCluster,
    session: &mut Session,
    deadline: Instant,
) -> anyhow::Result<()> {
    let service = bounced();
    session.apply(&PolicyChange::profile(policy::shipped()?)).await?;
    in_use(run_cluster, session, &Evidence::ProfileRoutes, deadline).await?;
    let none = PolicyChange::no_profile(&policy::profile_name(&service), &service.namespace);
    session.apply(&none).await?;
    in_use(run_cluster, session, &Evidence::NoProfile, deadline).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshy_policy::policy::Pauses;
    use meshy_policy::policy::probe::until;

    /// A proxy as Linkerd's: what it discovered without a profile stays until five seconds passed with no request; once it
    /// has seen a profile it follows each change.
    #[derive(Default)]
    struct Proxy {
        last: Option<Instant>,
        warm: bool,
    }

    impl Proxy {
        fn follows(&mut self, profile: bool) -> bool {
            let idle = self.last.is_none_or(|last| last.elapsed() > Duration::from_secs(5));
            self.last = Some(Instant::now());
            self.warm |= idle && profile;
            self.warm && profile
        }
    }

    /// Switches and returns how long it took until the proxy followed.
    async fn switched(proxy: &mut Proxy, on: bool) -> Duration {
        let begun = Instant::now();
        let probe = async || Ok(proxy.follows(on) == on);
        assert!(until(Pauses::LikeLinkerd, begun + IN_USE, probe).await.unwrap(), "on {on}");
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_real_proxy_that_was_warmed_up_follows_each_switch_at_once() {
        let mut proxy = Proxy { last: Some(Instant::now()), warm: false };
        assert!(switched(&mut proxy, true).await > Duration::from_secs(5), "nothing to warm up for");
        switched(&mut proxy, false).await;
        for on in [false, true, false, true] {
            assert_eq!(switched(&mut proxy, on).await, Duration::ZERO, "{on}");
        }
    }
}
