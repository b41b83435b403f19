//! The cluster as its users see it, in-process: no socket but the ingress's.

mod lab;
mod mesh;
mod policy;
mod proxy_log;
mod story;
mod workloads;
