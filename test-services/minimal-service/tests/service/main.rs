//! Tests the service through its two ports, over an in-memory network.

mod admin;
mod bounce;
mod docs;
mod lab;
mod lifecycle;
mod network;
mod responses;
