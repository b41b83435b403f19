//! Runs kubectl, helm and client-go against this server and against kube-apiserver, and compares exit code and output.
//!
//! `tests/testbed.sh` sets `MESHY_TESTBED_KUBECONFIG` and puts kubectl into `PATH`. helm and Go are not part of the testbed;
//! their sessions are skipped with a message if they are not installed.

mod client_go;
mod sessions;
#[path = "../../../../tests/support/skip.rs"]
mod skip;
mod target;

use sessions::{SESSIONS, Session};
use skip::skipped;
use target::Target;

fn testbed() -> Target {
    let kubeconfig = std::env::var("MESHY_TESTBED_KUBECONFIG").expect("the kubeconfig of testbed/apiserver");
    Target::testbed(&kubeconfig)
}

/// Runs a session on both servers and returns their differences.
fn differences(session: &Session, actual: &Target, expected: &Target) -> Vec<String> {
    let (actual, expected) = (actual.run(session), expected.run(session));
    let lines = session.commands.iter().zip(actual.into_iter().zip(expected));
    lines
        .filter(|(_, (actual, expected))| actual != expected)
        .map(|(command, (actual, expected))| {
            format!("{}: {command}\n--- actual\n{actual}\n--- kube-apiserver\n{expected}", session.name)
        })
        .collect()
}

#[test]
#[ignore = "needs kubectl and kube-apiserver: tests/testbed.sh"]
fn kubectl_behaves_as_with_kube_apiserver() {
    let (actual, expected) = (Target::embedded(), testbed());
    let mut found = Vec::new();
    for session in SESSIONS.iter().filter(|session| session.program == "kubectl") {
        found.extend(differences(session, &actual, &expected));
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n\n"));
}

#[test]
#[ignore = "needs helm and kube-apiserver: tests/testbed.sh"]
fn helm_behaves_as_with_kube_apiserver() {
    if !target::is_installed("helm") {
        skipped("helm is not installed");
        return;
    }
    let (actual, expected) = (Target::embedded(), testbed());
    let mut found = Vec::new();
    for session in SESSIONS.iter().filter(|session| session.program == "helm") {
        found.extend(differences(session, &actual, &expected));
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n\n"));
}

#[test]
#[ignore = "needs Go, its modules and kube-apiserver: tests/testbed.sh"]
fn client_go_behaves_as_with_kube_apiserver() {
    let program = match client_go::build() {
        Ok(program) => program,
        Err(reason) => {
            skipped(&reason);
            return;
        }
    };
    let found = differences(&client_go::session(program), &Target::embedded(), &testbed());
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n\n"));
}

/// Without kube-apiserver: each session of client-go succeeds.
#[test]
#[ignore = "needs Go and its modules: tests/testbed.sh"]
fn client_go_succeeds() {
    let program = match client_go::build() {
        Ok(program) => program,
        Err(reason) => {
            skipped(&reason);
            return;
        }
    };
    let output = Target::embedded().run(&client_go::session(program));
    assert!(output.iter().all(|text| text.starts_with("exit status: 0\n")), "{output:#?}");
}
