//! The experiment as a user runs it, with the real program: without any lab against a server of the test's own, on one embedded lab
//! that several commands share, and the demo on its own cluster. Every JSON document is held to its schema.
#![cfg(target_os = "linux")]

#[path = "../support/home.rs"]
mod home;

mod browser;
mod dashboard;
mod demo;
mod documents;
mod lab;
mod restore;
mod run;
mod server;
mod traffic;
