//! The names of the files in a lab's folder.

/// The record.
pub(crate) const RECORD: &str = "lab.json";
/// The lock of the run that changes the lab.
pub(crate) const LOCK: &str = "lock";
/// The lock that an embedded cluster's process holds for life.
pub(crate) const EMBEDDED_LOCK: &str = "embedded.lock";
/// What that process writes to its stderr.
pub(crate) const EMBEDDED_LOG: &str = "embedded.log";
/// The folder of an embedded cluster's keys and snapshot.
pub(crate) const EMBEDDED: &str = "embedded";
/// The kubeconfig that kind wrote.
pub(crate) const KUBECONFIG: &str = "kubeconfig";
/// The folder that configures the registry on the nodes of a kind cluster.
pub(crate) const CERTS_D: &str = "certs.d";

/// The note of the lock file next to the user's kubeconfig: what a run that was killed there left is known by it.
pub(crate) const KUBECONFIG_NOTE: &str = "kubeconfig-lock";
/// The note that lists the lab's kubeconfig entries.
pub(crate) const KUBECONFIG_ENTRY: &str = "kubeconfig-entry";
