//! Port-forward with the protocol `v4.channel.k8s.io` over WebSocket, which kube-rs uses.
//!
//! Each requested port has two channels, data (even) and error (odd). A message is a channel number followed by bytes; the
//! first message of each channel is the port number, two bytes in little endian.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    UPGRADE,
};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use meshy_net::BoxIo;

use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::Body;
use crate::error::{ApiError, Result};
use crate::pods::PodBackend;
use crate::store::Key;

const PROTOCOL: &str = "v4.channel.k8s.io";
/// A client's message on this channel ends the channel whose number follows, as in `v5.channel.k8s.io`.
const CLOSE: u8 = 255;
/// Maximum bytes of a message.
const CHUNK_SIZE: usize = 16 * 1024;
/// Buffered messages for a slow client, before reading from the pods stops.
const BUFFERED_MESSAGES: usize = 16;
/// How long data of the client is still written after the pod has ended its streams.
const LINGER: Duration = Duration::from_secs(10);

/// Accepts the upgrade and forwards data until one side closes the connection.
///
/// # Errors
/// 400 without a WebSocket upgrade or a valid port, 404 if the pod does not exist, 503 without a pod backend.
pub(super) fn port_forward(request: ApiRequest, path: &ResourcePath) -> Result<Response<Body>> {
    if request.state.store.collection("pods").get(&Key::new(&path.namespace, &path.name)).is_none() {
        return Err(ApiError::not_found("pods", &path.name));
    }
    let offered = request.header(&SEC_WEBSOCKET_PROTOCOL).to_owned();
    // As in a kubelet, a client that offers no protocol gets binary channels, too.
    let is_offered = offered.is_empty() || offered.split(',').any(|protocol| protocol.trim() == PROTOCOL);
    let header = |name: &HeaderName| request.header(name).to_ascii_lowercase();
    if header(&UPGRADE) != "websocket" || !is_offered {
        let message = "port-forward requires WebSocket (v4.channel.k8s.io); SPDY, which kubectl requests, is not supported: \
                       use `meshy port-forward`";
        return Err(ApiError::bad_request(message));
    }
    let ports = request.query.all("ports").flat_map(|text| text.split(',')).map(|text| {
        text.parse::<u16>()
            .map_err(|_| ApiError::bad_request(format!("unable to parse \"{text}\" as a port")))
    });
    let ports = ports.collect::<Result<Vec<u16>>>()?;
    if ports.is_empty() {
        return Err(ApiError::bad_request("query parameter \"ports\" is required"));
    }
    let pods = request.pod_backend()?;
    let key = derive_accept_key(request.header(&SEC_WEBSOCKET_KEY).as_bytes());
    let upgrade =
        request.upgrade.ok_or_else(|| ApiError::bad_request("the connection cannot be upgraded"))?;
    let (namespace, pod) = (path.namespace.clone(), path.name.clone());
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => {
                let socket =
                    WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
                run(socket, pods, &namespace, &pod, &ports).await;
            }
            Err(error) => tracing::debug!(%error, "port-forward upgrade failed"),
        }
    });
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if !offered.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(&key).map_err(ApiError::internal)?);
    Ok(response)
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn run(socket: Socket, pods: Arc<dyn PodBackend>, namespace: &str, pod: &str, ports: &[u16]) {
    let (mut sink, source) = socket.split();
    let (sender, messages) = mpsc::channel::<Vec<u8>>(BUFFERED_MESSAGES);
    let mut writers: HashMap<u8, WriteHalf<BoxIo>> = HashMap::new();
    let mut readers = tokio::task::JoinSet::new();
    for (index, port) in ports.iter().enumerate().take(127) {
        let data = u8::try_from(index * 2).unwrap_or_default();
        let [low, high] = port.to_le_bytes();
        for channel in [data, data + 1] {
            if sink.send(Message::binary(vec![channel, low, high])).await.is_err() {
                return;
            }
        }
        match pods.connect(namespace, pod, *port).await {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                writers.insert(data, writer);
                readers.spawn(read(reader, data, sender.clone()));
            }
            Err(error) => {
                let mut message = vec![data + 1];
                message.extend_from_slice(error.message.as_bytes());
                let _ = sink.send(Message::binary(message)).await;
            }
        }
    }
    drop(sender);
    let mut to_client = pin!(to_client(messages, sink));
    let mut to_pod = pin!(to_pod(source, writers));
    // Each direction goes on while the other one waits: a pod may write its response before it has read the whole request.
    tokio::select! {
        // What the client had sent until then still reaches the pod, which may read after its last byte.
        () = &mut to_client => drop(timeout(LINGER, to_pod).await),
        () = &mut to_pod => {}
    }
}

/// Sends what the pod has written, and closes the WebSocket when all streams of the pod have ended.
async fn to_client(mut messages: mpsc::Receiver<Vec<u8>>, mut sink: SplitSink<Socket, Message>) {
    while let Some(message) = messages.recv().await {
        if sink.send(Message::binary(message)).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}

/// Writes what the client sends until it closes the WebSocket; then the pod reads the end of each stream.
async fn to_pod(mut source: SplitStream<Socket>, mut writers: HashMap<u8, WriteHalf<BoxIo>>) {
    while let Some(Ok(message)) = source.next().await {
        match message {
            Message::Binary(bytes) => {
                let Some((channel, data)) = bytes.split_first() else { continue };
                if let (CLOSE, [ended]) = (*channel, data) {
                    if let Some(mut writer) = writers.remove(ended) {
                        let _ = writer.shutdown().await;
                    }
                    continue;
                }
                if let Some(writer) = writers.get_mut(channel)
                    && writer.write_all(data).await.is_err()
                {
                    writers.remove(channel);
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    for writer in writers.values_mut() {
        let _ = writer.shutdown().await;
    }
}

async fn read(mut reader: tokio::io::ReadHalf<BoxIo>, channel: u8, sender: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; CHUNK_SIZE];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let mut message = Vec::with_capacity(count + 1);
        message.push(channel);
        message.extend_from_slice(&buffer[..count]);
        if sender.send(message).await.is_err() {
            return;
        }
    }
}
