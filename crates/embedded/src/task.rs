//! Starts the tasks that live as long as what they serve.

use futures::FutureExt;
use tokio::task::{AbortHandle, JoinSet};

/// Starts a task that ends with its set. Its future is boxed, since the compiler otherwise makes the functions of a task, about
/// 3,500 lines of LLVM IR, for each type of future; a task for each connection or request is spawned without it.
pub(crate) fn start(tasks: &mut JoinSet<()>, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
    tasks.spawn(task.boxed())
}
