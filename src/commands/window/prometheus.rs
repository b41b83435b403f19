//! `--prometheus URL`: what a Prometheus has of the proxies' counters, in place of the proxies themselves.

use std::time::Duration;

use http::Uri;
use meshy_base::error::{AdviseError, Exit};
use meshy_metrics::prometheus::{self, Prometheus, Unusable};
use meshy_metrics::{Pod, Window};

use super::{Source, Time};

/// How long the window is without `--window`: a few intervals of a Prometheus, which are 10 s with Linkerd viz.
const LENGTH: Duration = Duration::from_secs(60);

/// Where the counters of a window that has passed come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PrometheusArgs {
    /// Read the last window from a Prometheus that scrapes the proxies [default window: 1m]
    #[arg(long, value_name = "URL", value_parser = prometheus::url, conflicts_with = "watch")]
    prometheus: Option<Uri>,
}

impl PrometheusArgs {
    /// Returns the time for which requests are watched: none for a window that has passed.
    pub(crate) fn planned(&self, time: &Time) -> Duration {
        if self.prometheus.is_some() { Duration::ZERO } else { time.planned() }
    }

    /// Returns the last window of these pods; none without the flag.
    ///
    /// # Errors
    /// The Prometheus is not usable.
    pub(super) async fn read(&self, time: &Time, pods: &[Pod]) -> anyhow::Result<Option<(Window, Source)>> {
        let Some(url) = &self.prometheus else { return Ok(None) };
        let length = time.window.unwrap_or(LENGTH);
        let window = Prometheus::new(url.clone())?.window(pods, length).await.map_err(unusable)?;
        let source = Source::Prometheus { url: url.to_string(), length_seconds: length.as_secs_f64() };
        Ok(Some((window, source)))
    }
}

fn unusable(error: Unusable) -> anyhow::Error {
    let hint = match &error {
        Unusable::Unreachable { .. } => {
            "`--prometheus` is the URL of its web page, for example http://127.0.0.1:9090; without it meshy reads the proxies"
        }
        Unusable::NoSeries { .. } => {
            "`meshy export prometheus` prints a scrape configuration; a shorter `--window` needs less history"
        }
    };
    anyhow::Error::from(error).hint(hint).exit(Exit::Prerequisite)
}
