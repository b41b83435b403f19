//! HTTP/2 connections: one for all requests to an address.

use std::sync::Arc;

use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Mutex;

use super::connect::Connector;
use crate::body::{Answer, RequestBody, ResponseBody};
use crate::error::ProxyError;

/// The shared connection, opened when first needed and again when it was closed.
pub(super) struct Shared {
    connector: Arc<Connector>,
    sender: Mutex<Option<http2::SendRequest<RequestBody>>>,
}

impl Shared {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, sender: Mutex::default() }
    }

    pub(super) async fn send(&self, mut request: Box<Request<RequestBody>>) -> Result<Answer, ProxyError> {
        loop {
            let (mut sender, reused) = self.sender().await?;
            match sender.try_send_request(*request).await {
                Ok(response) => return Ok(Box::new(response.map(ResponseBody::incoming))),
                Err(mut error) => match error.take_message() {
                    Some(unsent) if reused => *request = unsent,
                    _ => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn sender(&self) -> Result<(http2::SendRequest<RequestBody>, bool), ProxyError> {
        let mut shared = self.sender.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), true));
        }
        let transport = self.connector.connect().await?;
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(transport)).await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "an HTTP/2 connection ended");
            }
        });
        *shared = Some(sender.clone());
        Ok((sender, false))
    }
}
