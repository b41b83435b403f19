//! Topologies and call graphs as a user meets them, with the real program: files, predictions, and one embedded lab.
#![cfg(target_os = "linux")]

#[path = "../support/home.rs"]
mod home;

mod files;
mod graph;
mod input;
mod lab;
mod prediction;
