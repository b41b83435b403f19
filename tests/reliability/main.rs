//! The tool itself under kills, signals, rivals, full disks and a broken engine, on the embedded cluster: each test in a home
//! temporary folder. Seeds are printed; `bench/kills` runs the same with many more moments.
#![cfg(target_os = "linux")]

#[path = "../support/home.rs"]
mod home;

mod concurrent;
mod connect;
mod crash;
mod dry;
mod engine;
mod exposure;
mod full;
mod hostile;
mod kubeconfig;
mod names;
mod processes;
mod records;
mod tree;
