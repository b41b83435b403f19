//! Loopback sockets of the machine that are connected to the cluster network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use meshy_net::BoxIo;
use tokio::io::{AsyncWriteExt as _, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

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

/// How long a client may still send after the cluster has closed the connection: a socket that is closed with unread bytes resets
/// the connection, and the client may lose the end of the response.
const LINGER: Duration = Duration::from_millis(100);

/// Copies bytes between a socket and a stream of the cluster network until both directions are closed, or until the cluster has
/// closed its side: a client that is idle would otherwise keep the place of a connection that is over.
pub(crate) async fn splice(socket: TcpStream, stream: BoxIo) {
    // Small responses must not wait for the delayed acknowledgement of the peer.
    let _ = socket.set_nodelay(true);
    let (mut from_client, mut to_client) = socket.into_split();
    let (mut from_cluster, mut to_cluster) = split(stream);
    // An error is a reset by one side; the other side then sees its stream closed.
    let upload = async {
        let _ = copy(&mut from_client, &mut to_cluster).await;
        let _ = to_cluster.shutdown().await;
    };
    let download = async {
        let _ = copy(&mut from_cluster, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    let (mut upload, mut download) = (pin!(upload), pin!(download));
    tokio::select! {
        () = &mut upload => download.await,
        () = &mut download => {
            let _ = timeout(LINGER, upload).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_used_port_is_skipped() {
        let used = bind_first(&[0]).await.expect("a free port");
        let port = used.local_addr().expect("a bound socket").port();
        let next = bind_first(&[port, 0]).await.expect("another port");
        assert_ne!(next.local_addr().expect("a bound socket").port(), port);
        assert!(bind_first(&[port]).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_the_cluster_closed_ends_although_its_client_is_idle() {
        let listener = bind_first(&[0]).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let (socket, _) = listener.accept().await.expect("the client");
        let (mut server, stream) = tokio::io::duplex(64);
        let spliced = tokio::spawn(splice(socket, Box::new(stream)));
        client.write_all(b"GET").await.expect("it is open");
        let mut request = [0; 3];
        server.read_exact(&mut request).await.expect("what the client sent");
        server.write_all(b"408").await.expect("it is open");
        drop(server);
        timeout(Duration::from_secs(60), spliced).await.expect("it ends").expect("no panic");
        let mut response = String::new();
        client.read_to_string(&mut response).await.expect("no reset");
        assert_eq!(response, "408");
    }

    #[test]
    fn the_ingress_tries_80_then_8080_then_any_port() {
        let ports = ingress_ports(&[]);
        assert_eq!((ports[0], ports[1], ports.last()), (80, 8080, Some(&0)));
        assert_eq!(ingress_ports(&[3000]), [3000]);
    }
}
