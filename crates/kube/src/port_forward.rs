//! One port of a pod through the API server's port-forward: the protocol `v4.channel.k8s.io` over WebSocket.
//!
//! Each port has two channels, data (0) and error (1); a message is the number of its channel followed by bytes, and the first message of
//! each channel is the port. kube's `Portforwarder` carries both directions in one loop, which stands still when each side writes much
//! before it reads, and drops what the pod sends after the client has ended its side.

use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, Resource as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};

/// The channel of a port's data, and the one of its error.
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Maximum bytes of a message.
const CHUNK_SIZE: usize = 16 * 1024;

/// The channel that ends another one in the client's direction. It belongs to `v5.channel.k8s.io`: the embedded cluster follows it also
/// in v4, a kubelet ignores it.
const CLOSE: u8 = 255;

/// How long a connection whose client has ended its side stays open after the last byte of the pod: a pod that does not learn
/// of the end would never close an idle one.
const LINGER: Duration = Duration::from_secs(2);

/// Carries a connection to a port of a pod until one side ends it, which is how HTTP clients end.
///
/// # Errors
/// The API server refuses the port-forward, or the pod does not listen on the port.
pub async fn carry<S: AsyncRead + AsyncWrite>(
    client: &Client,
    (namespace, pod, port): (&str, &str, u16),
    local: S,
) -> anyhow::Result<()> {
    let path = format!("{}/{pod}/portforward?ports={port}", Pod::url_path(&(), Some(namespace)));
    let request = Request::get(path).body(Vec::new()).context("the name of a pod is not valid")?;
    let connection = client.connect(request).await.with_context(|| format!("cannot reach pod `{pod}`"))?;
    let (sink, source) = connection.into_stream().split();
    let (reader, writer) = tokio::io::split(local);
    let (received, mut news) = watch::channel(());
    let half_closed = async {
        if to_pod(reader, sink).await.is_ok() {
            while let Ok(Ok(())) = timeout(LINGER, news.changed()).await {}
        }
    };
    tokio::select! {
        ended = from_pod(source, writer, &received) => ended,
        () = half_closed => Ok(()),
    }
}

/// Writes what the pod sends until it closes the connection.
async fn from_pod(
    mut source: impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    received: &watch::Sender<()>,
) -> anyhow::Result<()> {
    let mut begun = [false; 2];
    while let Some(Ok(message)) = source.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Close(_) => break,
            _ => continue,
        };
        let Some((&channel, data)) = bytes.split_first() else { continue };
        let Some(begun) = begun.get_mut(usize::from(channel)) else { continue };
        if !std::mem::replace(begun, true) {
            // The port.
            continue;
        }
        if channel == ERROR {
            bail!("{}", String::from_utf8_lossy(data));
        }
        if writer.write_all(data).await.is_err() {
            return Ok(());
        }
        received.send_replace(());
    }
    let _ = writer.shutdown().await;
    Ok(())
}

/// Sends what the client writes until it ends its side.
async fn to_pod(
    mut reader: impl AsyncRead + Unpin,
    mut sink: impl Sink<Message, Error = tungstenite::Error> + Unpin,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; CHUNK_SIZE];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(sink.send(Message::binary(vec![CLOSE, DATA])).await?);
        }
        let mut message = Vec::with_capacity(count + 1);
        message.push(DATA);
        message.extend_from_slice(&buffer[..count]);
        sink.send(Message::binary(message)).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::stream::BoxStream;
    use kube::api::{Api, PostParams};
    use meshy_apiserver::{ApiError, LogOptions, Options, PodBackend, Server};
    use meshy_net::{BoxFuture, BoxIo};
    use serde_json::json;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// What a pod does with a connection.
    type Serve = fn(DuplexStream) -> BoxFuture<'static, std::io::Result<()>>;

    struct Pods(Serve);

    impl PodBackend for Pods {
        fn logs<'a>(
            &'a self,
            _: &'a str,
            pod: &'a str,
            _: LogOptions,
        ) -> BoxFuture<'a, meshy_apiserver::Result<BoxStream<'static, std::io::Result<bytes::Bytes>>>>
        {
            Box::pin(async move { Err(ApiError::not_found("pods", pod)) })
        }

        fn connect<'a>(
            &'a self,
            _: &'a str,
            pod: &'a str,
            port: u16,
        ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
            let serve = self.0;
            Box::pin(async move {
                if port != 9090 {
                    return Err(ApiError::not_found("ports", pod));
                }
                let (near, far) = duplex(1024);
                tokio::spawn(serve(far));
                Ok(Box::new(near) as BoxIo)
            })
        }
    }

    /// A client of a port of a pod that serves its connections in this way, and how the port-forward ends.
    async fn forward(serve: Serve, port: u16) -> (DuplexStream, tokio::task::JoinHandle<anyhow::Result<()>>) {
        let pods = Some(Arc::new(Pods(serve)) as Arc<dyn PodBackend>);
        let server = Server::new(Options { pods, ..Options::default() });
        let client = kube::Client::new(server.service(), "default");
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        let api: Api<Pod> = Api::default_namespaced(client.clone());
        api.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
        let (near, far) = duplex(1024);
        let carried = tokio::spawn(async move { carry(&client, ("default", "p", port), far).await });
        (near, carried)
    }

    fn echo(stream: DuplexStream) -> BoxFuture<'static, std::io::Result<()>> {
        Box::pin(async move {
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::io::copy(&mut reader, &mut writer).await.map(drop)
        })
    }

    #[tokio::test]
    async fn a_pod_that_responds_while_it_reads_much_data_does_not_stop_the_connection() {
        let (stream, _carried) = forward(echo, 9090).await;
        // Far more than all buffers between client and pod.
        let sent: Vec<u8> =
            (0..8_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut received = vec![0; sent.len()];
        let both = async { tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received)) };
        let (written, read) = timeout(Duration::from_secs(120), both).await.expect("both directions go on");
        written.unwrap();
        read.unwrap();
        assert!(received == sent, "the client read other bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_after_the_end_of_the_request_is_received() {
        let late = |mut stream: DuplexStream| -> BoxFuture<'static, std::io::Result<()>> {
            Box::pin(async move {
                stream.read_exact(&mut [0; 5]).await?;
                tokio::time::sleep(LINGER / 2).await;
                stream.write_all(b"late").await
            })
        };
        let (mut stream, carried) = forward(late, 9090).await;
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = String::new();
        stream.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "late");
        carried.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_reads_the_end_at_once_and_one_that_does_not_close_is_left_after_a_while() {
        let waits = |mut stream: DuplexStream| -> BoxFuture<'static, std::io::Result<()>> {
            Box::pin(async move {
                stream.read_to_end(&mut Vec::new()).await?;
                stream.write_all(b"end").await?;
                std::future::pending().await
            })
        };
        let begun = tokio::time::Instant::now();
        let (mut stream, carried) = forward(waits, 9090).await;
        stream.shutdown().await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        assert!(begun.elapsed() < LINGER, "the pod learned of the end after {:?}", begun.elapsed());
        carried.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn the_error_of_a_port_without_a_listener_is_reported() {
        let (_stream, carried) = forward(echo, 1).await;
        let error = carried.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("not found"), "{error:#}");
    }
}
