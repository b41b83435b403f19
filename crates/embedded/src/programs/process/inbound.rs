//! The way of requests to a program: from the pod network to its loopback port.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use meshy_net::Network;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::ports::Ports;
use super::reporter::Reporter;
use crate::network::PodNetwork;
use crate::network::host::splice;
use crate::program::{Execution, ReadySignal};

/// How often a port is tried until the program listens on it: at first, and at most.
const POLL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// After this time without a listener there is an event about it.
const EXPECTED: Duration = Duration::from_secs(10);

/// Listens on each port of the container as soon as the program listens on its loopback port. The program is ready when all
/// ports are.
pub(super) fn open(ports: &Ports, execution: &Execution, reporter: &Reporter, tasks: &mut JoinSet<()>) {
    let mut waits = JoinSet::new();
    for (container, local) in ports.pairs() {
        let (network, reporter) = (execution.network.clone(), reporter.clone());
        waits.spawn(async move {
            let address = listening(container, local, &reporter).await;
            (container, network, address)
        });
    }
    tasks.spawn(serve(waits, execution.ready.clone()));
}

async fn serve(mut waits: JoinSet<(u16, PodNetwork, SocketAddr)>, ready: ReadySignal) {
    let mut listeners = JoinSet::new();
    while let Some(waited) = waits.join_next().await {
        let Ok((container, network, address)) = waited else { continue };
        listeners.spawn(forward(container, network, address));
    }
    ready.set();
    while listeners.join_next().await.is_some() {}
}

/// Waits until the program listens, and returns its address: of IPv4 or IPv6 loopback.
async fn listening(container: u16, local: u16, reporter: &Reporter) -> SocketAddr {
    let candidates =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, local)), SocketAddr::from((Ipv6Addr::LOCALHOST, local))];
    let begun = Instant::now();
    let (mut pause, mut reported) = (POLL.0, false);
    loop {
        for address in candidates {
            if TcpStream::connect(address).await.is_ok() {
                return address;
            }
        }
        if !reported && begun.elapsed() >= EXPECTED {
            reported = true;
            reporter.not_listening(container, local).await;
        }
        sleep(pause).await;
        pause = (pause * 2).min(POLL.1);
    }
}

async fn forward(container: u16, network: PodNetwork, address: SocketAddr) {
    let Ok(mut listener) = network.listen((Ipv4Addr::UNSPECIFIED, container).into()).await else { return };
    // Ends the connections with the listener.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(async move {
                // Without a connection the stream closes, as if the program had closed it.
                if let Ok(socket) = TcpStream::connect(address).await {
                    splice(socket, stream).await;
                }
            });
        }
    }
}
