//! What `-v` shows.

use tracing_subscriber::EnvFilter;

/// Sends tracing to stderr: errors of others, with `-v` what meshy does, with `-vv` everything. `RUST_LOG` overrules.
/// Coloured like all other words on stderr.
pub fn init(verbose: u8, colored: bool) {
    let level = match verbose {
        // What fails is told by the error itself; the client would say it a second time, in its own words.
        0 => "error,kube_client=off,kube_runtime=off",
        1 => "warn,meshy=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A second initialisation (tests) is fine.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colored);
    let _ = log.with_writer(std::io::stderr).try_init();
}
