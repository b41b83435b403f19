//! What `-v` shows.

use tracing_subscriber::EnvFilter;

/// Sends tracing to stderr: errors of libraries, with `-v` what meshy does, with `-vv` everything. `RUST_LOG` overrules.
/// With `serves` warnings are logged as well. Coloured like all other words on stderr.
pub fn init(verbose: u8, colored: bool, serves: bool) {
    let level = match verbose {
        // The log of an embedded cluster: what it rejects is not an error of a command.
        0 if serves => "warn,kube_client=off,kube_runtime=off",
        // The error itself says what failed; the client would log it a second time.
        0 => "error,kube_client=off,kube_runtime=off",
        1 => "warn,meshy=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second initialisation (tests) is fine.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colored);
    let _ = log.with_writer(std::io::stderr).try_init();
}
