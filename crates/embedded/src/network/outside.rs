//! Loopback sockets of the machine that lead into the virtual network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use meshy_net::BoxIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Binds the first of `ports` that is free and permitted on 127.0.0.1; port 0 always is.
///
/// # Errors
/// The last port's error when none could be had.
pub async fn bind_first(ports: &[u16]) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "no port to bind was given");
    for port in ports {
        match TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The ports an ingress asks for: 80, else 8080 and the hundred after it, else any.
pub fn ingress_ports(preferred: &[u16]) -> Vec<u16> {
    if !preferred.is_empty() {
        return preferred.to_vec();
    }
    std::iter::once(80).chain(8080..8180).chain(std::iter::once(0)).collect()
}

/// Copies between a socket and a stream of the network until both directions are closed.
pub async fn splice(mut socket: TcpStream, mut stream: BoxIo) {
    // Small answers must not wait for the peer's delayed acknowledgement.
    let _ = socket.set_nodelay(true);
    // An error here is one side's reset; the other side sees its stream closed, which is all there is to tell.
    let _ = copy_bidirectional(&mut socket, &mut stream).await;
}

#[cfg(test)]
mod tests {
    use super::{bind_first, ingress_ports};

    #[tokio::test]
    async fn a_taken_port_leads_to_the_next() {
        let taken = bind_first(&[0]).await.expect("any port");
        let port = taken.local_addr().expect("bound").port();
        let next = bind_first(&[port, 0]).await.expect("another");
        assert_ne!(next.local_addr().expect("bound").port(), port);
        assert!(bind_first(&[port]).await.is_err());
    }

    #[test]
    fn an_ingress_wants_80_then_8080_then_anything() {
        let ports = ingress_ports(&[]);
        assert_eq!((ports[0], ports[1], ports.last()), (80, 8080, Some(&0)));
        assert_eq!(ingress_ports(&[3000]), [3000]);
    }
}
