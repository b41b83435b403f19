//! Requests of meshy's own that show whether a client uses a policy: when to send the next one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long to pause after a probe that did not use the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pauses {
    /// The proxies take a new policy over as soon as they receive it.
    Short,
    /// As on a real Linkerd: the change takes a second or two to reach a proxy that knows a profile already (measured). One
    /// that does not drops its discovery after five idle seconds, which begin when the client closes its connection (the
    /// test service does within 1.3 s), and a probe within them restarts them.
    LikeLinkerd,
}

impl Pauses {
    fn after(self, probes: usize) -> Duration {
        match self {
            Self::Short => Duration::from_millis(200),
            Self::LikeLinkerd if probes <= 2 => Duration::from_secs(1),
            Self::LikeLinkerd => Duration::from_secs(8),
        }
    }
}

/// Repeats a probe until it returns true; returns false if none does in time.
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
}
