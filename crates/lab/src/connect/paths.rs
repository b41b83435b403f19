//! Paths in a kubeconfig.

use std::path::{Path, PathBuf};

/// Returns the path of a file that a kubeconfig names; a relative one starts at the kubeconfig's folder.
pub(super) fn relative_to(kubeconfig: &Path, file: &str) -> PathBuf {
    kubeconfig.parent().unwrap_or(Path::new("/")).join(file)
}
