//! Runs kubectl, helm and client-go against this server and against kube-apiserver, and compares exit code and output.
//!
//! `tests/testbed.sh` sets `MESHY_TESTBED_KUBECONFIG` and puts kubectl into `PATH`. helm and Go are not part of the testbed:
//! if one is missing, `tests/testbed.sh` prints that it skips its tests.

mod client_go;
mod sessions;
mod target;

use sessions::{SESSIONS, Session};
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
    let session = client_go::session(client_go::build());
    let found = differences(&session, &Target::embedded(), &testbed());
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n\n"));
}

/// Without kube-apiserver: each session of client-go succeeds.
#[test]
#[ignore = "needs Go and its modules: tests/testbed.sh"]
fn client_go_succeeds() {
    let output = Target::embedded().run(&client_go::session(client_go::build()));
    assert!(output.iter().all(|text| text.starts_with("exit status: 0\n")), "{output:#?}");
}
