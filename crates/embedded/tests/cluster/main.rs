//! The cluster as its users see it, in-process: the port of the ingress is its only socket.

mod demo;
mod inbound;
mod lab;
mod mesh;
mod policy;
mod proxy_log;
mod workloads;
