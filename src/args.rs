//! Flags that several commands share.

mod global;
mod lab;

pub(crate) use global::{Color, Global, Output, ProviderChoice};
pub(crate) use lab::{AddonArgs, ClusterArgs};
