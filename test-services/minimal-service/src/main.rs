//! The image's program: the service over TCP, configured by the environment, log lines on stdout.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use meshy_net::Tcp;
use minimal_service::{Config, Logs, run};
use tokio::signal::unix::{SignalKind, signal};

// One thread: a pod of the lessons has a tenth of a core, and one thread answers tens of thousands a second.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let logs: Logs = Arc::new(|line: String| {
        // Whoever closed the pipe does not want the lines; that is no reason to stop serving.
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
        logs("ERROR listen for signals".to_owned());
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

/// The environment; `HOSTNAME` from the kernel where no container runtime has set it.
fn environment() -> impl Iterator<Item = (String, String)> {
    let kernels = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let kernels = kernels.map(|name| ("HOSTNAME".to_owned(), name));
    let set = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    kernels.into_iter().chain(set)
}
