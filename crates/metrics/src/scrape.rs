//! Scrapes the proxies of many pods at the same time.

use std::time::Duration;

use anyhow::anyhow;
use futures::StreamExt;
use meshy_kube::failure::SharedError;
use tokio::time::Instant;

use super::pod_request::pod_request;
use super::pods::Pod;
use super::series::Scrape;
use super::text;

/// The proxy's admin port.
const ADMIN_PORT: u16 = 4191;

/// The longest time for one pod: a proxy responds within milliseconds, the rest is for the connection.
pub const POD_DEADLINE: Duration = Duration::from_secs(5);

/// Pods scraped at the same time: many enough to hide the round trips, few enough to be no load on an API server.
const AT_ONCE: usize = 32;

/// One pod's proxy at one moment.
#[derive(Clone, Debug)]
pub struct ScrapedPod {
    /// The pod.
    pub pod: Pod,
    /// The counters of its proxy, or why the proxy was not scraped.
    pub scrape: Result<Scrape, SharedError>,
}

/// All proxies of a set of pods, scraped at the same time.
#[derive(Clone, Debug)]
pub struct Scrapes {
    /// The middle of the time in which they were scraped.
    pub at: Instant,
    /// One entry for each pod that has a proxy, in the order of the pods.
    pub pods: Vec<ScrapedPod>,
}

impl Scrapes {
    /// Returns the pods for which the closure returns true.
    #[must_use]
    pub fn of(&self, is_wanted: impl Fn(&Pod) -> bool) -> Self {
        let pods = self.pods.iter().filter(|scraped| is_wanted(&scraped.pod)).cloned().collect();
        Self { at: self.at, pods }
    }
}

/// Scrapes the proxies of all pods that have one. A proxy that does not respond within `deadline` is an entry with the
/// reason, not an error.
pub async fn scrape_pods(client: &kube::Client, pods: Vec<Pod>, deadline: Duration) -> Scrapes {
    let begun = Instant::now();
    let scrapes = pods.into_iter().filter(Pod::scrapable).map(|pod| async move {
        let scrape = match tokio::time::timeout(deadline, scrape(client, &pod)).await {
            Ok(scrape) => scrape.map_err(SharedError::from),
            Err(_) => Err(anyhow!("no response within {:.0} s", deadline.as_secs_f64()).into()),
        };
        ScrapedPod { pod, scrape }
    });
    let pods = futures::stream::iter(scrapes).buffered(AT_ONCE).collect().await;
    Scrapes { at: begun + begun.elapsed() / 2, pods }
}

async fn scrape(client: &kube::Client, pod: &Pod) -> anyhow::Result<Scrape> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let dump = pod_request(client, &pod.namespace, &pod.name, ADMIN_PORT, request).await?;
    Ok(text::parse(&dump)?)
}
