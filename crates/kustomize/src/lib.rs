//! Builds kustomize trees in-process: files in, objects out.
//!
//! The output equals that of `kustomize build` (5.8) for trees that need neither network nor other programs. Remote
//! resources, helm charts, plugins and `vars` are rejected with an error that names them.
//!
//! ```text
//!  Source ── loader ── kustomization ──┐
//!  (disk, memory)                      ▼
//!                 target: resources → generators → components → transforms
//!                                      │ once, at the root
//!                                      ▼
//!                 hash suffixes → name references → order → Output
//! ```
//!
//! Where the objects are known to differ from kustomize's:
//!
//! - A date without quotes stays the text that it is; kustomize makes it a time (`2020-01-01T00:00:00Z`).
//! - `key:` without a value stays null when its object is patched; kustomize then drops it, though not `key: null`.
//! - An annotation written `0644` becomes `"420"`, there `"0644"`.
//! - A replacement inside a YAML text is refused where comments or an order of keys would be lost.
//! - A tree of more than 5,000 kustomizations (one that several others name counts each time), 200,000 objects gathered on
//!   the way, or 100 levels is refused; kustomize has no limits.
//! - A pipe, a device or a socket in place of a file is refused; kustomize reads it.
//!
//! ```
//! use meshy_kustomize::{Memory, build};
//! use std::path::Path;
//!
//! let mut tree = Memory::new();
//! tree.insert("/app/kustomization.yaml", "resources: [map.yaml]\nnamePrefix: my-\n");
//! tree.insert("/app/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\n");
//! let output = build(&tree, Path::new("/app")).unwrap();
//! assert_eq!(output.objects[0]["metadata"]["name"], "my-map");
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod error;
mod field;
mod generate;
mod hash;
mod id;
mod kustomization;
mod loader;
mod merge;
mod objects;
mod resource;
mod select;
mod set;
mod source;
mod target;
mod transform;
mod yaml;

use std::path::Path;

use serde_json::Value;

pub use crate::error::{Error, Refusal};
pub use crate::source::{Content, Disk, Memory, Source};
pub use crate::yaml::print as to_yaml;

/// The result of a build.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The objects, in the order in which kustomize would print them.
    pub objects: Vec<Value>,
    /// A line for each deprecated spelling met, with the new spelling.
    pub warnings: Vec<String>,
}

impl Output {
    /// Returns the objects as a YAML stream in the format of kustomize.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml::print(&self.objects)
    }
}

/// Builds the tree whose kustomization file lies in `dir`.
///
/// # Errors
///
/// Returns an error for each tree that kustomize rejects (missing files, files outside the root, cycles, duplicate ids,
/// patches without a target, malformed YAML…), and for unsupported features: see [`Refusal`].
pub fn build(source: &dyn Source, dir: &Path) -> Result<Output, Error> {
    target::build(source, dir)
}
