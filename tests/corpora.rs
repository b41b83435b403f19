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
fn the_corpus_of_kubeconfigs_passes() {
    replay("kubeconfig", kubeconfig::case);
}

#[test]
fn the_corpus_of_metrics_passes() {
    replay("metrics", metrics::case);
}

#[test]
fn the_corpus_of_archives_passes() {
    replay("image", image::case);
}
