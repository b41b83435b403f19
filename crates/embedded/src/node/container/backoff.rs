//! The delays of a container: its image has no program here, or it has failed too often.

use std::time::Duration;

use super::{ContainerWorker, MAX_BACKOFF};
use crate::events::EventType;
use crate::node::context::PodContext;
use crate::node::state::State;
use crate::object::ObjectExt;

/// How long ErrImagePull is shown before ImagePullBackOff.
const ERROR_SHOWN: Duration = Duration::from_millis(500);

/// The delay before the second pull. A kubelet waits 10 s to spare a registry; there is none here, and clients that stop at the
/// second failure stop sooner.
const SECOND_PULL: Duration = Duration::from_secs(1);

impl ContainerWorker {
    /// Alternates between ErrImagePull and ImagePullBackOff, as a kubelet does, until the container is stopped.
    pub(super) async fn image_pull_backoff(&self, context: &PodContext, message: &str) {
        let image = &self.image;
        self.event(context, EventType::Normal, "Pulling", &format!("Pulling image \"{image}\"")).await;
        let failed = format!("Failed to pull image \"{image}\": {message}");
        let backing_off = format!("Back-off pulling image \"{image}\"");
        let mut backoff = SECOND_PULL;
        loop {
            self.set_waiting(context, "ErrImagePull", message);
            self.event(context, EventType::Warning, "Failed", &failed).await;
            self.event(context, EventType::Warning, "Failed", "Error: ErrImagePull").await;
            if !self.sleep_unless_stopped(ERROR_SHOWN).await {
                return;
            }
            self.set_waiting(context, "ImagePullBackOff", &format!("{backing_off}: {message}"));
            self.event(context, EventType::Normal, "BackOff", &backing_off).await;
            if !self.sleep_unless_stopped(backoff).await {
                return;
            }
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// Waits before a restart; returns false if the container is stopped meanwhile.
    pub(super) async fn crash_loop_backoff(&self, context: &PodContext, backoff: Duration) -> bool {
        let (name, pod, seconds) = (&self.name, context.pod.name(), backoff.as_secs());
        let message = format!("back-off {seconds}s restarting failed container={name} pod={pod}");
        self.update(context, |status| {
            status.keep_last_termination();
            status.state = State::Waiting { reason: "CrashLoopBackOff".to_owned(), message };
        });
        let message = format!("Back-off restarting failed container {name}");
        self.event(context, EventType::Warning, "BackOff", &message).await;
        self.sleep_unless_stopped(backoff).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that stops at the second failed pull is to stop within 3 s.
    #[test]
    fn the_second_pull_follows_within_two_seconds() {
        assert!(ERROR_SHOWN + SECOND_PULL <= Duration::from_secs(2));
    }
}
