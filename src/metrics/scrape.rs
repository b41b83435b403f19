//! Asking the proxies: through the API server's pod proxy path, else through a port-forward.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod as Object;
use kube::api::Api;
use tokio::time::Instant;

use super::pods::Pod;
use super::series::Scrape;
use super::text;

/// The proxy's admin port.
const ADMIN_PORT: u16 = 4191;

/// How long one pod may take: a proxy answers in milliseconds, the rest is the way there.
pub const POD_DEADLINE: Duration = Duration::from_secs(5);

/// Pods asked at the same time: enough to hide the way, few enough to be no load on an API server.
const AT_ONCE: usize = 32;

/// A dump of a proxy that talks to a thousand services has some 20 MiB.
const LARGEST: usize = 64 << 20;

/// One pod's proxy at one moment.
#[derive(Clone, Debug)]
pub struct Sighted {
    /// The pod.
    pub pod: Pod,
    /// What its proxy said, or why nothing was heard of it.
    pub scrape: Result<Scrape, String>,
}

/// All proxies of a set of pods, asked at the same time.
#[derive(Clone, Debug)]
pub struct Sight {
    /// The middle of the time in which they were asked.
    pub at: Instant,
    /// One entry for each pod asked, in the order of the pods.
    pub pods: Vec<Sighted>,
}

/// Asks the proxies of all pods that have one. A proxy that does not answer within `deadline` is an entry with a reason,
/// not an error.
pub async fn sight(client: &kube::Client, pods: Vec<Pod>, deadline: Duration) -> Sight {
    let begun = Instant::now();
    let asked = pods.into_iter().filter(Pod::scrapable).map(|pod| async move {
        let scrape = match tokio::time::timeout(deadline, scrape(client, &pod)).await {
            Ok(scrape) => scrape.map_err(|error| format!("{error:#}")),
            Err(_) => Err(format!("no answer within {:.0} s", deadline.as_secs_f64())),
        };
        Sighted { pod, scrape }
    });
    let pods = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    Sight { at: begun + begun.elapsed() / 2, pods }
}

async fn scrape(client: &kube::Client, pod: &Pod) -> anyhow::Result<Scrape> {
    let dump = match by_proxy_path(client, pod).await {
        Ok(dump) => dump,
        Err(first) => by_port_forward(client, pod)
            .await
            .with_context(|| format!("neither the pod's proxy path ({first:#}) nor a port-forward"))?,
    };
    Ok(text::parse(&dump)?)
}

async fn by_proxy_path(client: &kube::Client, pod: &Pod) -> anyhow::Result<String> {
    let path = format!("/api/v1/namespaces/{}/pods/{}:{ADMIN_PORT}/proxy/metrics", pod.namespace, pod.name);
    let request = http::Request::get(path).body(Vec::new())?;
    Ok(client.request_text(request).await?)
}

async fn by_port_forward(client: &kube::Client, pod: &Pod) -> anyhow::Result<String> {
    let request = Request::get("/metrics").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let (status, body) = through_pod(client, &pod.namespace, &pod.name, ADMIN_PORT, request).await?;
    if !status.is_success() {
        bail!("the proxy answered {status}");
    }
    Ok(String::from_utf8(body.to_vec())?)
}

/// Sends one HTTP request to a pod's port through a port-forward and reads the answer whole.
///
/// # Errors
/// The port-forward's, the connection's, or an answer of more than 64 MiB.
pub async fn through_pod<B>(
    client: &kube::Client,
    namespace: &str,
    pod: &str,
    port: u16,
    request: Request<B>,
) -> anyhow::Result<(http::StatusCode, Bytes)>
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let api: Api<Object> = Api::namespaced(client.clone(), namespace);
    let mut forward = api.portforward(pod, &[port]).await.context("cannot forward the port")?;
    let stream = forward.take_stream(port).context("the port-forward gave no stream")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Polled beside the request, not spawned: when the caller gives up, the connection goes with it.
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LARGEST).collect().await;
        anyhow::Ok((status, body.map_err(|error| anyhow::anyhow!(error))?.to_bytes()))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => { ended?; exchange.await }
    }
}
