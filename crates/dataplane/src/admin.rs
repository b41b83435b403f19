//! The admin port: metrics and health.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use meshy_net::BoxIo;

use crate::body::{BoxResponse, RequestBody, ResponseBody};
use crate::detect::Protocol;
use crate::metrics::{Labels, Metrics, TcpScope};
use crate::serve::{self, Handler};
use crate::transport::Transport;

/// The address in the labels; Linkerd's admin port.
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4191);

struct Admin(Arc<Metrics>);

/// Serves one connection to the admin port.
pub(crate) async fn serve(metrics: &Arc<Metrics>, io: BoxIo) -> io::Result<()> {
    let labels = Labels::new()
        .with("direction", "inbound")
        .with("peer", "src")
        .with_target(ADDRESS)
        .with("tls", "no_identity")
        .with("no_tls_reason", "no_tls_from_remote")
        .with("srv_group", "")
        .with("srv_kind", "default")
        .with("srv_name", "all-unauthenticated")
        .with("srv_port", ADDRESS.port());
    let scope = Arc::new(TcpScope::new(metrics, labels));
    serve::http(Transport::plain(io, scope), Protocol::Http1, Arc::new(Admin(metrics.clone()))).await
}

impl Handler for Admin {
    async fn call(&self, request: Box<Request<RequestBody>>) -> BoxResponse {
        let text = match (request.method(), request.uri().path()) {
            (&Method::GET, "/metrics") => self.0.render(),
            (&Method::GET, "/ready") => "ready\n".into(),
            (&Method::GET, "/live") => "live\n".into(),
            (_, "/metrics" | "/ready" | "/live") => return status(StatusCode::METHOD_NOT_ALLOWED),
            _ => return status(StatusCode::NOT_FOUND),
        };
        let mut response = Box::new(Response::new(ResponseBody::text(text)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response
    }
}

fn status(status: StatusCode) -> BoxResponse {
    let mut response = Box::new(Response::new(ResponseBody::empty()));
    *response.status_mut() = status;
    response
}
