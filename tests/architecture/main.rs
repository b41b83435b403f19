//! What docs/architecture.md and CONTRIBUTING.md promise and the compiler does not check: the arrows between crates, no import
//! cycle between modules, short files, errors that are types, providers known only to `cluster`, the words of the language page,
//! that measurements name a tool that is missing, and that tests compile no library again.

mod arrows;
mod bench;
mod ci;
mod cycles;
mod errors;
mod features;
mod findings;
mod providers;
mod size;
#[path = "../support/skip.rs"]
mod skip;
mod sources;
mod words;
