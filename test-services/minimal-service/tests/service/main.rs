//! Tests the service through its two ports, over an in-memory network.

mod admin;
mod bounce;
mod capacity;
mod disconnect;
mod docs;
mod faults;
mod graph;
mod grpc;
mod lab;
mod lifecycle;
mod network;
mod responses;
mod sender;
