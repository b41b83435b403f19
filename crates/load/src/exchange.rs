//! One request and its response.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use meshy_net::Tcp;
use tokio::time::timeout;

use super::connect::{Connector, Http1, Open};
use super::outcome::{self, Outcome};
use super::target::Target;

/// The most bytes of a response whose body is read for an outcome.
const MOST_BODY: usize = 1 << 20;

type Read = (Outcome, Option<u32>);

/// Sends a request to a target and reads the response. `own` is the connection of this worker to it.
pub(crate) async fn exchange(
    connector: &Connector,
    (index, target): (usize, &Target),
    own: &mut Option<Open>,
    id: HeaderValue,
) -> anyhow::Result<Read> {
    with(connector, (index, target), own, id, async |response| read(target, response).await).await
}

/// Sends one request on a new connection, within `patience`, and returns the response with its body.
///
/// # Errors
/// There is no connection, it ends before the response, or the body is larger than 1 MiB. A response that does not come in time is
/// an `Elapsed`.
pub async fn request_once(target: &Target, patience: Duration) -> anyhow::Result<Response<Bytes>> {
    let connector = Connector::new(Arc::new(Tcp), 1);
    let id = HeaderValue::from_static("0");
    let whole = async |response: Response<Incoming>| {
        let (head, body) = response.into_parts();
        Ok(Response::from_parts(head, collected(body).await?))
    };
    timeout(patience, with(&connector, (0, target), &mut None, id, whole)).await?
}

/// Sends a request and reads the response with `read`.
async fn with<R>(
    connector: &Connector,
    (index, target): (usize, &Target),
    own: &mut Option<Open>,
    id: HeaderValue,
    read: impl AsyncFnOnce(Response<Incoming>) -> anyhow::Result<R>,
) -> anyhow::Result<R> {
    match connector.open(index, target, own.take()).await? {
        Open::Http1(mut open) => {
            let (read, open_after) = over_http1(&mut open, target, id, read).await?;
            *own = open_after.then_some(Open::Http1(open));
            Ok(read)
        }
        #[cfg(feature = "http2")]
        Open::Http2(mut sender) => {
            sender.ready().await?;
            let response = sender.send_request(target.request(id, true)).await?;
            *own = Some(Open::Http2(sender));
            read(response).await
        }
    }
}

/// Returns what was read, and whether the connection is still open.
async fn over_http1<R>(
    open: &mut Http1,
    target: &Target,
    id: HeaderValue,
    read: impl AsyncFnOnce(Response<Incoming>) -> anyhow::Result<R>,
) -> anyhow::Result<(R, bool)> {
    let (sender, running) = (&mut open.sender, &mut open.connection);
    let mut received = pin!(async {
        sender.ready().await?;
        let response = sender.send_request(target.request(id, false)).await?;
        read(response).await
    });
    tokio::select! {
        biased;
        ended = running => {
            // The connection ends with a response that closes it; then the response is here already.
            ended?;
            Ok((received.await?, false))
        }
        read = &mut received => Ok((read?, true)),
    }
}

async fn collected(body: Incoming) -> anyhow::Result<Bytes> {
    let body = Limited::new(body, MOST_BODY).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!(error))?.to_bytes())
}

async fn read(target: &Target, response: Response<Incoming>) -> anyhow::Result<Read> {
    let (head, mut body) = response.into_parts();
    if target.grpc {
        let mut trailers = None;
        while let Some(frame) = body.frame().await {
            trailers = frame?.into_trailers().ok().or(trailers);
        }
        return Ok(outcome::read_grpc(head.status, &head.headers, trailers.as_ref()));
    }
    if target.bounce {
        return Ok(outcome::read(head.status, &head.headers, Some(&collected(body).await?)));
    }
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(outcome::read(head.status, &head.headers, None))
}
