//! meshy: a resilience lab for service meshes.
//!
//! ```text
//! main → cli → commands ─┬→ ui           terminal, tables, errors
//!                        ├→ mesh         checks of a mesh, injection into workloads
//!                        ├→ runner       scenarios: cluster, changes, load, counts, events
//!                        ├→ measure      one measured load and the counts of the mesh
//!                        ├→ report       a recorded run as one HTML file
//!                        └→ the crates   labs, policies, metrics, load, predictions: docs/architecture.md
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod args;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod config;
pub mod context;
pub mod forward;
mod last_load;
pub mod measure;
pub mod mesh;
pub mod original_demo;
pub mod prove;
pub mod recording;
pub mod report;
pub mod run_cluster;
pub mod runner;
pub mod runs;
mod service_url;
pub mod steps;
pub mod summary;
pub mod support;
pub mod sweep;
mod tally;
pub mod ui;
pub mod view;
