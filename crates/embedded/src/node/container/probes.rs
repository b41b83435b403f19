//! The probes of a container and their effect.

use std::ops::ControlFlow;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::ContainerWorker;
use crate::events::EventType;
use crate::network::PodNetwork;
use crate::node::context::PodContext;
use crate::node::probe::Probe;
use crate::program::ReadySignal;

/// How long the first probe waits until its port is listened on.
const LISTEN_WAIT: Duration = Duration::from_secs(1);

/// The kind of a probe, as events name it.
#[derive(Clone, Copy)]
enum ProbeKind {
    Startup,
    Readiness,
    Liveness,
}

impl ProbeKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// What a probe found, by its thresholds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Healthy,
    Unhealthy,
}

impl ContainerWorker {
    /// Runs the startup probe, then the readiness and liveness probes side by side. Cancels `stop` if the container
    /// must be restarted. Without a readiness probe, the container is ready when its program reports it.
    pub(super) async fn run_probes(
        &self,
        context: &PodContext,
        spec: &Container,
        stop: &CancellationToken,
        program_ready: &ReadySignal,
    ) {
        let [startup, readiness, liveness] =
            [&spec.startup_probe, &spec.readiness_probe, &spec.liveness_probe]
                .map(|probe| probe.as_ref().map(|probe| Probe::of(spec, probe)));
        if let Some(probe) = startup {
            let health = self.repeat(context, &probe, ProbeKind::Startup, ControlFlow::Break).await;
            if health == Health::Unhealthy {
                return self.kill(context, ProbeKind::Startup, stop).await;
            }
        }
        self.update(context, |status| status.started = true);
        if self.is_sidecar() {
            self.completed.send_replace(true);
        }
        let ready = async {
            let Some(probe) = readiness else {
                program_ready.wait().await;
                return self.update(context, |status| status.ready = true);
            };
            self.repeat(context, &probe, ProbeKind::Readiness, |health| {
                self.update(context, |status| status.ready = health == Health::Healthy);
                ControlFlow::Continue(())
            })
            .await;
        };
        let live = async {
            let Some(probe) = liveness else { return };
            let until_unhealthy = |health| match health {
                Health::Healthy => ControlFlow::Continue(()),
                Health::Unhealthy => ControlFlow::Break(health),
            };
            self.repeat(context, &probe, ProbeKind::Liveness, until_unhealthy).await;
            self.kill(context, ProbeKind::Liveness, stop).await;
        };
        tokio::join!(ready, live);
    }

    /// Runs a probe periodically. `on_health` is called when a threshold is reached and decides whether to continue.
    async fn repeat(
        &self,
        context: &PodContext,
        probe: &Probe,
        kind: ProbeKind,
        on_health: impl Fn(Health) -> ControlFlow<Health>,
    ) -> Health {
        sleep(probe.initial_delay).await;
        let node = PodNetwork::node(&context.node.fabric);
        if probe.initial_delay.is_zero()
            && let Some(port) = probe.port()
        {
            // Programs listen within milliseconds; a failed first probe would cost a whole period.
            let _ = timeout(LISTEN_WAIT, context.network.wait_for_listener(port)).await;
        }
        let (mut successes, mut failures) = (0, 0);
        let mut next = Instant::now();
        loop {
            match probe.run(&node, context.network.address()).await {
                Ok(()) => (successes, failures) = (successes + 1, 0),
                Err(error) => {
                    (successes, failures) = (0, failures + 1);
                    let message = format!("{} probe failed: {error}", kind.as_str());
                    self.event(context, EventType::Warning, "Unhealthy", &message).await;
                }
            }
            let health = if successes >= probe.success_threshold {
                Some(Health::Healthy)
            } else if failures >= probe.failure_threshold {
                Some(Health::Unhealthy)
            } else {
                None
            };
            if let Some(health) = health
                && let ControlFlow::Break(health) = on_health(health)
            {
                return health;
            }
            next += probe.period;
            sleep_until(next).await;
        }
    }

    async fn kill(&self, context: &PodContext, kind: ProbeKind, stop: &CancellationToken) {
        let probe = kind.as_str().to_lowercase();
        let message = format!("Container {} failed {probe} probe, will be restarted", self.name);
        self.event(context, EventType::Normal, "Killing", &message).await;
        stop.cancel();
    }
}
