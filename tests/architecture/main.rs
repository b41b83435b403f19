//! What docs/architecture.md and CONTRIBUTING.md promise and the compiler does not check: the arrows between crates, no import
//! cycle between modules, short files, providers known only to `cluster`, and the words of the language page.

mod arrows;
mod cycles;
mod providers;
mod size;
mod sources;
mod words;
