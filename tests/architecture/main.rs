//! What docs/architecture.md and CONTRIBUTING.md promise and the compiler does not check: the arrows between crates, no import
//! cycle between modules, short files, errors that are types, providers known only to `cluster`, the words of the language page, and
//! that measurements name a tool that is missing.

mod arrows;
mod bench;
mod cycles;
mod errors;
mod findings;
mod providers;
mod size;
#[path = "../support/skip.rs"]
mod skip;
mod sources;
mod words;
