//! Which versions go together: inside, above what was tried, or a failure that has a name.

use super::Verdict;

/// What is known to go together.
struct Corridor {
    /// Linkerd's versions, by how their names begin.
    linkerd: &'static [&'static str],
    /// Kubernetes, both ends included.
    kubernetes: [(u32, u32); 2],
    /// What else belongs to it, for the eye.
    with: &'static str,
}

/// From Linkerd's list of supported Kubernetes versions and its page on Gateway API, read for 2.20; ingress-nginx from its
/// own table.
const CORRIDORS: &[Corridor] = &[
    Corridor {
        linkerd: &["edge-26.", "2.20", "enterprise-2.20"],
        kubernetes: [(1, 31), (1, 35)],
        with: "Gateway API 1.2.1 to 1.5.1, ingress-nginx 1.15",
    },
    Corridor {
        linkerd: &["edge-25.", "2.19", "2.18", "enterprise-2.19", "enterprise-2.18"],
        kubernetes: [(1, 25), (1, 34)],
        with: "Gateway API 1.1.1 to 1.4.0",
    },
];

/// The oldest Kubernetes whose native sidecars are on without a feature gate; the proxies are such.
const SIDECARS: (u32, u32) = (1, 29);

/// A verdict on a pair of versions; without Linkerd the newest corridor is meant.
pub(super) fn judge(kubernetes: &str, linkerd: Option<&str>) -> (Verdict, String, Option<&'static str>) {
    let mut numbers = kubernetes.split('.').filter_map(|n| n.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return (Verdict::Warning, format!("Kubernetes {kubernetes} is of no known version"), None);
    };
    let version = (major, minor);
    if version < SIDECARS {
        let why = format!("Kubernetes {kubernetes} does not start native sidecars, so no proxy would run");
        return (Verdict::Failed, why, Some("use Kubernetes 1.29 or newer"));
    }
    let fits = |c: &&Corridor| {
        linkerd.is_none_or(|l| c.linkerd.iter().any(|p| l.trim_start_matches("stable-").starts_with(p)))
    };
    let pair = linkerd
        .map_or(format!("Kubernetes {kubernetes}"), |l| format!("Kubernetes {kubernetes}, Linkerd {l}"));
    let Some(corridor) = CORRIDORS.iter().find(fits) else {
        return (Verdict::Warning, format!("{pair}: a Linkerd that was not tried"), None);
    };
    let [low, high] = corridor.kubernetes;
    if version < low {
        (
            Verdict::Warning,
            format!("{pair}: below the range {}.{} to {}.{}", low.0, low.1, high.0, high.1),
            None,
        )
    } else if version > high {
        (
            Verdict::Warning,
            format!("{pair}: above the tested range, which ends at {}.{}", high.0, high.1),
            None,
        )
    } else {
        (Verdict::Ok, format!("{pair}: inside ({})", corridor.with), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_inside_above_or_a_failure_with_a_name() {
        let verdict = |kubernetes, linkerd| judge(kubernetes, linkerd).0;
        assert_eq!(verdict("1.35", Some("edge-26.6.3")), Verdict::Ok);
        assert_eq!(verdict("1.36", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.30", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.33", Some("stable-2.18.1")), Verdict::Ok);
        assert_eq!(verdict("1.35", None), Verdict::Ok);
        let (failed, why, hint) = judge("1.27", Some("edge-26.6.3"));
        assert_eq!(failed, Verdict::Failed);
        assert!(why.contains("native sidecars") && hint.is_some());
    }
}
