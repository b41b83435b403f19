//! Serving HTTP on one connection.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::copy_bidirectional;

use crate::body::{BoxResponse, RequestBody, ResponseBody};
use crate::detect::Protocol;
use crate::headers::wants_upgrade;
use crate::log;
use crate::transport::Transport;

/// Responds to requests; an error becomes a response as well. Requests are boxed because many functions pass them on.
pub(crate) trait Handler: Send + Sync + 'static {
    fn call(&self, request: Box<Request<RequestBody>>) -> impl Future<Output = BoxResponse> + Send;
}

/// Serves requests until the connection ends.
pub(crate) async fn http<H: Handler>(
    transport: Transport,
    protocol: Protocol,
    handler: Arc<H>,
) -> io::Result<()> {
    let io = TokioIo::new(transport);
    let result = if protocol == Protocol::Http2 {
        return h2(io, handler).await;
    } else {
        let service = service_fn(|request| handle(handler.clone(), request));
        let mut builder = http1::Builder::new();
        // No header is added that the application did not send.
        builder.writev(false).auto_date_header(false).timer(TokioTimer::new()).header_read_timeout(None);
        builder.serve_connection(io, service).with_upgrades().await
    };
    result.map_err(io::Error::other)
}

/// Each stream runs in its own task.
async fn h2<H: Handler>(io: TokioIo<Transport>, handler: Arc<H>) -> io::Result<()> {
    let service = service_fn(move |request| handle(handler.clone(), request));
    let mut builder = http2::Builder::new(log::Executor);
    builder.auto_date_header(false).timer(TokioTimer::new());
    builder.serve_connection(io, service).await.map_err(io::Error::other)
}

async fn handle<H: Handler>(
    handler: Arc<H>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let upgrade = wants_upgrade(&request).then(|| hyper::upgrade::on(&mut request));
    let mut response = handler.call(Box::new(request.map(RequestBody::incoming))).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upstream = hyper::upgrade::on(&mut *response);
        match upgrade {
            Some(caller) => {
                log::spawn(async move {
                    let Ok((caller, upstream)) = tokio::try_join!(caller, upstream) else { return };
                    let (mut caller, mut upstream) = (TokioIo::new(caller), TokioIo::new(upstream));
                    let _ = copy_bidirectional(&mut caller, &mut upstream).await;
                });
            }
            None => *response.status_mut() = StatusCode::BAD_GATEWAY,
        }
    }
    Ok(*response)
}
