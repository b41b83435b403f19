//! The times a container does not run: its image is not to be had, or it has failed too often.

use std::sync::Arc;
use std::time::Duration;

use super::{Container, FIRST_PAUSE, Home, LONGEST_PAUSE};
use crate::api::{EVENT_NORMAL, EVENT_WARNING};
use crate::node::state::State;
use crate::object::text;

impl Container {
    /// Shows ErrImagePull and ImagePullBackOff in turn, as a kubelet does, until the pod goes.
    pub(super) async fn cannot_pull(&self, home: &Arc<Home>, message: &str) {
        let image = &self.image;
        self.event(home, EVENT_NORMAL, "Pulling", &format!("Pulling image \"{image}\"")).await;
        let mut pause = FIRST_PAUSE;
        loop {
            self.wait_as(home, "ErrImagePull", message);
            self.event(
                home,
                EVENT_WARNING,
                "Failed",
                &format!("Failed to pull image \"{image}\": {message}"),
            )
            .await;
            self.event(home, EVENT_WARNING, "Failed", "Error: ErrImagePull").await;
            // Long enough to be seen by someone who looks at once.
            if !self.pause(Duration::from_secs(2)).await {
                return;
            }
            self.wait_as(home, "ImagePullBackOff", &format!("Back-off pulling image \"{image}\": {message}"));
            self.event(home, EVENT_NORMAL, "BackOff", &format!("Back-off pulling image \"{image}\"")).await;
            if !self.pause(pause).await {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits before a restart; false when the pod goes meanwhile.
    pub(super) async fn back_off(&self, home: &Arc<Home>, pause: Duration) -> bool {
        let words = format!(
            "back-off {}s restarting failed container={} pod={}",
            pause.as_secs(),
            self.name,
            text(&home.pod, "/metadata/name")
        );
        self.set(home, |status| {
            status.last = status.end().cloned().or(status.last.take());
            status.state = State::Waiting { reason: "CrashLoopBackOff".to_owned(), message: words.clone() };
        });
        self.event(
            home,
            EVENT_WARNING,
            "BackOff",
            &format!("Back-off restarting failed container {}", self.name),
        )
        .await;
        self.pause(pause).await
    }
}
