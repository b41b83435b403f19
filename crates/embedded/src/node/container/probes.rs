//! A container's probes and what follows from them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Container, Home};
use crate::api::{EVENT_NORMAL, EVENT_WARNING};
use crate::node::probe::Probe;

/// How long a first probe waits for its port to be listened on, before it asks anyway.
const LISTEN_WAIT: Duration = Duration::from_secs(1);

impl Container {
    /// Startup probe first, then readiness and liveness side by side; ends the run when the container must die.
    pub(super) async fn probes(&self, home: &Arc<Home>, spec: &Value, stop: &CancellationToken) {
        let [startup, readiness, liveness] =
            ["startupProbe", "readinessProbe", "livenessProbe"].map(|field| Probe::of(spec, field));
        if let Some(probe) = startup {
            let outcome = self.repeat(home, &probe, "Startup", |held| held.then_some(true)).await;
            if !outcome {
                return self.kill(home, "startup", stop).await;
            }
        }
        let has_readiness = readiness.is_some();
        self.set(home, |status| {
            status.started = true;
            status.ready = !has_readiness;
        });
        self.ready.send_replace(!has_readiness || self.place == "initContainers");
        let ready = async {
            let Some(probe) = readiness else { return std::future::pending().await };
            self.repeat(home, &probe, "Readiness", |held| {
                self.set(home, |status| status.ready = held);
                self.ready.send_replace(held);
                None
            })
            .await;
        };
        let live = async {
            let Some(probe) = liveness else { return std::future::pending().await };
            self.repeat(home, &probe, "Liveness", |held| if held { None } else { Some(false) }).await;
            self.kill(home, "liveness", stop).await;
        };
        tokio::join!(ready, live);
    }

    /// Asks at each period until `decide`, told whether the probe holds by its thresholds, gives an answer.
    async fn repeat(
        &self,
        home: &Arc<Home>,
        probe: &Probe,
        which: &str,
        decide: impl Fn(bool) -> Option<bool>,
    ) -> bool {
        sleep(probe.delay).await;
        let pod: Ipv4Addr = home.network.address();
        let node = home.node.fabric.node();
        if probe.delay.is_zero()
            && let Some(port) = probe.port()
        {
            // The service listens within milliseconds; a failed first try would cost a whole period.
            let _ = tokio::time::timeout(LISTEN_WAIT, home.node.fabric.listened(pod, port)).await;
        }
        let (mut successes, mut failures) = (0, 0);
        let mut next = Instant::now();
        loop {
            match probe.ask(&node, pod).await {
                Ok(()) => (successes, failures) = (successes + 1, 0),
                Err(error) => {
                    (successes, failures) = (0, failures + 1);
                    self.event(home, EVENT_WARNING, "Unhealthy", &format!("{which} probe failed: {error}"))
                        .await;
                }
            }
            let decided = if successes >= probe.successes {
                decide(true)
            } else if failures >= probe.failures {
                // A startup probe that has failed for good says so itself.
                if which == "Startup" { Some(false) } else { decide(false) }
            } else {
                None
            };
            if let Some(answer) = decided {
                return answer;
            }
            next += probe.period;
            sleep_until(next).await;
        }
    }

    async fn kill(&self, home: &Arc<Home>, which: &str, stop: &CancellationToken) {
        let words = format!("Container {} failed {which} probe, will be restarted", self.name);
        self.event(home, EVENT_NORMAL, "Killing", &words).await;
        stop.cancel();
        std::future::pending().await
    }
}
