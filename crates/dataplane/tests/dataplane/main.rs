//! The proxy from the outside: real HTTP through in-memory streams, counted on both sides.

mod budget;
mod counting;
mod support;
