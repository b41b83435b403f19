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

mod args;
pub mod cli;
mod commands;
mod compare;
pub mod config;
pub mod context;
mod forward;
mod last_load;
mod measure;
mod mesh;
mod original_demo;
mod prove;
mod recording;
mod report;
mod run_cluster;
mod runner;
mod runs;
mod service_url;
mod steps;
mod summary;
mod support;
mod sweep;
mod tally;
pub mod ui;
mod view;
