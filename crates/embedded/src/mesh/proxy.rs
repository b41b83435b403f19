//! The program of a `linkerd-proxy` container: the proxy of the data plane in the path of its pod's connections.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, Pod, Probe as ProbeSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshy_dataplane::{Mode, Probe, Proxy, ProxyConfig, ProxyLog, parse_log_level};
use meshy_linkerd::names;
use meshy_net::{BoxFuture, BoxIo, Network};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::level_filters::LevelFilter;

use super::discovery::Mesh;
use super::workload::service_account;
use crate::network::{RedirectHandler, RedirectedStream};
use crate::object::ObjectExt;
use crate::program::{Execution, ExitCode, Program};

/// The level of the proxy's log; that of the cluster without the annotation.
const LOG_LEVEL: &str = "config.linkerd.io/proxy-log-level";

/// How long open connections can continue after the proxy was stopped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The proxy of a pod.
pub(crate) struct ProxyProgram {
    pub(crate) mesh: Arc<Mesh>,
}

impl Program for ProxyProgram {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        let mut config = config(&self.mesh, &execution);
        config.log = Some(proxy_log(&execution, self.mesh.proxy_log));
        Box::pin(run(Proxy::new(config), execution))
    }
}

async fn run(proxy: Proxy, execution: Execution) -> ExitCode {
    let Execution { network, log, ready, termination, .. } = execution;
    let admin = ([0, 0, 0, 0], names::ADMIN_PORT).into();
    let mut admin = match network.listen(admin).await {
        Ok(listener) => listener,
        Err(error) => {
            log.write(format!("ERROR cannot listen on the admin port: {error}"));
            return 1;
        }
    };
    let connections = TaskTracker::new();
    // Dropping this future closes the connections.
    let closed = CancellationToken::new();
    let _close_on_drop = closed.clone().drop_guard();
    let redirect = |inbound: bool| -> RedirectHandler {
        let (proxy, connections, closed) = (proxy.clone(), connections.clone(), closed.clone());
        Arc::new(move |stream: RedirectedStream| {
            let (proxy, closed) = (proxy.clone(), closed.clone());
            connections.spawn(async move {
                let RedirectedStream { io, original, peer } = stream;
                let serve = async {
                    if inbound {
                        proxy.inbound(io, original, peer).await
                    } else {
                        proxy.outbound(io, original, peer).await
                    }
                };
                tokio::select! {
                    // Both ends see that a connection is broken.
                    _ = serve => {}
                    () = closed.cancelled() => {}
                }
            });
        })
    };
    network.redirect(Some(redirect(true)), Some(redirect(false)));
    let address = network.address();
    log.write(format!("INFO proxy of {address} started, connections of the pod are redirected to it"));
    ready.set();

    let serve_admin = |io: BoxIo| {
        let (proxy, closed) = (proxy.clone(), closed.clone());
        connections.spawn(async move {
            tokio::select! {
                _ = proxy.admin(io) => {}
                () = closed.cancelled() => {}
            }
        });
    };
    loop {
        tokio::select! {
            accepted = admin.accept() => if let Ok((io, _)) = accepted { serve_admin(io) },
            () = termination.requested() => break,
        }
    }
    network.redirect(None, None);
    connections.close();
    let _ = timeout(CLOSE_TIMEOUT.min(termination.grace_period()), connections.wait()).await;
    0
}

fn config(mesh: &Arc<Mesh>, execution: &Execution) -> ProxyConfig {
    let pod = &execution.pod;
    let direct = Arc::new(execution.network.direct());
    let mut config = ProxyConfig::new(direct.clone(), direct, mesh.discovery(pod.namespace()));
    if pod.annotation(names::INJECT) == Some(names::INGRESS) {
        config.mode = Mode::Ingress;
    }
    config.address = Some(execution.network.address().into());
    config.identity = mesh.authority.identity(service_account(pod), pod.namespace());
    config.linkerd_discovery_cache = mesh.linkerd_discovery_cache;
    config.probes = probes(pod);
    config.inbound_policies = Some(mesh.inbound.of_pod(pod));
    config
}

/// Returns the log of a proxy at the level of its annotation, else at the default level.
fn proxy_log(execution: &Execution, default: LevelFilter) -> ProxyLog {
    let level = execution.pod.annotation(LOG_LEVEL).map(parse_log_level).transpose();
    let level = level.unwrap_or_else(|error| {
        execution.log.write(format!("WARN cannot read annotation {LOG_LEVEL}: {error}"));
        None
    });
    let sink = execution.log.clone();
    ProxyLog::new(level.unwrap_or(default), Arc::new(move |line| sink.write(line.to_owned())))
}

/// Returns the HTTP probes of the pod's containers.
fn probes(pod: &Pod) -> Vec<Probe> {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let probes = |container: &Container| {
        let specs = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
        specs.into_iter().flatten().filter_map(|spec| http_probe(container, spec)).collect::<Vec<_>>()
    };
    containers.iter().flat_map(probes).collect()
}

fn http_probe(container: &Container, spec: &ProbeSpec) -> Option<Probe> {
    let get = spec.http_get.as_ref()?;
    let port = match &get.port {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            ports.find(|port| port.name.as_ref() == Some(name))?.container_port
        }
    };
    Some(Probe { port: u16::try_from(port).ok()?, path: get.path.clone().unwrap_or_default() })
}
