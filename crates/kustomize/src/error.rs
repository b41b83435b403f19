//! The errors of a build.

use std::io;
use std::path::PathBuf;

/// Why a tree cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer of context: where in the tree the cause was met.
    #[error("cannot build {place}")]
    In {
        /// The kustomization, file or directive being worked on.
        place: String,
        /// The cause.
        source: Box<Error>,
    },
    /// A file or folder that the tree names cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    Read {
        /// The path as far as it could be resolved.
        path: PathBuf,
        /// The error of the operating system.
        reason: io::Error,
    },
    /// A folder without a kustomization file.
    #[error("no kustomization.yaml, kustomization.yml or Kustomization in `{}`", dir.display())]
    NoKustomization {
        /// The folder.
        dir: PathBuf,
    },
    /// A folder with more than one kustomization file.
    #[error("more than one kustomization file in `{}`", dir.display())]
    SeveralKustomizations {
        /// The folder.
        dir: PathBuf,
    },
    /// A file outside the folder of the kustomization that names it, links resolved.
    #[error("`{}` is not in or below `{}`", file.display(), root.display())]
    OutsideRoot {
        /// The file.
        file: PathBuf,
        /// The kustomization's folder.
        root: PathBuf,
    },
    /// A kustomization that names itself, or a folder above one that is being built.
    #[error("cycle: `{}` contains `{}`, which is being built", dir.display(), visited.display())]
    Cycle {
        /// The folder named.
        dir: PathBuf,
        /// The folder being built.
        visited: PathBuf,
    },
    /// Something that is not YAML, or not the YAML expected there.
    #[error("cannot parse {place}: {reason}")]
    Parse {
        /// The file or inline text.
        place: String,
        /// The message of the parser.
        reason: String,
    },
    /// Something that kustomize would do and this crate does not.
    #[error("{what} is not supported: {refusal}\n{}", refusal.hint())]
    Refused {
        /// The field or path as written.
        what: String,
        /// Which kind of thing it is.
        refusal: Refusal,
    },
    /// Two objects of one kind, name and namespace.
    #[error("`{id}` is there twice")]
    Duplicate {
        /// The object's kind, name and namespace.
        id: String,
    },
    /// A patch, merge or replacement that finds no object, or more than one.
    #[error("{what} matches {found} objects, not one")]
    Target {
        /// The directive and the object that it selects.
        what: String,
        /// How many objects fit.
        found: usize,
    },
    /// A tree that is too large to build, often because a base is reached by many paths.
    #[error("the tree has more than {most} {what}")]
    Limit {
        /// What there are too many of.
        what: &'static str,
        /// How many are allowed.
        most: usize,
    },
    /// A directive that contradicts itself or the objects it works on.
    #[error("{0}")]
    Invalid(String),
}

/// A feature of kustomize that this crate does not support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A resource, base or component from another machine.
    #[error("it is remote")]
    Remote,
    /// Helm charts.
    #[error("it needs helm")]
    Helm,
    /// Custom generators, transformers and validators.
    #[error("it is a plugin")]
    Plugin,
    /// `vars`, which kustomize has deprecated.
    #[error("it is deprecated")]
    Vars,
    /// Configuration of kustomize itself: field tables, schemas, build metadata.
    #[error("it configures kustomize itself")]
    Configuration,
}

impl Refusal {
    /// Returns the alternative, as one line.
    #[must_use]
    pub fn hint(self) -> &'static str {
        match self {
            Self::Remote => "hint: fetch it once and name the local copy",
            Self::Helm => "hint: render the chart with `helm template` and name the result under `resources`",
            Self::Plugin => "hint: write it as `patches` or `replacements`, or build with kustomize itself",
            Self::Vars => "hint: `replacements` does the same",
            Self::Configuration => "hint: leave it out, or build with kustomize itself",
        }
    }
}

impl Error {
    /// Returns the same error, met while working on `place`. A limit concerns the whole tree and gets no place: its error would
    /// list as many places as the tree has levels.
    pub(crate) fn within(self, place: impl Into<String>) -> Self {
        if matches!(self, Self::Limit { .. }) {
            return self;
        }
        Self::In { place: place.into(), source: Box::new(self) }
    }

    /// A directive that cannot be followed.
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }

    /// Returns the innermost error, without the layers of context.
    #[must_use]
    pub fn cause(&self) -> &Error {
        match self {
            Self::In { source, .. } => source.cause(),
            other => other,
        }
    }
}
