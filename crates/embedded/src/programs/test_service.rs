//! The test service of this repository.

use std::convert::Infallible;
use std::sync::Arc;

use meshy_net::BoxFuture;
use minimal_service::{Config, Logs};

use crate::program::{Execution, ExitCode, Program};

/// The exit code of a service with an invalid configuration, as of the binary in the image.
const INVALID_CONFIG: ExitCode = 2;

/// The service `minimal-service`, configured by the environment.
pub(crate) struct TestService;

impl Program for TestService {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        Box::pin(run(execution))
    }
}

async fn run(execution: Execution) -> ExitCode {
    let Execution { env, network, log, ready, termination, .. } = execution;
    let config = match Config::from_env(env) {
        Ok(config) => config,
        Err(error) => {
            log.write(format!("ERROR {error}"));
            return INVALID_CONFIG;
        }
    };
    let ports = config.ports();
    let listening = network.clone();
    let report_ready = async {
        for port in ports {
            listening.wait_for_listener(port).await;
        }
        ready.set();
        std::future::pending::<Infallible>().await
    };
    let logs: Logs = Arc::new(move |line| log.write(line));
    let shutdown = async move { termination.requested().await };
    tokio::select! {
        exit_code = minimal_service::run(config, Arc::new(network), logs, shutdown) => exit_code,
        never = report_ready => match never {},
    }
}
