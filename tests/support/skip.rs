//! A test that cannot run here says so, also where the output of tests that pass is not shown.

use std::io::Write as _;

/// Prints why a test is skipped.
pub(crate) fn skipped(why: &str) {
    // Past the capture of the test's output.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
