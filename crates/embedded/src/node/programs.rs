//! The programs of containers: the test service, the ingress, the proxy, or a placeholder.

use std::sync::Arc;

use minimal_service::Config;
use tokio_util::sync::CancellationToken;

use super::context::PodContext;
use super::env::Env;
use super::images::Program;
use crate::logs::Log;
use crate::{ingress, mesh};

/// Runs a program until it ends or is asked to stop, and gives its exit code.
pub(super) async fn run(
    program: Program,
    context: &Arc<PodContext>,
    env: Env,
    log: Arc<Log>,
    stop: CancellationToken,
) -> u8 {
    match program {
        Program::Service => service(context, env, log, stop).await,
        Program::Ingress => ingress::controller::run(context, log, stop).await,
        Program::Proxy => mesh::proxy::run(context, log, stop).await,
        Program::ProxyInit => {
            log.write("the embedded network leads this pod's streams through its proxy".to_owned());
            0
        }
        Program::BuiltIn => {
            log.write("this part is built into meshy's process; its Deployment only shows it".to_owned());
            stop.cancelled().await;
            0
        }
    }
}

async fn service(context: &Arc<PodContext>, env: Env, log: Arc<Log>, stop: CancellationToken) -> u8 {
    let config = match Config::from_env(env) {
        Ok(config) => config,
        Err(error) => {
            log.write(format!("ERROR {error}"));
            return 2;
        }
    };
    let logs: minimal_service::Logs = Arc::new(move |line| log.write(line));
    minimal_service::run(config, Arc::new(context.network.clone()), logs, stop.cancelled_owned()).await
}
