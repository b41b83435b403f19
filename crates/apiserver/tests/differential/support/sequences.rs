//! Hand-written sequences of requests.

mod apply;
mod config_maps;
mod patches;
mod workloads;

use super::step::Step;

/// The name of a sequence and the function that builds its requests.
type Sequence = (&'static str, fn() -> Vec<Step>);

const SEQUENCES: [Sequence; 14] = [
    ("create", config_maps::create),
    ("strict", config_maps::strict),
    ("update", config_maps::update),
    ("patches", patches::patches),
    ("json-patch", patches::json_patch),
    ("apply", apply::apply),
    ("apply-map", apply::apply_map),
    ("apply-without-metadata", apply::apply_without_metadata),
    ("delete", config_maps::delete),
    ("list", config_maps::list),
    ("services", workloads::services),
    ("node-ports", workloads::node_ports),
    ("scale", workloads::scale),
    ("pods", workloads::pods),
];

/// Returns the sequences by name.
pub(crate) fn fixed() -> Vec<(String, Vec<Step>)> {
    SEQUENCES.iter().map(|(name, steps)| ((*name).to_owned(), steps())).collect()
}
