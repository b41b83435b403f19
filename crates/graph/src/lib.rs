//! Call graphs: services, their calls with what was measured on each, and forms to show them.
//!
//! ```text
//!   Topology ────┐                ┌─→ text      a table that fits a terminal
//!                ├─→ CallGraph ───┼─→ json      every field
//!   metrics ─────┘        │       ├─→ dot       Graphviz
//!   (by the caller)       │       └─→ mermaid   Markdown pages
//!                         └─→ layout ─→ svg     layers from top to bottom, no line through a box
//! ```
//!
//! All functions are pure, and accept any graph: cycles, calls of unknown services, names of any length with any character.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

mod clean;
mod dot;
mod index;
mod labels;
mod layout;
mod mermaid;
mod model;
mod svg;
mod text;
mod topology;

pub use crate::model::{CallEdge, CallGraph, CallNode};

#[cfg(test)]
mod tests;
