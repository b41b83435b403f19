//! What the fuzz targets have learned of files, archives and answers, replayed.

#[path = "fuzzed/image.rs"]
mod image;
#[path = "fuzzed/kubeconfig.rs"]
mod kubeconfig;
#[path = "fuzzed/metrics.rs"]
mod metrics;
#[path = "../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn what_was_learned_of_kubeconfigs_holds() {
    replay("kubeconfig", kubeconfig::case);
}

#[test]
fn what_was_learned_of_metrics_holds() {
    replay("metrics", metrics::case);
}

#[test]
fn what_was_learned_of_archives_holds() {
    replay("image", image::case);
}
