//! Asking the proxies of many pods at the same time.

use meshy_kube::failure;
use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::pod_request::pod_request;
use super::pods::Pod;
use super::series::Scrape;
use super::text;

/// The proxy's admin port.
const ADMIN_PORT: u16 = 4191;

/// How long one pod may take: a proxy answers in milliseconds, the rest is the way there.
pub const POD_DEADLINE: Duration = Duration::from_secs(5);

/// Pods asked at the same time: enough to hide the way, few enough to be no load on an API server.
const AT_ONCE: usize = 32;

/// One pod's proxy at one moment.
#[derive(Clone, Debug)]
pub struct ScrapedPod {
    /// The pod.
    pub pod: Pod,
    /// What its proxy said, or why nothing was heard of it.
    pub scrape: Result<Scrape, String>,
}

/// All proxies of a set of pods, asked at the same time.
#[derive(Clone, Debug)]
pub struct Scrapes {
    /// The middle of the time in which they were asked.
    pub at: Instant,
    /// One entry for each pod asked, in the order of the pods.
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

/// Asks the proxies of all pods that have one. A proxy that does not answer within `deadline` is an entry with a reason,
/// not an error.
pub async fn scrape_pods(client: &kube::Client, pods: Vec<Pod>, deadline: Duration) -> Scrapes {
    let begun = Instant::now();
    let asked = pods.into_iter().filter(Pod::scrapable).map(|pod| async move {
        let scrape = match tokio::time::timeout(deadline, scrape(client, &pod)).await {
            Ok(scrape) => scrape.map_err(|error| failure::plain(&error)),
            Err(_) => Err(format!("no answer within {:.0} s", deadline.as_secs_f64())),
        };
        ScrapedPod { pod, scrape }
    });
    let pods = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    Scrapes { at: begun + begun.elapsed() / 2, pods }
}

async fn scrape(client: &kube::Client, pod: &Pod) -> anyhow::Result<Scrape> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let dump = pod_request(client, &pod.namespace, &pod.name, ADMIN_PORT, request).await?;
    Ok(text::parse(&dump)?)
}
