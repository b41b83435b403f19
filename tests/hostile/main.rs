//! Hostile input, area by area: files and responses without an end, connections that lock others out, expensive writes, loads
//! that go wrong, text that is meant for a terminal, and a hostile environment. Each area prints how many inputs were tried
//! and how many were bad. Bad is: a panic, a signal, an end later than the timeout and half a second, more than 100 MB,
//! control characters in the output, exit code 0 for invalid input, and what the area itself says.
//!
//! The inputs are random: `MESHY_SEED=N` repeats a run. `MESHY_PROGRAM=FILE` tries another program, an earlier version for
//! example: docs/findings.md has what this found in the first version.
#![cfg(target_os = "linux")]

#[path = "../support/home.rs"]
mod home;
#[path = "../support/stalls.rs"]
mod stalls;

mod archives;
mod connections;
mod environment;
mod files;
mod https;
mod loads;
mod memory;
mod program;
mod responses;
mod server;
mod tally;
mod text;
mod writes;
