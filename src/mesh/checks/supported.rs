//! Which versions go together: inside, above what was tried, or a failure that has a name.

use meshy_lab::addons::linkerd::gateway::{self, Tested};

use super::Verdict;

/// What is known to go together.
struct Supported {
    /// Linkerd's versions, by how their names begin; the first row that fits counts.
    linkerd: &'static [&'static str],
    /// Kubernetes, both ends included.
    kubernetes: [(u32, u32); 2],
    /// Gateway API, both ends included (linkerd.io, features, "Gateway API support").
    gateway: [gateway::Version; 2],
    /// What else belongs to it, for the eye.
    with: &'static str,
    /// The page or file that lists the versions.
    source: &'static str,
    /// The day on which the source was read.
    read_on: &'static str,
    /// The newest Kubernetes on which meshy's own tests ran, if it is newer than what the source lists.
    own: Option<(u32, u32)>,
}

/// The page of linkerd.io about Kubernetes.
const VERSIONS: &str = "linkerd.io, Supported Kubernetes Versions";
/// The page of linkerd.io about Gateway API names the versions in `with`.
const RELEASE: &str = "linkerd.io, release notes of the version";

/// The newest first. Gateway API: linkerd.io, features, "Gateway API support"; ingress-nginx: its own table.
const SUPPORTED: &[Supported] = &[
    // Linkerd tests 1.36 from edge-26.8.2 on (linkerd2#15563).
    Supported {
        linkerd: &[
            "edge-26.8.2",
            "edge-26.8.3",
            "edge-26.8.4",
            "edge-26.8.5",
            "edge-26.9.",
            "edge-26.10.",
            "edge-26.11.",
            "edge-26.12.",
        ],
        kubernetes: [(1, 31), (1, 36)],
        gateway: [(1, 2, 1), (1, 5, 1)],
        with: "Gateway API 1.2.1 to 1.5.1, ingress-nginx 1.15",
        source: "linkerd2, integration workflow (#15563)",
        read_on: "2026-11-28",
        own: None,
    },
    Supported {
        linkerd: &["edge-26.", "2.20", "enterprise-2.20"],
        kubernetes: [(1, 31), (1, 35)],
        gateway: [(1, 2, 1), (1, 5, 1)],
        with: "Gateway API 1.2.1 to 1.5.1, ingress-nginx 1.15",
        source: VERSIONS,
        read_on: "2026-11-28",
        // KinD with 1.36.3, 28 November 2026 (docs/measurements.md).
        own: Some((1, 36)),
    },
    Supported {
        // The release was made of edge-25.10.
        linkerd: &["edge-25.10.", "edge-25.11.", "edge-25.12.", "2.19", "enterprise-2.19"],
        kubernetes: [(1, 29), (1, 35)],
        gateway: [(1, 1, 1), (1, 2, 1)],
        with: "Gateway API 1.1.1 to 1.2.1",
        source: RELEASE,
        read_on: "2026-11-28",
        own: None,
    },
    Supported {
        linkerd: &["edge-25.", "2.18", "enterprise-2.18"],
        kubernetes: [(1, 22), (1, 32)],
        gateway: [(1, 1, 1), (1, 2, 1)],
        with: "Gateway API 1.1.1 to 1.2.1",
        source: VERSIONS,
        read_on: "2026-11-28",
        own: None,
    },
    Supported {
        linkerd: &["edge-24.12.", "2.17", "enterprise-2.17"],
        kubernetes: [(1, 22), (1, 31)],
        gateway: [(0, 7, 0), (1, 1, 1)],
        with: "Gateway API 0.7 to 1.1.1",
        source: VERSIONS,
        read_on: "2026-11-28",
        own: None,
    },
    Supported {
        linkerd: &["edge-24.", "2.16", "enterprise-2.16"],
        kubernetes: [(1, 22), (1, 29)],
        gateway: [(0, 7, 0), (1, 1, 1)],
        with: "Gateway API 0.7 to 1.1.1",
        source: VERSIONS,
        read_on: "2026-11-28",
        own: None,
    },
];

/// The oldest Kubernetes whose native sidecars are on without a feature gate (kubernetes.io, "Sidecar Containers"); the
/// proxies of the newest row are such, those of the older ones are ordinary containers.
const SIDECARS: (u32, u32) = (1, 29);

/// The first rows, whose proxies are native sidecars.
const NATIVE_SIDECARS: usize = 2;

impl Supported {
    /// Whether the row is that of a version of Linkerd; without Linkerd each is.
    fn fits(&self, linkerd: Option<&str>) -> bool {
        linkerd.is_none_or(|l| self.linkerd.iter().any(|p| l.trim_start_matches("stable-").starts_with(p)))
    }
}

/// Returns the versions of Gateway API that a Linkerd is tested with: those of the Linkerd that meshy installs, if the
/// cluster has none, or one whose version is in no row.
pub(super) fn gateway(linkerd: Option<&str>) -> Tested<'_> {
    let row = SUPPORTED.iter().find(|row| linkerd.is_some() && row.fits(linkerd));
    match (linkerd, row) {
        (Some(linkerd), Some(row)) => Tested { linkerd, range: row.gateway },
        _ => gateway::INSTALLED,
    }
}

/// A verdict on a pair of versions; without Linkerd the newest row applies.
pub(super) fn evaluate(kubernetes: &str, linkerd: Option<&str>) -> (Verdict, String, Option<&'static str>) {
    let mut numbers = kubernetes.split('.').filter_map(|n| n.parse::<u32>().ok());
    let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
        return (Verdict::Warning, format!("unknown version of Kubernetes: {kubernetes}"), None);
    };
    let version = (major, minor);
    let pair = linkerd
        .map_or(format!("Kubernetes {kubernetes}"), |l| format!("Kubernetes {kubernetes}, Linkerd {l}"));
    let Some((row, supported)) = SUPPORTED.iter().enumerate().find(|(_, c)| c.fits(linkerd)) else {
        return (Verdict::Warning, format!("{pair}: a version of Linkerd that was not tested"), None);
    };
    if row < NATIVE_SIDECARS && version < SIDECARS {
        let why = format!("Kubernetes {kubernetes} does not start native sidecars, so no proxy would run");
        return (Verdict::Failed, why, Some("use Kubernetes 1.31 or newer"));
    }
    let [low, high] = supported.kubernetes;
    let from = format!("{}, {}", supported.source, supported.read_on);
    if version < low {
        (
            Verdict::Warning,
            format!("{pair}: below the range {}.{} to {}.{} ({from})", low.0, low.1, high.0, high.1),
            None,
        )
    } else if version > high && supported.own.is_some_and(|own| version <= own) {
        (Verdict::Ok, format!("{pair}: above {}.{} ({from}), and tested by meshy", high.0, high.1), None)
    } else if version > high {
        (
            Verdict::Warning,
            format!("{pair}: above the tested range, which ends at {}.{} ({from})", high.0, high.1),
            None,
        )
    } else {
        (Verdict::Ok, format!("{pair}: inside ({}; {from})", supported.with), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_inside_above_or_a_failure_with_a_name() {
        let verdict = |kubernetes, linkerd| evaluate(kubernetes, linkerd).0;
        assert_eq!(verdict("1.35", Some("edge-26.6.3")), Verdict::Ok);
        assert_eq!(verdict("1.36", Some("edge-26.6.3")), Verdict::Ok);
        assert_eq!(verdict("1.37", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.30", Some("edge-26.6.3")), Verdict::Warning);
        assert_eq!(verdict("1.36", Some("edge-26.8.3")), Verdict::Ok);
        assert!(evaluate("1.36", Some("edge-26.8.1")).1.contains("tested by meshy"), "the row before 26.8.2");
        assert_eq!(verdict("1.35", Some("edge-25.10.7")), Verdict::Ok);
        assert_eq!(verdict("1.36", Some("edge-25.10.7")), Verdict::Warning);
        assert_eq!(verdict("1.32", Some("stable-2.18.1")), Verdict::Ok);
        assert_eq!(verdict("1.33", Some("edge-25.4.1")), Verdict::Warning);
        assert_eq!(verdict("1.33", Some("edge-25.10.7")), Verdict::Ok);
        assert_eq!(verdict("1.27", Some("2.16.0")), Verdict::Ok, "its proxies need no native sidecars");
        assert_eq!(verdict("1.35", None), Verdict::Ok);
        let (failed, why, hint) = evaluate("1.27", Some("edge-26.6.3"));
        assert_eq!(failed, Verdict::Failed);
        assert!(why.contains("native sidecars") && hint.is_some());
    }

    #[test]
    fn the_range_of_gateway_api_is_that_of_the_linkerd_of_the_cluster() {
        assert_eq!(gateway(None), gateway::INSTALLED);
        assert_eq!(gateway(Some("of an unknown version")), gateway::INSTALLED);
        assert_eq!(gateway(Some("edge-26.9.1")).range, gateway::INSTALLED.range);
        assert_eq!(
            gateway(Some("stable-2.18.1")),
            Tested { linkerd: "stable-2.18.1", range: [(1, 1, 1), (1, 2, 1)] }
        );
        for row in SUPPORTED {
            let [low, high] = row.gateway;
            let named = row.with.contains(&format!("Gateway API {}.{}", low.0, low.1))
                && row.with.contains(&format!(" to {}.{}.{}", high.0, high.1, high.2));
            assert!(named, "{}", row.with);
        }
    }

    #[test]
    fn each_row_has_its_source_and_the_day_on_which_it_was_read() {
        for row in SUPPORTED {
            let date: jiff::civil::Date = row.read_on.parse().expect("a date");
            assert!(date.year() >= 2026 && !row.source.is_empty());
        }
        let page = include_str!("../../../docs/install.md");
        let rows = page.lines().skip_while(|line| !line.starts_with("| Linkerd | Kubernetes |")).skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with('|')).collect();
        assert_eq!(rows.len(), SUPPORTED.len(), "the table of docs/install.md");
        for (line, row) in rows.iter().zip(SUPPORTED) {
            let range = format!(
                "| {}.{} to {}.{}",
                row.kubernetes[0].0, row.kubernetes[0].1, row.kubernetes[1].0, row.kubernetes[1].1
            );
            assert!(line.contains(&range) && line.ends_with(&format!("| {} |", row.read_on)), "{line}");
        }
        for kubernetes in ["1.20", "1.33", "1.40"] {
            let (_, saw, _) = evaluate(kubernetes, Some("edge-25.10.7"));
            assert!(saw.contains("2026-11-28"), "{saw}");
        }
    }

    /// The days after which the sources are read again before a release.
    const FRESH: i32 = 120;

    fn is_fresh(read_on: &str, on: jiff::civil::Date) -> bool {
        let read: jiff::civil::Date = read_on.parse().expect("a date");
        (on - read).get_days() <= FRESH
    }

    #[test]
    fn the_sources_were_read_at_most_120_days_before_the_newest_measurement() {
        // No test depends on today: a release comes with measurements, and their newest date stands for its own.
        let words: Vec<&str> = include_str!("../../../docs/measurements.md").split_whitespace().collect();
        let date = |three: &[&str]| {
            let text = three.join(" ").trim_end_matches([',', '.', ':', ';', ')']).to_owned();
            jiff::civil::Date::strptime("%d %B %Y", text.trim_start_matches('(')).ok()
        };
        let newest = words.windows(3).filter_map(date).max().expect("a date");
        for row in SUPPORTED {
            assert!(is_fresh(row.read_on, newest), "{}: read {} again", row.source, row.read_on);
        }
        let day = |text: &str| text.parse().expect("a date");
        assert!(is_fresh("2026-11-28", day("2027-03-28")) && !is_fresh("2026-11-28", day("2027-03-29")));
    }
}
