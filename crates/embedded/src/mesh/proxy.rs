//! The program of a `linkerd-proxy` container: the data plane's proxy in the path of its pod's streams.

use std::sync::Arc;
use std::time::Duration;

use meshy_dataplane::{Mode, Probe, Proxy, ProxyConfig, ProxyLog, parse_log_level};
use meshy_mesh::names;
use meshy_net::{BoxIo, Network};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::level_filters::LevelFilter;

use crate::network::{Redirect, Redirected};
use crate::node::Home;
use crate::node::logs::Log;
use crate::object::{annotation, int, list, namespace, text};

/// The level of the proxy's log; `INFO` without the annotation, as in Linkerd.
const LOG_LEVEL: &str = "config.linkerd.io/proxy-log-level";

/// What connections that are still open get when the pod has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs a pod's proxy until it is asked to stop.
pub(crate) async fn run(home: &Arc<Home>, log: Arc<Log>, stop: CancellationToken) -> u8 {
    let mut config = config(home);
    config.log = Some(proxy_log(home, &log));
    let proxy = Proxy::new(config);
    let admin = ([0, 0, 0, 0], names::ADMIN_PORT).into();
    let mut admin = match home.network.listen(admin).await {
        Ok(listener) => listener,
        Err(error) => {
            log.write(format!("ERROR listen on the admin port: {error}"));
            return 1;
        }
    };
    let connections = TaskTracker::new();
    // Whoever drops this run cuts its connections, too.
    let cut = CancellationToken::new();
    let _cut_at_the_end = cut.clone().drop_guard();
    let redirect = |inbound: bool| -> Redirect {
        let (proxy, connections, cut) = (proxy.clone(), connections.clone(), cut.clone());
        Arc::new(move |stream: Redirected| {
            let (proxy, cut) = (proxy.clone(), cut.clone());
            connections.spawn(async move {
                let Redirected { io, original, peer } = stream;
                let serve = async {
                    if inbound {
                        proxy.inbound(io, original, peer).await
                    } else {
                        proxy.outbound(io, original, peer).await
                    }
                };
                tokio::select! {
                    // A broken connection has told its ends already.
                    _ = serve => {}
                    () = cut.cancelled() => {}
                }
            });
        })
    };
    let (address, fabric) = (home.network.address(), &home.node.fabric);
    fabric.redirect(address, Some(redirect(true)), Some(redirect(false)));
    log.write(format!("INFO proxy of {address} is in the path of its pod's connections"));

    let serve_admin = |io: BoxIo| {
        let (proxy, cut) = (proxy.clone(), cut.clone());
        connections.spawn(async move {
            tokio::select! {
                _ = proxy.admin(io) => {}
                () = cut.cancelled() => {}
            }
        });
    };
    loop {
        tokio::select! {
            accepted = admin.accept() => if let Ok((io, _)) = accepted { serve_admin(io) },
            () = stop.cancelled() => break,
        }
    }
    fabric.redirect(address, None, None);
    connections.close();
    let _ = timeout(LAST_WORDS, connections.wait()).await;
    0
}

fn config(home: &Home) -> ProxyConfig {
    let (pod, mesh) = (&home.pod, &home.node.mesh);
    let direct = Arc::new(home.network.direct());
    let mut config = ProxyConfig::new(direct.clone(), direct, mesh.discovery(namespace(pod)));
    if annotation(pod, names::INJECT) == Some(names::INGRESS) {
        config.mode = Mode::Ingress;
    }
    config.identity = mesh.authority.identity(text(pod, "/spec/serviceAccountName"), namespace(pod));
    config.linkerd_discovery_cache = mesh.like_linkerd;
    config.probes = probes(pod);
    config
}

/// Returns the log of a proxy at the level of its annotation.
fn proxy_log(home: &Home, log: &Arc<Log>) -> ProxyLog {
    let level = annotation(&home.pod, LOG_LEVEL).map(parse_log_level).transpose();
    let level = level.unwrap_or_else(|error| {
        log.write(format!("WARN cannot read annotation {LOG_LEVEL}: {error}"));
        None
    });
    let sink = log.clone();
    ProxyLog::new(level.unwrap_or(LevelFilter::INFO), Arc::new(move |line| sink.write(line.to_owned())))
}

/// The paths the node asks the pod's containers for.
fn probes(pod: &Value) -> Vec<Probe> {
    let of = |container: &Value| -> Vec<Probe> {
        ["startupProbe", "readinessProbe", "livenessProbe"]
            .into_iter()
            .filter_map(|field| {
                let get = container.get(field)?.get("httpGet")?;
                let port = match get.get("port")? {
                    Value::String(name) => list(container, "/ports")
                        .iter()
                        .find(|port| text(port, "/name") == name)
                        .and_then(|port| int(port, "/containerPort"))?,
                    number => number.as_i64()?,
                };
                Some(Probe { port: u16::try_from(port).ok()?, path: text(get, "/path").to_owned() })
            })
            .collect()
    };
    list(pod, "/spec/containers").iter().flat_map(of).collect()
}
