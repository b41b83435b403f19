//! Scrapes a proxy and reads its metrics.

use std::collections::BTreeSet;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use meshy_dataplane::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Returns the metrics of a proxy from its admin port, without the series of the admin connection itself.
///
/// The connection is in memory, so the exchange is polled to its end at once, and tests can scrape between two steps.
pub(crate) fn scrape(proxy: &Proxy) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let exchange = async {
        near.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut response = String::new();
        near.read_to_string(&mut response).await.unwrap();
        response
    };
    let both = async { tokio::join!(exchange, proxy.admin(Box::new(far))).0 };
    let mut both = pin!(tokio::task::unconstrained(both));
    let response = (0..1_000)
        .find_map(|_| match both.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => Some(response),
            Poll::Pending => None,
        })
        .expect("an exchange in memory ends");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response has a head");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.split_inclusive('\n').filter(|line| !line.contains("target_port=\"4191\"")).collect()
}

/// Returns the sum of a metric's series that have all these labels.
pub(crate) fn sum(text: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    let value = |line: &str| {
        let (series, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        let has = |label: &String| format!(",{series},").contains(&format!(",{label},"));
        labels.iter().all(has).then(|| value.parse::<f64>().expect("a number") as u64)
    };
    text.lines().filter_map(value).sum()
}

/// Returns the label names of a metric's series, in order, each combination once.
pub(crate) fn label_names(text: &str, name: &str) -> BTreeSet<Vec<String>> {
    let names = |line: &str| {
        let (series, _) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
        Some(series.split("\",").map(|label| label.split('=').next().unwrap().to_owned()).collect())
    };
    text.lines().filter_map(names).collect()
}
