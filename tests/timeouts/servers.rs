//! API servers that accept connections and do not respond as they should.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::commands::{all_once_and_ten_ten_times, needs_the_api};
use crate::fake_api::{CONTEXT, FakeApi, Mode};
use crate::home::Home;
use crate::run::{AT_ONCE, Ended, evaluate, run_all, timed};

/// A line on the context that leads to a server, in a temporary home folder.
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
    evaluate("silent server", &on(Mode::Silent), &["the API server"]);
}

#[test]
fn an_api_server_that_sends_a_byte_a_second_is_named_after_the_timeout() {
    evaluate("slow server", &on(Mode::Slow), &["the API server"]);
}

/// The 30 s that the client library gives a connection end no command, and the user hears that it waits.
#[test]
fn a_server_that_completes_no_tls_handshake_is_waited_for_until_the_timeout() {
    // Connections wait in its queue.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("its address"));
    let home = Home::new();
    let text = format!(
        "{{apiVersion: v1, kind: Config, \
         clusters: [{{name: c, cluster: {{server: '{url}', insecure-skip-tls-verify: true}}}}], \
         users: [{{name: u, user: {{token: t}}}}], \
         contexts: [{{name: {CONTEXT}, context: {{cluster: c, user: u}}}}]}}\n"
    );
    fs::write(home.path().join("kubeconfig"), text).expect("a kubeconfig");
    let output = home.run(&format!("stat --context {CONTEXT} --kubeconfig kubeconfig --timeout 31s"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{}, {stderr}", output.status);
    assert!(stderr.contains("timed out after 31 s while waiting for the API server"), "{stderr}");
    assert!(stderr.starts_with("still waiting for the API server"), "{stderr}");
}
