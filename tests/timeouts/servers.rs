//! API servers that accept connections and do not respond as they should.

use std::fs;
use std::process::Command;

use crate::commands::{all_once_and_ten_ten_times, needs_the_api};
use crate::fake_api::{CONTEXT, FakeApi, Mode};
use crate::home::Home;
use crate::run::{AT_ONCE, Ended, judge, run_all, timed};

/// A line on the context that leads to a server, in a home of its own.
pub(crate) fn command(home: &Home, line: &str) -> Command {
    let line = line.replace("{folder}", &home.path().display().to_string());
    let mut command = home.command(&timed(&line));
    let kubeconfig = home.path().join("kubeconfig");
    command.args(["--context", CONTEXT, "--yes", "--kubeconfig"]).arg(kubeconfig);
    command
}

/// Homes whose kubeconfig leads to the server.
pub(crate) fn homes(server: &FakeApi) -> Vec<Home> {
    let homes: Vec<Home> = (0..AT_ONCE).map(|_| Home::new()).collect();
    for home in &homes {
        let file = server.kubeconfig(home.path());
        fs::rename(file, home.path().join("kubeconfig")).expect("a kubeconfig");
    }
    homes
}

/// Forgets labs on a server that does not respond: `meshy down`, with which a home ends, would wait for it.
pub(crate) fn forget_labs(homes: &[Home]) {
    for home in homes {
        // Most have none.
        let _ = fs::remove_dir_all(home.path().join(".local"));
    }
}

fn on(mode: Mode) -> Vec<Ended> {
    let server = FakeApi::start(mode);
    let homes = homes(&server);
    let ended = run_all(&homes, &all_once_and_ten_ten_times(), command);
    forget_labs(&homes);
    assert!(server.requests().len() > 100, "only {} requests", server.requests().len());
    let false_success = ended.iter().find(|run| run.code() == Some(0) && needs_the_api(&run.line));
    assert!(false_success.is_none(), "{false_success:?}");
    ended
}

#[test]
fn an_api_server_that_never_responds_is_named_after_the_timeout() {
    judge("silent server", &on(Mode::Silent), &["the API server"]);
}

#[test]
fn an_api_server_that_sends_a_byte_a_second_is_named_after_the_timeout() {
    judge("slow server", &on(Mode::Slow), &["the API server"]);
}
