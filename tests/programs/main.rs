//! Programs of this machine as containers of an embedded lab, with the real program.
#![cfg(target_os = "linux")]

#[path = "../support/home.rs"]
mod home;

mod foreign;
mod input;
mod lab;
mod process;
mod scenario;
mod shop;
