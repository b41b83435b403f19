//! Tests of the crate.

mod capacity;
mod invalid;
mod isotope;
mod lint;
mod manifests;
mod parse;
mod shipped;
