//! Which versions go together: inside, above what was tried, or a failure that has a name.

use super::Verdict;

/// What is known to go together.
struct Supported {
    /// Linkerd's versions, by how their names begin; the first row that fits counts.
    linkerd: &'static [&'static str],
    /// Kubernetes, both ends included.
    kubernetes: [(u32, u32); 2],
    /// What else belongs to it, for the eye.
    with: &'static str,
}

/// Kubernetes: linkerd.io, reference, "Supported Kubernetes Versions", for 2.16 to 2.19 and the edge releases; for 2.20, which
/// has no row there, linkerd2's charts (`kubeVersion` 1.31) and the versions that its integration workflow runs (1.31 to
/// 1.36, August 2026). Gateway API: linkerd.io, features, "Gateway API support". ingress-nginx: its own table.
const SUPPORTED: &[Supported] = &[
    Supported {
        linkerd: &["edge-26.", "2.20", "enterprise-2.20"],
        kubernetes: [(1, 31), (1, 36)],
        with: "Gateway API 1.2.1 to 1.5.1, ingress-nginx 1.15",
    },
    Supported {
        // The release was made of edge-25.10.
        linkerd: &["edge-25.10.", "edge-25.11.", "edge-25.12.", "2.19", "enterprise-2.19"],
        kubernetes: [(1, 29), (1, 34)],
        with: "Gateway API 1.1.1 to 1.2.1",
    },
    Supported {
        linkerd: &["edge-25.", "2.18", "enterprise-2.18"],
        kubernetes: [(1, 22), (1, 32)],
        with: "Gateway API 1.1.1 to 1.2.1",
    },
    Supported {
        linkerd: &["edge-24.12.", "2.17", "enterprise-2.17"],
        kubernetes: [(1, 22), (1, 31)],
        with: "Gateway API 0.7 to 1.1.1",
    },
    Supported {
        linkerd: &["edge-24.", "2.16", "enterprise-2.16"],
        kubernetes: [(1, 22), (1, 29)],
        with: "Gateway API 0.7 to 1.1.1",
    },
];

/// The oldest Kubernetes whose native sidecars are on without a feature gate (kubernetes.io, "Sidecar Containers"); the
/// proxies of the newest row are such, those of the older ones are ordinary containers.
const SIDECARS: (u32, u32) = (1, 29);

/// A verdict on a pair of versions; without Linkerd the newest row applies.
pub(super) fn judge(kubernetes: &str, linkerd: Option<&str>) -> (Verdict, String, Option<&'static str>) {
    let mut numbers = kubernetes.split('.').filter_map(|n| n.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return (Verdict::Warning, format!("Kubernetes {kubernetes} is of no known version"), None);
    };
    let version = (major, minor);
    let fits = |c: &Supported| {
        linkerd.is_none_or(|l| c.linkerd.iter().any(|p| l.trim_start_matches("stable-").starts_with(p)))
    };
    let pair = linkerd
        .map_or(format!("Kubernetes {kubernetes}"), |l| format!("Kubernetes {kubernetes}, Linkerd {l}"));
    let Some((row, supported)) = SUPPORTED.iter().enumerate().find(|(_, c)| fits(c)) else {
        return (Verdict::Warning, format!("{pair}: a Linkerd that was not tried"), None);
    };
    if row == 0 && version < SIDECARS {
        let why = format!("Kubernetes {kubernetes} does not start native sidecars, so no proxy would run");
        return (Verdict::Failed, why, Some("use Kubernetes 1.31 or newer"));
    }
    let [low, high] = supported.kubernetes;
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
        (Verdict::Ok, format!("{pair}: inside ({})", supported.with), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_inside_above_or_a_failure_with_a_name() {
        let verdict = |kubernetes, linkerd| judge(kubernetes, linkerd).0;
        assert_eq!(verdict("1.35", Some("edge-26.6.3")), Verdict::Ok);
        assert_eq!(verdict("1.36", Some("edge-26.6.3")), Verdict::Ok);
        assert_eq!(verdict("1.37", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.30", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.32", Some("stable-2.18.1")), Verdict::Ok);
        assert_eq!(verdict("1.33", Some("edge-25.4.1")), Verdict::Warning);
        assert_eq!(verdict("1.33", Some("edge-25.10.7")), Verdict::Ok);
        assert_eq!(verdict("1.27", Some("2.16.0")), Verdict::Ok, "its proxies need no native sidecars");
        assert_eq!(verdict("1.35", None), Verdict::Ok);
        let (failed, why, hint) = judge("1.27", Some("edge-26.6.3"));
        assert_eq!(failed, Verdict::Failed);
        assert!(why.contains("native sidecars") && hint.is_some());
    }
}
