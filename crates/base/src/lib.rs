//! What every part of meshy uses and what depends on no other part.
//!
//! ```text
//! error     an error with a hint, an exit code and the id of its page
//! report    the progress of a command: steps, warnings, events; the terminal is one implementation of it
//! activity  what the program waits for, so that a timeout can name it
//! limit     `--timeout`: the end of the program's time
//! exec      programs that are run, and ended with this one
//! text      text from outside, made safe for a terminal
//! input     files and pipes that the user names; private: files of meshy's own state; bounded: reads of both with a limit
//! ```

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

pub mod activity;
pub mod announce;
pub mod bounded;
pub mod duration;
pub mod error;
pub mod exec;
pub mod input;
pub mod limit;
pub mod private;
pub mod report;
pub mod text;

pub use report::{Report, Step};
