//! Commands of viewers, handed to the loop that owns the lab: one at a time, in their order.

use meshy_page::control::{Acted, NotDone};
use meshy_page::{Command, Controls};
use tokio::sync::{mpsc, oneshot};

/// A command and where its result goes.
pub(super) struct Request {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Result<(), NotDone>>,
}

/// The page's end.
pub(super) struct Inbox(mpsc::Sender<Request>);

/// Commands that wait; a viewer that sends more waits.
const WAITING: usize = 16;

/// Makes both ends.
pub(super) fn inbox() -> (Inbox, mpsc::Receiver<Request>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Inbox(sender), receiver)
}

impl Controls for Inbox {
    fn act(&self, command: Command) -> Acted<'_> {
        Box::pin(async move {
            let ended = || NotDone("meshy is about to end".to_owned());
            let (reply, result) = oneshot::channel();
            self.0.send(Request { command, reply }).await.map_err(|_| ended())?;
            result.await.unwrap_or_else(|_| Err(ended()))
        })
    }
}
