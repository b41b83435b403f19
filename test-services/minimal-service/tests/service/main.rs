//! The service as its clients see it, over a network that exists only in the test.

mod admin;
mod answers;
mod bounce;
mod docs;
mod lab;
mod life;
mod network;
