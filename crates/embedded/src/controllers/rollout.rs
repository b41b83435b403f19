//! The arithmetic of a rollout: how many replicas each ReplicaSet of a Deployment should have next.

use serde_json::Value;

/// One ReplicaSet of a Deployment, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// Replicas asked for.
    pub(super) wanted: i64,
    /// Replicas that serve.
    pub(super) available: i64,
}

/// How far a rolling update may go above and below the number asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) surge: i64,
    pub(super) unavailable: i64,
}

impl Bounds {
    /// From a Deployment's strategy; percentages round up for the surge and down for the unavailable.
    pub(super) fn of(strategy: Option<&Value>, replicas: i64) -> Self {
        let field = |name| strategy.and_then(|s| s.pointer("/rollingUpdate")).and_then(|r| r.get(name));
        let surge = share(field("maxSurge"), replicas, true);
        let unavailable = share(field("maxUnavailable"), replicas, false);
        // Both zero could never move.
        if surge == 0 && unavailable == 0 {
            Self { surge, unavailable: 1 }
        } else {
            Self { surge, unavailable }
        }
    }
}

fn share(value: Option<&Value>, of: i64, up: bool) -> i64 {
    let percent = match value {
        None => 25,
        Some(Value::Number(number)) => return number.as_i64().unwrap_or(0),
        Some(other) => other.as_str().and_then(|s| s.trim_end_matches('%').parse().ok()).unwrap_or(25),
    };
    let product = of * percent;
    if up { (product + 99) / 100 } else { product / 100 }
}

/// The replicas of the new set in the next step of a rolling update.
pub(super) fn next_new(wanted: i64, bounds: Bounds, new: Set, old: &[Set]) -> i64 {
    if new.wanted >= wanted {
        return wanted;
    }
    let total = new.wanted + old.iter().map(|set| set.wanted).sum::<i64>();
    let room = (wanted + bounds.surge - total).max(0);
    new.wanted + room.min(wanted - new.wanted)
}

/// The replicas of the old sets, oldest first, in the next step of a rolling update.
pub(super) fn next_old(wanted: i64, bounds: Bounds, new: Set, old: &[Set]) -> Vec<i64> {
    let total = new.wanted + old.iter().map(|set| set.wanted).sum::<i64>();
    let least = wanted - bounds.unavailable;
    // Pods of the new set that do not serve yet count as promised, not as there.
    let mut may_go = (total - least - (new.wanted - new.available).max(0)).max(0);
    let mut next: Vec<i64> = old.iter().map(|set| set.wanted).collect();
    // A set that was just scaled down may still be said to serve with replicas that are on their way out.
    let serves = |set: &Set| set.available.min(set.wanted);
    // Replicas that do not serve are no loss.
    for (replicas, set) in next.iter_mut().zip(old) {
        let idle = (set.wanted - serves(set)).clamp(0, may_go);
        *replicas -= idle;
        may_go -= idle;
    }
    let serving = serves(&new) + old.iter().map(serves).sum::<i64>();
    let mut may_go = (serving - least).clamp(0, may_go);
    for replicas in &mut next {
        let gone = (*replicas).min(may_go);
        *replicas -= gone;
        may_go -= gone;
    }
    next
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Bounds, Set, next_new, next_old};

    const NONE: Set = Set { wanted: 0, available: 0 };

    #[test]
    fn percentages_round_up_for_surge_and_down_for_unavailable() {
        assert_eq!(Bounds::of(None, 1), Bounds { surge: 1, unavailable: 0 });
        assert_eq!(Bounds::of(None, 10), Bounds { surge: 3, unavailable: 2 });
        let both_zero = json!({ "rollingUpdate": { "maxSurge": 0, "maxUnavailable": "0%" } });
        assert_eq!(Bounds::of(Some(&both_zero), 4), Bounds { surge: 0, unavailable: 1 });
    }

    #[test]
    fn a_single_replica_is_replaced_only_when_the_new_one_serves() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let old = [Set { wanted: 1, available: 1 }];
        assert_eq!(next_new(1, bounds, NONE, &old), 1);
        assert_eq!(next_old(1, bounds, Set { wanted: 1, available: 0 }, &old), [1]);
        assert_eq!(next_old(1, bounds, Set { wanted: 1, available: 1 }, &old), [0]);
    }

    #[test]
    fn old_replicas_that_do_not_serve_go_at_once() {
        let bounds = Bounds { surge: 1, unavailable: 1 };
        let old = [Set { wanted: 3, available: 1 }];
        assert_eq!(next_old(3, bounds, Set { wanted: 1, available: 1 }, &old), [1]);
    }

    #[test]
    fn replicas_on_their_way_out_are_not_counted_on() {
        let bounds = Bounds { surge: 1, unavailable: 0 };
        let old = [Set { wanted: 0, available: 1 }, Set { wanted: 1, available: 1 }];
        assert_eq!(next_old(1, bounds, Set { wanted: 1, available: 0 }, &old), [0, 1]);
    }

    #[test]
    fn every_rollout_ends_within_its_bounds() {
        for wanted in 1..8 {
            for surge in 0..3 {
                for unavailable in 0..3 {
                    if surge + unavailable > 0 {
                        roll(wanted, Bounds { surge, unavailable });
                    }
                }
            }
        }
    }

    fn roll(wanted: i64, bounds: Bounds) {
        let (mut new, mut old) = (NONE, [Set { wanted, available: wanted }]);
        for _ in 0..40 {
            new.wanted = next_new(wanted, bounds, new, &old);
            old[0].wanted = next_old(wanted, bounds, new, &old)[0];
            old[0].available = old[0].available.min(old[0].wanted);
            assert!(new.wanted + old[0].wanted <= wanted + bounds.surge);
            assert!(new.available + old[0].available >= wanted - bounds.unavailable);
            new.available = (new.available + 1).min(new.wanted);
        }
        assert_eq!((new.wanted, old[0].wanted), (wanted, 0));
    }
}
