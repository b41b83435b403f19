//! The arithmetic of a rollout: how many replicas each ReplicaSet of a Deployment has after the next step.

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The replica counts of one ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replicas {
    /// `spec.replicas`.
    pub(super) desired: i64,
    /// `status.availableReplicas`.
    pub(super) available: i64,
}

/// How far a rolling update can exceed or undercut the desired number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) max_surge: i64,
    pub(super) max_unavailable: i64,
}

/// The limit that Kubernetes uses if the strategy has none.
const DEFAULT_PERCENT: i64 = 25;

impl Limits {
    /// Reads the limits from the strategy of a Deployment; percentages round up for the surge, else down.
    pub(super) fn of(strategy: Option<&DeploymentStrategy>, replicas: i64) -> Self {
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let max_surge = limit(rolling.and_then(|r| r.max_surge.as_ref()), replicas, true);
        let max_unavailable = limit(rolling.and_then(|r| r.max_unavailable.as_ref()), replicas, false);
        // A rollout could not start if both were zero.
        if max_surge == 0 && max_unavailable == 0 {
            Self { max_surge, max_unavailable: 1 }
        } else {
            Self { max_surge, max_unavailable }
        }
    }
}

fn limit(value: Option<&IntOrString>, replicas: i64, round_up: bool) -> i64 {
    let percent = match value {
        None => DEFAULT_PERCENT,
        Some(IntOrString::Int(number)) => return i64::from(*number),
        Some(IntOrString::String(text)) => text.trim_end_matches('%').parse().unwrap_or(DEFAULT_PERCENT),
    };
    let product = replicas * percent;
    if round_up { (product + 99) / 100 } else { product / 100 }
}

/// Returns the replicas of the new ReplicaSet after the next step of a rolling update.
pub(super) fn next_new(desired: i64, limits: Limits, new: Replicas, old: &[Replicas]) -> i64 {
    if new.desired >= desired {
        return desired;
    }
    let total = new.desired + old.iter().map(|set| set.desired).sum::<i64>();
    let free = (desired + limits.max_surge - total).max(0);
    new.desired + free.min(desired - new.desired)
}

/// Returns the replicas of the old ReplicaSets, oldest first, after the next step of a rolling update.
pub(super) fn next_old(desired: i64, limits: Limits, new: Replicas, old: &[Replicas]) -> Vec<i64> {
    let total = new.desired + old.iter().map(|set| set.desired).sum::<i64>();
    let min_available = desired - limits.max_unavailable;
    // New replicas that are not available yet do not replace old ones.
    let mut removable = (total - min_available - (new.desired - new.available).max(0)).max(0);
    let mut next: Vec<i64> = old.iter().map(|set| set.desired).collect();
    // The status of a ReplicaSet that was just scaled down can still count terminating replicas as available.
    let available = |set: &Replicas| set.available.min(set.desired);
    // Unavailable replicas are removed first.
    for (replicas, set) in next.iter_mut().zip(old) {
        let unavailable = (set.desired - available(set)).clamp(0, removable);
        *replicas -= unavailable;
        removable -= unavailable;
    }
    let total_available = available(&new) + old.iter().map(available).sum::<i64>();
    let mut removable = (total_available - min_available).clamp(0, removable);
    for replicas in &mut next {
        let removed = (*replicas).min(removable);
        *replicas -= removed;
        removable -= removed;
    }
    next
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentStrategy, RollingUpdateDeployment};
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

    use super::{Limits, Replicas, next_new, next_old};

    const NONE: Replicas = Replicas { desired: 0, available: 0 };

    #[test]
    fn percentages_round_up_for_surge_and_down_for_unavailable() {
        assert_eq!(Limits::of(None, 1), Limits { max_surge: 1, max_unavailable: 0 });
        assert_eq!(Limits::of(None, 10), Limits { max_surge: 3, max_unavailable: 2 });
        let both_zero = DeploymentStrategy {
            type_: None,
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(IntOrString::Int(0)),
                max_unavailable: Some(IntOrString::String("0%".to_owned())),
            }),
        };
        assert_eq!(Limits::of(Some(&both_zero), 4), Limits { max_surge: 0, max_unavailable: 1 });
    }

    #[test]
    fn a_single_replica_is_removed_only_after_the_new_one_is_available() {
        let limits = Limits { max_surge: 1, max_unavailable: 0 };
        let old = [Replicas { desired: 1, available: 1 }];
        assert_eq!(next_new(1, limits, NONE, &old), 1);
        assert_eq!(next_old(1, limits, Replicas { desired: 1, available: 0 }, &old), [1]);
        assert_eq!(next_old(1, limits, Replicas { desired: 1, available: 1 }, &old), [0]);
    }

    #[test]
    fn unavailable_old_replicas_are_removed_first() {
        let limits = Limits { max_surge: 1, max_unavailable: 1 };
        let old = [Replicas { desired: 3, available: 1 }];
        assert_eq!(next_old(3, limits, Replicas { desired: 1, available: 1 }, &old), [1]);
    }

    #[test]
    fn terminating_replicas_do_not_count_as_available() {
        let limits = Limits { max_surge: 1, max_unavailable: 0 };
        let old = [Replicas { desired: 0, available: 1 }, Replicas { desired: 1, available: 1 }];
        assert_eq!(next_old(1, limits, Replicas { desired: 1, available: 0 }, &old), [0, 1]);
    }

    #[test]
    fn each_rollout_completes_within_its_limits() {
        for desired in 1..8 {
            for max_surge in 0..3 {
                for max_unavailable in 0..3 {
                    if max_surge + max_unavailable > 0 {
                        roll_out(desired, Limits { max_surge, max_unavailable });
                    }
                }
            }
        }
    }

    fn roll_out(desired: i64, limits: Limits) {
        let (mut new, mut old) = (NONE, [Replicas { desired, available: desired }]);
        for _ in 0..40 {
            new.desired = next_new(desired, limits, new, &old);
            old[0].desired = next_old(desired, limits, new, &old)[0];
            old[0].available = old[0].available.min(old[0].desired);
            assert!(new.desired + old[0].desired <= desired + limits.max_surge);
            assert!(new.available + old[0].available >= desired - limits.max_unavailable);
            new.available = (new.available + 1).min(new.desired);
        }
        assert_eq!((new.desired, old[0].desired), (desired, 0));
    }
}
