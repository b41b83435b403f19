//! A test service that fails on purpose and counts the attempts of each request.
//!
//! The library runs in two places: in the static binary of the image (`main.rs`, over TCP) and as a task of the embedded
//! cluster (over the network of that cluster). It has no global state and never exits the process, so that many services
//! can run in one process.
//!
//! ```text
//!   SERVICE_PORT ── server ── service ─┬─ flight (one request)            ┐
//!                                      ├─ grpc ─▶ echo, work             │
//!                                      ├─ echo                            ├─ ledger ── admin ── server ── ADMIN_PORT
//!                                      ├─ bounce ─────────┬─ upstream ──▶ │   (faults, workers, counts, attempts)
//!                               NODE:  └─ work ── script ─┘               ┘
//! ```
//!
//! With `ROLE=sender` it is a sender of load instead, and only the admin port is open.
//!
//! `docs/test-service.md` describes the requests and responses of both ports.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

use std::future::Future;
use std::sync::Arc;

use meshy_net::SharedNetwork;
use tokio::time::sleep;

mod admin;
mod attempts;
mod body;
mod bounce;
mod callers;
mod clock;
mod config;
mod counts;
mod distribution;
mod echo;
mod fault;
mod flight;
pub mod grpc;
mod headers;
mod ledger;
mod node;
mod pool;
mod random;
mod response;
mod script;
mod sender;
mod server;
mod service;
mod state;
mod upstream;
mod work;

pub use admin::{AttemptsRequest, AttemptsResponse, Ids};
pub use config::{Config, ConfigError, Role};
pub use counts::{CallCounts, Counts};
pub use distribution::Distribution;
pub use fault::{Delay, Fault, FaultChange};
pub use headers::{ATTEMPT, CALLER, REQUEST_ID};
pub use node::{Call, Capacity, Node, Step};
pub use state::Logs;

use server::{CLOSE_TIMEOUT, Port, ServicePort};
use state::{Phase, State};

/// The exit code that [`run`] returns after `GET /crash`: that of a container killed by SIGKILL.
pub(crate) const CRASHED: u8 = 137;

/// Serves until `shutdown` resolves and open requests are complete; returns the exit code of the container.
///
/// The exit code is 0 after `shutdown`; 1 if the service cannot listen on a port (a log line names it); `CRASHED` (137) after
/// `GET /crash`, which closes all connections without a response. Dropping the future also closes them at once.
pub async fn run(
    config: Config,
    network: SharedNetwork,
    logs: Logs,
    shutdown: impl Future<Output = ()> + Send,
) -> u8 {
    for warning in &config.warnings {
        logs(format!("WARN {warning}"));
    }
    if config.role == Role::Sender {
        return sender::run(config, network, logs, shutdown).await;
    }
    let mut listeners = Vec::new();
    for (port, number) in [(Port::Service, config.service_port), (Port::Admin, config.admin_port)] {
        match network.listen(([0, 0, 0, 0], number).into()).await {
            Ok(listener) => listeners.push((port, listener)),
            Err(error) => {
                logs(format!("ERROR cannot listen on {port} port {number}: {error}"));
                return 1;
            }
        }
    }
    for (port, listener) in &listeners {
        logs(format!("INFO {port} listens on {}", listener.local_addr()));
    }

    let drain = config.drain;
    let (state, works) = State::new(config, network.clone(), logs.clone());
    let state = Arc::new(state);
    let serving = async {
        let mut listeners = listeners.into_iter().map(|(_, listener)| listener);
        let (service, admin) = (listeners.next().expect("two ports"), listeners.next().expect("two ports"));
        let service = ServicePort::new(state.clone(), network, service, works);
        tokio::join!(service.serve(), server::serve_admin(admin, state.clone()));
    };
    let shutting_down = async {
        shutdown.await;
        logs("INFO shutdown requested, waiting for open requests".to_owned());
        state.enter(Phase::Draining);
        sleep(drain).await;
        state.enter(Phase::Closing);
        std::future::pending::<()>().await;
    };
    let timed_out = async {
        state.wait_for(Phase::Closing).await;
        sleep(CLOSE_TIMEOUT).await;
        logs(format!(
            "WARN requests still open after {} s, closing their connections",
            CLOSE_TIMEOUT.as_secs()
        ));
    };
    tokio::select! {
        () = serving => { logs("INFO stopped".to_owned()); 0 }
        () = shutting_down => unreachable!("never resolves"),
        () = timed_out => 0,
        () = state.wait_for(Phase::Crashed) => {
            logs("ERROR crash requested by GET /crash".to_owned());
            CRASHED
        }
    }
}
