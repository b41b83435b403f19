//! One request and its response.

use std::pin::pin;

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;

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
    match connector.open(index, target, own.take()).await? {
        Open::Http1(mut open) => {
            let (read, open_after) = over_http1(&mut open, target, id).await?;
            *own = open_after.then_some(Open::Http1(open));
            Ok(read)
        }
        #[cfg(feature = "http2")]
        Open::Http2(mut sender) => {
            sender.ready().await?;
            let response = sender.send_request(target.request(id, true)).await?;
            *own = Some(Open::Http2(sender));
            read(target, response).await
        }
    }
}

/// Returns what was read, and whether the connection is still open.
async fn over_http1(open: &mut Http1, target: &Target, id: HeaderValue) -> anyhow::Result<(Read, bool)> {
    let (sender, running) = (&mut open.sender, &mut open.connection);
    let mut received = pin!(async {
        sender.ready().await?;
        let response = sender.send_request(target.request(id, false)).await?;
        read(target, response).await
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
        let body = http_body_util::Limited::new(body, MOST_BODY).collect().await;
        let body: Bytes = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        return Ok(outcome::read(head.status, &head.headers, Some(&body)));
    }
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(outcome::read(head.status, &head.headers, None))
}
