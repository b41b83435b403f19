//! The sessions of client-go: a Go program that is built once.

use std::path::Path;
use std::process::Command;

use crate::sessions::Session;

/// Builds the program and returns its path.
///
/// # Panics
/// Go is not installed, its modules can neither be found nor fetched, or the program does not compile.
pub(crate) fn build() -> &'static str {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl/client-go");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client-go");
    let go = |arguments: &[&str]| {
        Command::new("go").args(arguments).current_dir(&source).output().expect("Go is installed")
    };
    let program = program.to_str().expect("a path in UTF-8");
    let built = go(&["build", "-mod=readonly", "-o", program, "."]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program.to_owned().leak()
}

/// What failed on the first version: OpenAPI 2 as kubectl reads it, and events in `events.k8s.io`.
pub(crate) fn session(program: &'static str) -> Session {
    Session {
        name: "session-client-go",
        program,
        files: &[],
        commands: &["openapi", "events", "events-core"],
        cleanup: &[],
    }
}
