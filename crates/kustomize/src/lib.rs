//! Builds kustomize trees in-process.
