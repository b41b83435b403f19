//! Programs of containers whose work is done elsewhere in this process.

use meshy_net::BoxFuture;

use crate::program::{Execution, ExitCode, Program};

/// A component of the cluster that is shown as a Deployment.
pub(crate) struct Placeholder;

impl Program for Placeholder {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        Box::pin(async move {
            let message = "this component is part of the meshy process; its Deployment only represents it";
            execution.log.write(message.to_owned());
            execution.ready.set();
            execution.termination.requested().await;
            0
        })
    }
}

/// The init container that redirects the traffic of a pod. The network does that when the proxy starts.
pub(crate) struct ProxyInit;

impl Program for ProxyInit {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        let message = "the embedded network redirects the connections of this pod to its proxy";
        execution.log.write(message.to_owned());
        Box::pin(std::future::ready(0))
    }
}
