//! An HTTP server in place of the world outside of the cluster: nothing leaves the process.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use meshy_net::BoxIo;

/// Whether an address is one that the server responds for, on every port: the documentation network 198.51.100.0/24 (TEST-NET-2
/// of RFC 5737), which is not in use. Other addresses outside of the cluster are unreachable.
pub(super) fn answers_for(address: Ipv4Addr) -> bool {
    address.octets()[..3] == [198, 51, 100]
}

/// Serves one connection: each request gets a 200 with the address that it was sent to.
pub(super) async fn serve(io: BoxIo, to: SocketAddr) {
    let respond = |_: Request<Incoming>| async move {
        let body = Full::new(Bytes::from(format!("outside of the cluster: {to}\n")));
        Ok::<_, Infallible>(Response::new(body))
    };
    let builder = auto::Builder::new(TokioExecutor::new());
    // An error is caused by the client.
    let _ = builder.serve_connection(TokioIo::new(io), service_fn(respond)).await;
}
