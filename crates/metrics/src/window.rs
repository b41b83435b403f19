//! What happened between two scrapes of the same pods.

use std::collections::HashMap;
use std::time::Duration;

use super::pods::Pod;
use super::scrape::Scrapes;
use super::series::Scrape;

/// The increase of each pod's counters over a stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// How long it was.
    pub length: Duration,
    /// One entry for each pod that answered at the end.
    pub pods: Vec<PodWindow>,
    /// Pods whose counts are missing or partial, with the reason.
    pub gaps: Vec<String>,
}

/// One pod's share of a [`Window`].
#[derive(Clone, Debug, PartialEq)]
pub struct PodWindow {
    /// The pod.
    pub pod: Pod,
    /// Its counters' increase; gauges as at the end.
    pub change: Scrape,
}

impl Window {
    /// Returns everything that the proxies of these scrapes counted since each of them started. Its length is zero: there is no one time
    /// that a rate could be based on.
    pub fn since_start(now: &Scrapes) -> Self {
        let nothing = Scrapes { at: now.at, pods: Vec::new() };
        Self::between(&nothing, now)
    }

    /// The difference of two scrapes. A pod that came in between counts from zero, one that went is a gap.
    pub fn between(before: &Scrapes, after: &Scrapes) -> Self {
        let key = |pod: &Pod| (pod.namespace.clone(), pod.name.clone());
        let then: HashMap<_, _> = before.pods.iter().map(|scraped| (key(&scraped.pod), scraped)).collect();
        let mut window =
            Self { length: after.at.duration_since(before.at), pods: Vec::new(), gaps: Vec::new() };
        let mut seen = std::collections::HashSet::new();
        for scraped in &after.pods {
            let pod = &scraped.pod;
            seen.insert(key(pod));
            let now = match &scraped.scrape {
                Ok(now) => now,
                Err(why) => {
                    window.gaps.push(format!("{}/{}: {why}", pod.namespace, pod.name));
                    continue;
                }
            };
            let base = match then.get(&key(pod)).map(|scraped| &scraped.scrape) {
                Some(Ok(base)) => Some(base),
                // Its whole life would be counted as this window's.
                Some(Err(why)) => {
                    window.gaps.push(format!("{}/{}: at the start {why}", pod.namespace, pod.name));
                    continue;
                }
                None => None,
            };
            if base.is_some_and(|base| base.started() != now.started()) {
                window.gaps.push(format!(
                    "{}/{}: its proxy restarted; what it counted before is lost",
                    pod.namespace, pod.name
                ));
            }
            window.pods.push(PodWindow { pod: pod.clone(), change: now.since(base) });
        }
        for scraped in before.pods.iter().filter(|scraped| !seen.contains(&key(&scraped.pod))) {
            let pod = &scraped.pod;
            window.gaps.push(format!("{}/{}: gone; what it counted is lost", pod.namespace, pod.name));
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::scrape::ScrapedPod;
    use crate::text;

    fn pod(name: &str) -> Pod {
        Pod::example("default", name)
    }

    fn scrape_pods(at: Instant, pods: &[(&str, Result<&str, &str>)]) -> Scrapes {
        let scraped = |(name, scrape): &(&str, Result<&str, &str>)| ScrapedPod {
            pod: pod(name),
            scrape: scrape
                .map(|text| text::parse(text).unwrap())
                .map_err(|why| anyhow::anyhow!("{why}").into()),
        };
        Scrapes { at, pods: pods.iter().map(scraped).collect() }
    }

    #[test]
    fn a_failed_scrape_is_a_gap_and_the_others_count() {
        let begun = Instant::now();
        let before = scrape_pods(
            begun,
            &[("a", Ok("request_total 5")), ("b", Ok("request_total 1")), ("c", Err("no"))],
        );
        let after = scrape_pods(
            begun + Duration::from_secs(10),
            &[("a", Ok("request_total 8")), ("b", Err("timeout")), ("c", Ok("request_total 900"))],
        );
        let window = Window::between(&before, &after);
        assert_eq!(window.length, Duration::from_secs(10));
        assert_eq!(window.pods.len(), 1);
        assert_eq!(window.pods[0].change.sum("request_total", |_| true), 3.0);
        assert_eq!(window.gaps, ["default/b: timeout", "default/c: at the start no"]);
    }

    #[test]
    fn a_pod_that_restarts_or_goes_or_comes_is_reported() {
        let begun = Instant::now();
        let before = scrape_pods(
            begun,
            &[("a", Ok("request_total 5\nprocess_start_time_seconds 1")), ("b", Ok("request_total 1"))],
        );
        let after = scrape_pods(
            begun,
            &[("a", Ok("request_total 8\nprocess_start_time_seconds 2")), ("c", Ok("request_total 2"))],
        );
        let window = Window::between(&before, &after);
        let counts: Vec<f64> = window.pods.iter().map(|p| p.change.sum("request_total", |_| true)).collect();
        assert_eq!(counts, [8.0, 2.0]);
        assert_eq!(window.gaps.len(), 2);
    }
}
