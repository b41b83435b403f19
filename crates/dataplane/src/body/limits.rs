//! Timeouts of a response body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::error::StreamTimeout;

/// How long a response body may take.
pub(crate) struct Limits {
    deadline: Option<(Pin<Box<Sleep>>, StreamTimeout)>,
    idle: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Limits {
    /// Applies the earliest of the deadlines, and the longest pause between frames; `None` if there are none.
    pub(crate) fn new(
        deadlines: impl IntoIterator<Item = (Instant, StreamTimeout)>,
        idle: Option<Duration>,
    ) -> Option<Self> {
        let earliest = deadlines.into_iter().min_by_key(|(deadline, _)| *deadline);
        let deadline = earliest.map(|(deadline, timeout)| (Box::pin(sleep_until(deadline)), timeout));
        let idle = idle.map(|idle| (Box::pin(sleep(idle)), idle));
        (deadline.is_some() || idle.is_some()).then_some(Self { deadline, idle })
    }

    /// Restarts the idle timeout.
    pub(super) fn restart_idle(&mut self) {
        if let Some((sleep, idle)) = &mut self.idle {
            sleep.as_mut().reset(Instant::now() + *idle);
        }
    }

    pub(super) fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<StreamTimeout> {
        if let Some((sleep, timeout)) = &mut self.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(*timeout);
        }
        match &mut self.idle {
            Some((sleep, _)) => sleep.as_mut().poll(cx).map(|()| StreamTimeout::Idle),
            None => Poll::Pending,
        }
    }
}
