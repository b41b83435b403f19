//! The `meshy` program.
fn main() {}
