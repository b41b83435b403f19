//! A small cluster in the process.
