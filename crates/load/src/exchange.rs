//! One request and its response, over a connection that the requests of one worker share.

use std::pin::pin;

use bytes::Bytes;
use http::HeaderValue;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::outcome::{self, Outcome};
use super::target::Target;

/// A connection that is polled by the request that uses it, so that an answer wakes one task and not two.
pub(crate) struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<TcpStream>, Full<Bytes>>,
}

pub(crate) async fn exchange(
    target: &Target,
    connection: &mut Option<Open>,
    id: HeaderValue,
) -> anyhow::Result<(Outcome, Option<u32>)> {
    let mut open = match connection.take() {
        Some(mut open) => {
            // A server may have closed an idle connection; that is not a failure of a request that was not sent yet.
            let alive = futures::poll!(&mut open.connection).is_pending() && !open.sender.is_closed();
            if alive { open } else { connect(target).await? }
        }
        None => connect(target).await?,
    };
    let read = {
        let (sender, running) = (&mut open.sender, &mut open.connection);
        let mut asked = pin!(ask(target, sender, id));
        tokio::select! {
            biased;
            ended = running => {
                // The connection ends with an answer that closes it; then the answer is here already.
                ended?;
                return asked.await;
            }
            read = &mut asked => read?,
        }
    };
    *connection = Some(open);
    Ok(read)
}

async fn ask(
    target: &Target,
    sender: &mut SendRequest<Full<Bytes>>,
    id: HeaderValue,
) -> anyhow::Result<(Outcome, Option<u32>)> {
    sender.ready().await?;
    let answer = sender.send_request(target.request(id)).await?;
    let (head, mut body) = answer.into_parts();
    if target.bounce {
        let body = http_body_util::Limited::new(body, 1 << 20).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        return Ok(outcome::read(head.status, &head.headers, Some(&body)));
    }
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(outcome::read(head.status, &head.headers, None))
}

async fn connect(target: &Target) -> anyhow::Result<Open> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    Ok(Open { sender, connection })
}
