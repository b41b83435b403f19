//! Flags that several commands share.

mod global;
mod lab;

pub use global::{Color, Global, Output, ProviderChoice};
pub use lab::{AddonArgs, ClusterArgs, ingress, mesh};
