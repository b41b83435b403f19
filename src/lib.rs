//! meshy: a resilience lab for service meshes.
//!
//! ```text
//! main → cli → commands ─┬→ ui
//!                        ├→ cluster   where the cluster comes from: kind, existing, embedded
//!                        ├→ addons    what is applied to it: ingress-nginx, Linkerd
//!                        ├→ k8s       manifests, server-side apply, waits
//!                        ├→ image     the test service's image and the registry's API
//!                        └→ traffic, metrics, predict, report: the experiment
//! ```

pub mod addons;
pub mod cli;
pub mod cluster;
pub mod commands;
pub mod compare;
pub mod config;
pub mod connect;
pub mod context;
pub mod demo;
pub mod doctor;
pub mod expect;
pub mod files;
pub mod image;
pub mod lab;
pub mod live;
pub mod measure;
pub mod mesh;
pub mod metrics;
pub mod overlay;
pub mod policy;
pub mod predict;
pub mod report;
pub mod runs;
pub mod services;
pub mod summary;
pub mod support;
pub mod sweep;
pub mod traffic;
pub mod ui;
