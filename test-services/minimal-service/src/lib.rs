//! A test service that fails on purpose and counts the tries it sees.
//!
//! It is one library with two homes: the image's static binary (`main.rs`, over TCP) and a task of the embedded
//! cluster (over that cluster's network). It keeps no global state and never ends the process; many run side by side.
//!
//! ```text
//!   SERVICE_PORT ── server ── service ─┬─ fault (fail this one?)   ┐
//!                                      ├─ echo                     ├─ ledger ── admin ── server ── ADMIN_PORT
//!                                      └─ bounce ── upstream ──▶   ┘   (counts, tries)
//! ```
//!
//! What it speaks on both ports is in `docs/test-service.md`.

use std::future::Future;
use std::sync::Arc;

use meshy_net::SharedNetwork;
use tokio::sync::watch;
use tokio::time::sleep;

mod admin;
mod answer;
mod bounce;
mod clock;
mod config;
mod echo;
mod fault;
mod ledger;
mod random;
mod server;
mod service;
mod tries;
mod upstream;

pub use admin::{Ids, TriesAnswer, TriesQuestion};
pub use config::{Config, ConfigError};
pub use fault::{Fault, FaultChange};
pub use ledger::Counts;

use server::{DRAIN_DEADLINE, Door, Phase};
use service::State;

/// The request header that names one request across all its tries; the answer repeats it.
pub const REQUEST_ID: &str = "meshy-request-id";

/// The answer header that says which try of its request this was, counted from 1 by the service that answers.
pub const TRY: &str = "meshy-try";

/// What [`run`] gives back after `GET /crash`, as a container killed by SIGKILL would.
pub const CRASHED: u8 = 137;

/// Where log lines go, without their line ends; called from any thread, must not block.
pub type Logs = Arc<dyn Fn(String) + Send + Sync>;

/// Serves until `shutdown` resolves and open requests are answered; gives the exit code of the container.
///
/// 0: drained after `shutdown`. 1: a port could not be listened on (a log line says which). [`CRASHED`]: someone asked
/// for `/crash`; open connections are cut without an answer. Dropping the future cuts everything at once, too.
pub async fn run(
    config: Config,
    network: SharedNetwork,
    logs: Logs,
    shutdown: impl Future<Output = ()> + Send,
) -> u8 {
    for warning in &config.warnings {
        logs(format!("WARN {warning}"));
    }
    let mut doors = Vec::new();
    for (door, port) in [(Door::Service, config.service_port), (Door::Admin, config.admin_port)] {
        match network.listen(([0, 0, 0, 0], port).into()).await {
            Ok(listener) => doors.push((door, listener)),
            Err(error) => {
                logs(format!("ERROR listen on port {port}: {error}"));
                return 1;
            }
        }
    }
    for (door, listener) in &doors {
        logs(format!("INFO {door} listens on {}", listener.local_addr()));
    }

    let phase = watch::Sender::new(Phase::Serving);
    let linger = config.linger;
    let state = Arc::new(State::new(config, network, logs.clone(), phase));
    let serving = async {
        let mut doors =
            doors.into_iter().map(|(door, listener)| server::serve(door, listener, state.clone()));
        let (service, admin) = (doors.next().expect("two doors"), doors.next().expect("two doors"));
        tokio::join!(service, admin);
    };
    let draining = async {
        shutdown.await;
        logs("INFO asked to stop, answering what is open".to_owned());
        state.enter(Phase::Lingering);
        sleep(linger).await;
        state.enter(Phase::Draining);
        std::future::pending::<()>().await;
    };
    let late = async {
        state.reached(Phase::Draining).await;
        sleep(DRAIN_DEADLINE).await;
        logs(format!("WARN requests still open after {} s, leaving them", DRAIN_DEADLINE.as_secs()));
    };
    tokio::select! {
        () = serving => { logs("INFO stopped".to_owned()); 0 }
        () = draining => unreachable!("waits for the others"),
        () = late => 0,
        () = state.reached(Phase::Crashed) => {
            logs("ERROR asked to crash".to_owned());
            CRASHED
        }
    }
}
