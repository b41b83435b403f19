//! Loopback sockets of the machine that are connected to the cluster network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use meshy_net::BoxIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Binds the first port of `ports` on 127.0.0.1 that is free and permitted; port 0 selects any free port.
///
/// # Errors
/// The error of the last port if no port can be bound; `InvalidInput` if `ports` is empty.
pub(crate) async fn bind_first(ports: &[u16]) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no port to bind");
    for port in ports {
        match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Returns the ports to try for the ingress: `preferred`, by default 80, then 8080 to 8179, then any free port.
pub(crate) fn ingress_ports(preferred: &[u16]) -> Vec<u16> {
    if !preferred.is_empty() {
        return preferred.to_vec();
    }
    std::iter::once(80).chain(8080..8180).chain(std::iter::once(0)).collect()
}

/// Copies bytes between a socket and a stream of the cluster network until both directions are closed.
pub(crate) async fn splice(mut socket: TcpStream, mut stream: BoxIo) {
    // Small responses must not wait for the delayed acknowledgement of the peer.
    let _ = socket.set_nodelay(true);
    // An error is a reset by one side; the other side then sees its stream closed.
    let _ = copy_bidirectional(&mut socket, &mut stream).await;
}

#[cfg(test)]
mod tests {
    use super::{bind_first, ingress_ports};

    #[tokio::test]
    async fn a_used_port_is_skipped() {
        let used = bind_first(&[0]).await.expect("a free port");
        let port = used.local_addr().expect("a bound socket").port();
        let next = bind_first(&[port, 0]).await.expect("another port");
        assert_ne!(next.local_addr().expect("a bound socket").port(), port);
        assert!(bind_first(&[port]).await.is_err());
    }

    #[test]
    fn the_ingress_tries_80_then_8080_then_any_port() {
        let ports = ingress_ports(&[]);
        assert_eq!((ports[0], ports[1], ports.last()), (80, 8080, Some(&0)));
        assert_eq!(ingress_ports(&[3000]), [3000]);
    }
}
