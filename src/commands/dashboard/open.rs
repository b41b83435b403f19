//! Opens a page in the user's browser.

use std::process::{Command, Stdio};

use meshy_base::Report;

/// Opens a URL, which is valid for one request only: other users of this machine can read it from the list of processes. Where
/// there is no browser, the address that was printed is enough.
pub(super) fn browser(report: &Report, url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        // The browser may live longer than this program.
        Ok(mut child) => drop(std::thread::spawn(move || child.wait())),
        Err(error) => report.say(format!("open this address in a browser (`{program}`: {error})")),
    }
}
