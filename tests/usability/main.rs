//! What a user meets first, with the real program and embedded clusters: which lab a command means, what tables show without
//! requests, how soon an error that cannot pass is reported.

mod deploys;
#[path = "../support/home.rs"]
mod home;
mod labs;
mod loads;
mod proxy_log;
mod tables;
#[cfg(target_os = "linux")]
mod talk;
#[cfg(target_os = "linux")]
#[path = "../support/terminal.rs"]
mod terminal;
mod unmeshed;
