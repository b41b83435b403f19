//! Limits of requests per second: a bucket that holds one second's requests and refills evenly.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::policy::RateLimit;

/// The buckets of one policy.
pub(super) struct Limiter {
    limit: RateLimit,
    total: Option<Bucket>,
    overrides: Vec<Bucket>,
    by_identity: Mutex<HashMap<Option<Arc<str>>, Bucket>>,
}

/// Which limit rejected a request; the label `ratelimit_scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Total,
    Identity,
    Override,
}

impl Scope {
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Identity => "identity",
            Self::Override => "override",
        }
    }
}

impl Limiter {
    /// Creates full buckets.
    pub(super) fn new(limit: RateLimit) -> Self {
        Self {
            total: limit.total.map(Bucket::new),
            overrides: limit.overrides.iter().map(|(_, rate)| Bucket::new(*rate)).collect(),
            by_identity: Mutex::default(),
            limit,
        }
    }

    pub(super) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes a request from the buckets of its caller, first from that of all callers.
    pub(super) fn check(&self, identity: Option<&Arc<str>>, now: Instant) -> Result<(), Scope> {
        if self.total.as_ref().is_some_and(|bucket| !bucket.take(now)) {
            return Err(Scope::Total);
        }
        if let Some(name) = identity {
            let listed = |(identities, _): &(Vec<String>, u32)| identities.iter().any(|one| **one == **name);
            if let Some(found) = self.limit.overrides.iter().position(listed) {
                return if self.overrides[found].take(now) { Ok(()) } else { Err(Scope::Override) };
            }
        }
        let Some(rate) = self.limit.identity else { return Ok(()) };
        let mut buckets = self.by_identity.lock().expect("rate limit lock");
        let bucket = buckets.entry(identity.cloned()).or_insert_with(|| Bucket::new(rate));
        if bucket.take(now) { Ok(()) } else { Err(Scope::Identity) }
    }
}

/// A bucket by the generic cell rate algorithm: it stores when it will be full again.
struct Bucket {
    interval: Duration,
    full_at: Mutex<Option<Instant>>,
}

impl Bucket {
    /// Returns a full bucket for a number of requests per second; 0 rejects every request.
    fn new(rate: u32) -> Self {
        let interval = if rate == 0 { Duration::MAX } else { Duration::from_secs(1) / rate };
        Self { interval, full_at: Mutex::new(None) }
    }

    fn take(&self, now: Instant) -> bool {
        let Some(tolerance) = Duration::from_secs(1).checked_sub(self.interval) else { return false };
        let mut full_at = self.full_at.lock().expect("rate limit lock");
        let full = full_at.unwrap_or(now).max(now);
        if full - now > tolerance {
            return false;
        }
        *full_at = Some(full + self.interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of `n` requests, one each `millis`, pass.
    fn passed(limiter: &Limiter, identity: Option<&Arc<str>>, n: u32, millis: u64) -> usize {
        let start = Instant::now();
        let at = |k: u32| start + Duration::from_millis(millis) * k;
        (0..n).filter(|k| limiter.check(identity, at(*k)).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_holds_one_second_and_refills_evenly() {
        let limiter = || Limiter::new(RateLimit { total: Some(5), ..RateLimit::default() });
        // 50 requests within 0.25 s: the bucket and what refills in that time.
        assert_eq!(passed(&limiter(), None, 50, 5), 6);
        // 10 requests per second for 20 s.
        assert!((103..=105).contains(&passed(&limiter(), None, 200, 100)));
        assert_eq!(passed(&limiter(), None, 60, 250), 60);
        let never = Limiter::new(RateLimit { total: Some(0), ..RateLimit::default() });
        assert_eq!(passed(&never, None, 5, 1_000), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn each_identity_has_a_bucket_and_an_override_takes_its_place() {
        let limiter = Limiter::new(RateLimit {
            identity: Some(3),
            overrides: vec![(vec!["vip".into(), "vip2".into()], 20)],
            ..RateLimit::default()
        });
        let (a, vip, vip2) = (Arc::from("a"), Arc::from("vip"), Arc::from("vip2"));
        let burst = |identity| passed(&limiter, identity, 40, 0);
        assert_eq!((burst(Some(&a)), burst(None), burst(None)), (3, 3, 0));
        assert_eq!((burst(Some(&vip)), burst(Some(&vip2))), (20, 0), "an override is shared");
        let now = Instant::now();
        assert_eq!(limiter.check(Some(&vip), now), Err(Scope::Override));
        assert_eq!(limiter.check(Some(&a), now), Err(Scope::Identity));
    }
}
