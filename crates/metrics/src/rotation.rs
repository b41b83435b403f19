//! Scrapes many proxies in turns, so that the scrapes do not disturb what is measured.

use std::collections::HashMap;
use std::time::Duration;

use super::pods::Pod;
use super::scrape::{ScrapedPod, Scrapes, scrape_pods};

/// A sampler that scrapes at most so many proxies at a time, the others in rotation. It keeps the latest scrape of each proxy. Each round
/// scrapes each proxy once, in the same order, so that the times between two scrapes of a proxy are equal.
#[derive(Debug)]
pub struct Rotation {
    most: usize,
    /// How often proxies were scraped.
    turn: u64,
    /// The first turn of the round.
    round: u64,
    /// By namespace and name, with the turn in which the proxy was scraped last.
    latest: HashMap<(String, String), (u64, ScrapedPod)>,
    /// Whether the last turn scraped all.
    is_current: bool,
}

impl Rotation {
    /// Returns a sampler of at most `most` proxies at a time, which until it scrapes them has these scrapes.
    #[must_use]
    pub fn new(start: &Scrapes, most: usize) -> Self {
        let latest = start.pods.iter().map(|scraped| (key(&scraped.pod), (0, scraped.clone())));
        Self { most: most.max(1), turn: 0, round: 1, latest: latest.collect(), is_current: true }
    }

    /// Scrapes those of the proxies whose turn it is, and returns the latest scrape of each proxy.
    pub async fn scrape(&mut self, client: &kube::Client, pods: Vec<Pod>, deadline: Duration) -> Scrapes {
        let (pods, due) = self.due(pods);
        let scraped = scrape_pods(client, due, deadline).await;
        self.add(&pods, scraped)
    }

    /// Scrapes all proxies at once, where stale counts are not enough.
    pub async fn scrape_all(&mut self, client: &kube::Client, pods: Vec<Pod>, deadline: Duration) -> Scrapes {
        let scraped = scrape_pods(client, pods.clone(), deadline).await;
        self.add(&pods, scraped)
    }

    /// Returns how many turns reach every proxy.
    #[must_use]
    pub fn turns(&self) -> usize {
        self.latest.len().div_ceil(self.most).max(1)
    }

    /// Returns whether the last turn scraped all proxies: else the scrapes of some are from earlier turns.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Returns the pods that have a proxy, and those of them whose turn it is.
    fn due(&mut self, mut pods: Vec<Pod>) -> (Vec<Pod>, Vec<Pod>) {
        pods.retain(Pod::scrapable);
        let last = |pod: &Pod| self.latest.get(&key(pod)).map(|(turn, _)| *turn);
        let mut due: Vec<Pod> =
            pods.iter().filter(|pod| last(pod).is_none_or(|turn| turn < self.round)).cloned().collect();
        if due.is_empty() {
            due.clone_from(&pods);
            self.round = self.turn + 1;
        }
        // A stable sort: pods of the same turn keep their order. One that was never scraped is first.
        due.sort_by_key(last);
        due.truncate(self.most);
        (pods, due)
    }

    /// Takes the scrapes of a turn; returns the latest of each of these pods, in their order.
    fn add(&mut self, pods: &[Pod], scraped: Scrapes) -> Scrapes {
        self.turn += 1;
        for one in scraped.pods {
            let key = key(&one.pod);
            // A proxy that did not respond keeps the counts that it had, so that cumulative counts never go back.
            match self.latest.get_mut(&key) {
                Some(known) if one.scrape.is_err() => known.0 = self.turn,
                _ => drop(self.latest.insert(key, (self.turn, one))),
            }
        }
        let mut latest = HashMap::new();
        let mut now = Scrapes { at: scraped.at, pods: Vec::new() };
        self.is_current = true;
        for pod in pods {
            let Some((key, (turn, one))) = self.latest.remove_entry(&key(pod)) else { continue };
            self.is_current &= turn == self.turn;
            now.pods.push(one.clone());
            latest.insert(key, (turn, one));
        }
        // The counts of pods that are gone are lost, as in any window.
        self.latest = latest;
        if self.is_current {
            self.round = self.turn + 1;
        }
        now
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace.clone(), pod.name.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::time::Instant;

    use super::*;
    use crate::text;
    use crate::window::Window;

    fn pods(count: usize) -> Vec<Pod> {
        (0..count).map(|number| Pod::example("default", &format!("web-{number:02}"))).collect()
    }

    fn scrapes(pods: &[Pod], requests: u64) -> Scrapes {
        let one = |pod: &Pod| ScrapedPod {
            pod: pod.clone(),
            scrape: Ok(text::parse(&format!("request_total {requests}")).unwrap()),
        };
        Scrapes { at: Instant::now(), pods: pods.iter().map(one).collect() }
    }

    fn total(start: &Scrapes, now: &Scrapes) -> f64 {
        let window = Window::between(start, now);
        window.pods.iter().map(|pod| pod.change.sum("request_total", |_| true)).sum()
    }

    /// Scrapes in turns; each proxy counts one request in each turn. Returns the names that were scraped and the sum of the counts.
    fn turns(rotation: &mut Rotation, start: &Scrapes, count: u64) -> Vec<(BTreeSet<String>, f64)> {
        let all: Vec<Pod> = start.pods.iter().map(|scraped| scraped.pod.clone()).collect();
        let turn = |turn| {
            let (pods, due) = rotation.due(all.clone());
            let now = rotation.add(&pods, scrapes(&due, turn));
            (due.into_iter().map(|pod| pod.name).collect(), total(start, &now))
        };
        (1..=count).map(turn).collect()
    }

    #[test]
    fn three_turns_reach_all_of_45_proxies_and_keep_the_latest_counts_of_each() {
        let start = scrapes(&pods(45), 0);
        let mut rotation = Rotation::new(&start, 20);
        assert_eq!(rotation.turns(), 3);
        let turns = turns(&mut rotation, &start, 6);
        let sizes: Vec<usize> = turns.iter().map(|(names, _)| names.len()).collect();
        assert_eq!(sizes, [20, 20, 5, 20, 20, 5]);
        let reached: BTreeSet<&String> = turns[..3].iter().flat_map(|(names, _)| names).collect();
        assert_eq!(reached.len(), 45);
        for turn in 0..3 {
            assert_eq!(turns[turn].0, turns[turn + 3].0, "each proxy is scraped each third turn");
        }
        let sums: Vec<f64> = turns.iter().map(|(_, sum)| *sum).collect();
        assert_eq!(sums, [20.0, 60.0, 75.0, 135.0, 195.0, 210.0]);
        assert!(!rotation.is_current());
    }

    #[test]
    fn a_scrape_of_all_proxies_is_current_and_begins_a_round() {
        let start = scrapes(&pods(45), 0);
        let mut rotation = Rotation::new(&start, 20);
        let before = turns(&mut rotation, &start, 2);
        rotation.add(&pods(45), scrapes(&pods(45), 3));
        assert!(rotation.is_current());
        let (_, due) = rotation.due(pods(45));
        assert_eq!((due.len(), before.len()), (20, 2));
    }

    #[test]
    fn each_turn_scrapes_all_proxies_where_they_are_few() {
        let start = scrapes(&pods(20), 0);
        let mut rotation = Rotation::new(&start, 20);
        let sums: Vec<f64> = turns(&mut rotation, &start, 3).into_iter().map(|(_, sum)| sum).collect();
        assert_eq!((sums, rotation.turns(), rotation.is_current()), (vec![20.0, 40.0, 60.0], 1, true));
    }

    #[test]
    fn a_proxy_that_does_not_respond_keeps_its_counts_and_a_new_pod_is_scraped_first() {
        let start = scrapes(&pods(2), 0);
        let mut rotation = Rotation::new(&start, 1);
        turns(&mut rotation, &start, 2);
        let (all, due) = rotation.due(pods(3));
        assert_eq!(due, pods(3)[2..]);
        let mut failed = scrapes(&pods(2)[..1], 0);
        failed.pods[0].scrape = Err(anyhow::anyhow!("no response").into());
        let now = rotation.add(&all, failed);
        assert_eq!(total(&start, &now), 3.0);
        let now = rotation.add(&pods(1), scrapes(&pods(1), 4));
        assert_eq!((now.pods.len(), rotation.turns()), (1, 1), "the pod that is gone is not scraped");
    }
}
