//! HTTP/2 connections: one for all requests to an address.

use std::sync::Arc;

use http::Request;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::connect::Connector;
use crate::body::{BoxResponse, RequestBody, ResponseBody};
use crate::error::ProxyError;
use crate::log;

type Sender = http2::SendRequest<RequestBody>;

/// A connection that is opened for the first request, and again after it was closed.
pub(super) struct SharedConnection {
    connector: Arc<Connector>,
    sender: Mutex<Option<Sender>>,
}

impl SharedConnection {
    pub(super) fn new(connector: Arc<Connector>) -> Self {
        Self { connector, sender: Mutex::default() }
    }

    pub(super) async fn send(
        &self,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<BoxResponse, ProxyError> {
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

    async fn sender(&self) -> Result<(Sender, bool), ProxyError> {
        let mut shared = self.sender.lock().await;
        if let Some(sender) = shared.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), true));
        }
        let transport = self.connector.connect().await?;
        let (sender, driver) = http2::handshake(log::Executor, TokioIo::new(transport)).await?;
        log::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "HTTP/2 connection failed");
            }
        });
        *shared = Some(sender.clone());
        Ok((sender, false))
    }
}
