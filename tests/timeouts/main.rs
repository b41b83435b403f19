//! `--timeout 2s` bounds every command: with a stopped cluster, servers that never respond or respond a byte a second, a
//! registry that never responds, pipes as files, an exec plugin that sleeps, and an overlay that is reached by 2^30 paths.
//!
//! For each of them every command runs once and the commands in [`commands::TEN`] run ten times. All runs of this binary
//! are started one after another with [`run::PAUSE`] between them, so that what is measured is not the wait for a core.
#![cfg(target_os = "linux")]

#[path = "../support/fake_api.rs"]
mod fake_api;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/stalls.rs"]
mod stalls;

mod cluster;
mod commands;
mod overlays;
mod pipes;
mod plugin;
mod registry;
mod run;
mod servers;
