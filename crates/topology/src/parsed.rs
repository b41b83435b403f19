//! What readers give to the checks.

use crate::model::Topology;

/// A topology with the lines of its parts, for errors.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) topology: Topology,
    pub(crate) lines: Lines,
}

/// Where the parts of a topology are in the text.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The key that makes a service an entry point.
    pub(crate) entrypoint_key: &'static str,
    /// The line of the list of services.
    pub(crate) list: u64,
    /// The line of each service's name.
    pub(crate) services: Vec<u64>,
    /// The lines of each service's calls, in the order of `ServiceSpec::calls`.
    pub(crate) calls: Vec<Vec<u64>>,
}
