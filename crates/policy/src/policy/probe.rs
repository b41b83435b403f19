//! Requests of meshy's own that show whether a client uses a policy: when to send the next one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::evidence::{Counted, Evidence};

/// How long a proxy keeps an unused discovery (`LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT`).
pub(super) const DISCOVERY_IDLE: Duration = Duration::from_secs(5);
/// Added to it: the proxy begins to count a little after the client.
const MARGIN: Duration = Duration::from_millis(500);
/// A client without a request for so long is idle: at the built-in load's lowest usual rate, 2 per second, it is not.
const QUIET: Duration = Duration::from_secs(1);

/// How long to pause after a probe that did not use the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pauses {
    /// The proxies take a new policy over as soon as they receive it.
    Short,
    /// As on a real Linkerd: the change takes a second or two to reach a proxy that has a profile already (measured). One
    /// that does not drops its discovery after five idle seconds, which begin when the client closes its connection (the
    /// test service does within 1.3 s), and a probe within them restarts them.
    LikeLinkerd,
}

impl Pauses {
    /// How long a client must be without requests to be idle, so that its next request uses the policy.
    pub(super) fn until_idle(self, evidence: &Evidence, ever: Counted) -> Duration {
        let may_be_old = self == Self::LikeLinkerd && evidence.held_by_connection(ever);
        if may_be_old { DISCOVERY_IDLE + MARGIN } else { QUIET }
    }

    fn after(self, probes: usize) -> Duration {
        match self {
            Self::Short => Duration::from_millis(200),
            Self::LikeLinkerd if probes <= 2 => Duration::from_secs(1),
            Self::LikeLinkerd => Duration::from_secs(8),
        }
    }
}

/// Repeats a probe until it returns true; returns false if none does in time.
///
/// # Errors
/// The probe's.
pub async fn until(
    pauses: Pauses,
    deadline: Instant,
    mut probe: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    for probes in 1.. {
        if probe().await? {
            return Ok(true);
        }
        let next = Instant::now() + pauses.after(probes);
        if next > deadline {
            return Ok(false);
        }
        sleep(next - Instant::now()).await;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use meshy_metrics::routes::Service;
    use meshy_metrics::text;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_never_succeeds_ends_the_wait() {
        let begun = Instant::now();
        for pauses in [Pauses::Short, Pauses::LikeLinkerd] {
            assert!(
                !until(pauses, Instant::now() + Duration::from_secs(45), async || Ok(false)).await.unwrap()
            );
        }
        assert!(begun.elapsed() <= Duration::from_secs(90));
    }

    #[test]
    fn a_client_with_an_old_discovery_is_idle_when_that_has_ended() {
        let service = Service { name: "app".to_owned(), namespace: "shop".to_owned() };
        let after = |pauses: Pauses, evidence: Evidence, text: &str| {
            let ever = Counted::of(&service, &text::parse(text).unwrap(), &evidence);
            pauses.until_idle(&evidence, ever)
        };
        let routed =
            "outbound_http_route_request_statuses_total{parent_name=\"app\",parent_namespace=\"shop\"} 4\n";
        let profiled = "route_request_total{direction=\"outbound\",dst=\"app.shop.svc.cluster.local:80\",rt_route=\"all\"} 4\n";
        assert!(after(Pauses::LikeLinkerd, Evidence::Profile, routed) > DISCOVERY_IDLE);
        assert!(after(Pauses::LikeLinkerd, Evidence::Policy(None), profiled) > DISCOVERY_IDLE);
        assert_eq!(after(Pauses::LikeLinkerd, Evidence::Profile, profiled), QUIET);
        assert_eq!(after(Pauses::Short, Evidence::Profile, routed), QUIET);
    }
}
