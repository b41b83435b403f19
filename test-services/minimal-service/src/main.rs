//! The program of the image: the service over TCP, configured by environment variables, with its log on stdout.

#![cfg_attr(not(test), warn(clippy::print_stderr, clippy::disallowed_methods, clippy::unwrap_used))]

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use meshy_net::Tcp;
use minimal_service::{Config, Logs, run};
use tokio::signal::unix::{SignalKind, signal};

/// The most threads that resolve host names. Each waits for the name server without work to do.
const RESOLVERS: usize = 8;

fn main() -> ExitCode {
    // One thread is enough: a pod has at most half a core, and one thread serves tens of thousands of requests per second.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVERS).build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve()),
        Err(error) => {
            let _ = writeln!(std::io::stdout(), "ERROR cannot start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until SIGTERM or SIGINT; returns the exit code of the container.
async fn serve() -> ExitCode {
    let logs: Logs = Arc::new(|line: String| {
        // A closed stdout does not stop the service.
        let _ = writeln!(std::io::stdout(), "{line}");
    });
    let config = match Config::from_env(environment()) {
        Ok(config) => config,
        Err(error) => {
            logs(format!("ERROR {error}"));
            return ExitCode::from(2);
        }
    };
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        logs("ERROR cannot install signal handlers".to_owned());
        return ExitCode::FAILURE;
    };
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    ExitCode::from(run(config, Arc::new(Tcp), logs, shutdown).await)
}

/// Returns the environment variables; `HOSTNAME` defaults to the kernel's host name.
fn environment() -> impl Iterator<Item = (String, String)> {
    let default = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let default = default.map(|name| ("HOSTNAME".to_owned(), name));
    let set = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    default.into_iter().chain(set)
}
