//! A Prometheus that scrapes the proxies, as a source of what they counted in the past.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::families;
use super::pods::Pod;
use super::scrape::{ScrapedPod, Scrapes};
use super::series::{Scrape, Series};
use super::window::Window;

/// How long one query may take.
const QUERY_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest response that is read: 3,000 proxies have some 40 MiB.
const LARGEST: usize = 48 << 20;

/// How much of an unexpected response is quoted, in characters.
const QUOTED: usize = 120;

/// Labels of the target and not of the proxy: two targets for one proxy would count twice, and with them both would be kept.
const OF_TARGET: [&str; 2] = ["instance", "job"];

/// A Prometheus.
#[derive(Clone)]
pub struct Prometheus {
    client: kube::Client,
    url: Uri,
}

/// Why a Prometheus gives no history.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be queried.
    #[error("cannot query the Prometheus at {url}")]
    Unreachable {
        /// Its URL.
        url: Uri,
        /// The cause.
        source: anyhow::Error,
    },
    /// It scrapes no proxies.
    #[error(
        "the Prometheus at {url} has no series of Linkerd's proxies with labels `namespace` and `pod` {when}"
    )]
    NoSeries {
        /// Its URL.
        url: Uri,
        /// The time of the query, in words.
        when: String,
    },
}

/// Namespace and name of a pod.
type PodKey = (String, String);

/// What the proxies had counted at one time.
struct Counted {
    /// Seconds since 1970, by the clock of the Prometheus.
    at: f64,
    pods: HashMap<PodKey, Scrape>,
}

#[derive(Deserialize)]
struct Response {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

/// One series with its value at the time of the query.
#[derive(Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Reads the URL of a Prometheus: of its web page, with a path if there is one before `/api`.
///
/// # Errors
/// It is not an http or https URL, or contains credentials.
pub fn url(text: &str) -> anyhow::Result<Uri> {
    let uri = text.trim_end_matches('/').parse::<Uri>().ok();
    let uri = uri.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none());
    let uri = uri.ok_or_else(|| anyhow!("expected a URL such as http://127.0.0.1:9090"))?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(anyhow!("a URL with credentials is not supported"));
    }
    Ok(uri)
}

impl Prometheus {
    /// Uses the Prometheus at a URL of [`url`].
    ///
    /// # Errors
    /// The certificates of this machine cannot be read.
    pub fn new(url: Uri) -> anyhow::Result<Self> {
        let mut config = kube::Config::new(url.clone());
        // It would repeat a 503 for minutes.
        config.default_retry = false;
        let client =
            kube::Client::try_from(config).context("cannot prepare the connection to the Prometheus")?;
        Ok(Self { client, url })
    }

    /// Returns what the proxies of these pods counted in the last `length`; zero is all since each proxy started. A pod that was
    /// not scraped at the end, or not at the start although it ran, is a gap.
    ///
    /// # Errors
    /// It cannot be queried, or has no series of proxies.
    pub async fn window(&self, pods: &[Pod], length: Duration) -> Result<Window, Unusable> {
        let now = self.counted(None, "now").await?;
        let at = Instant::now();
        let missing = || anyhow!("Prometheus did not scrape it").into();
        let scraped = |pod: &Pod, found: Option<&Scrape>| ScrapedPod {
            pod: pod.clone(),
            scrape: found.cloned().ok_or_else(missing),
        };
        let scrapable = || pods.iter().filter(|pod| pod.scrapable());
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        let after =
            Scrapes { at, pods: scrapable().map(|pod| scraped(pod, now.pods.get(&key(pod)))).collect() };
        if length.is_zero() {
            return Ok(Window::since_start(&after));
        }
        let begin = now.at - length.as_secs_f64();
        let then = self.counted(Some(begin), &format!("{} s ago", length.as_secs())).await?;
        // What started later counts from zero.
        let is_new = |pod: &Pod| {
            now.pods.get(&key(pod)).and_then(Scrape::started).is_some_and(|started| started > begin)
        };
        let known = scrapable().filter(|pod| then.pods.contains_key(&key(pod)) || !is_new(pod));
        let before = Scrapes { at, pods: known.map(|pod| scraped(pod, then.pods.get(&key(pod)))).collect() };
        Ok(Window { length, ..Window::between(&before, &after) })
    }

    async fn counted(&self, time: Option<f64>, when: &str) -> Result<Counted, Unusable> {
        let unreachable = |source| Unusable::Unreachable { url: self.url.clone(), source };
        let queried = timeout(QUERY_TIMEOUT, self.query(time)).await;
        let queried =
            queried.unwrap_or_else(|_| Err(anyhow!("no response within {} s", QUERY_TIMEOUT.as_secs())));
        let samples = queried.map_err(unreachable)?;
        let at = samples.first().map(|sample| sample.value.0).unwrap_or_default();
        let pods = scrapes(samples);
        match pods.is_empty() {
            true => Err(Unusable::NoSeries { url: self.url.clone(), when: when.to_owned() }),
            false => Ok(Counted { at, pods }),
        }
    }

    async fn query(&self, time: Option<f64>) -> anyhow::Result<Vec<Sample>> {
        let time = time.map(|time| format!("&time={time:.3}")).unwrap_or_default();
        let path = format!("/api/v1/query?query={}{time}", percent_encoded(&selector()));
        let response = self.client.send(Request::get(path).body(Body::empty())?).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| anyhow!(error)).context("cannot read the response")?.to_bytes();
        if !status.is_success() {
            let quoted: String = String::from_utf8_lossy(&body).trim().chars().take(QUOTED).collect();
            return Err(anyhow!("it returned status {status}: {quoted}"));
        }
        let response: Response =
            serde_json::from_slice(&body).context("the response is not one of Prometheus")?;
        Ok(response.data.result)
    }
}

/// Returns the selector of the series that are read: the families of a proxy, of targets with the labels of Linkerd's scrape
/// configuration.
fn selector() -> String {
    let families: Vec<&str> = families::names().collect();
    format!("{{__name__=~\"({}).*\",namespace!=\"\",pod!=\"\"}}", families.join("|"))
}

/// Returns the counters of each pod.
fn scrapes(samples: Vec<Sample>) -> HashMap<PodKey, Scrape> {
    let mut all: HashMap<PodKey, Scrape> = HashMap::new();
    for Sample { mut metric, value: (_, value) } in samples {
        let name = metric.remove("__name__").unwrap_or_default();
        let (Some(namespace), Some(pod)) = (metric.remove("namespace"), metric.remove("pod")) else {
            continue;
        };
        let value = value.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        let (Some(value), Some(_)) = (value, families::kind(&name)) else { continue };
        metric.retain(|label, _| !OF_TARGET.contains(&label.as_str()));
        // A map is sorted, so a series has the same text in each response.
        let labels: Vec<String> =
            metric.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        all.entry((namespace, pod)).or_default().insert(Series::new(&name, &labels.join(",")), value);
    }
    all
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests;
