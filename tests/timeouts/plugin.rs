//! A kubeconfig whose exec plugin sleeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::commands::{all_once_and_ten_ten_times, needs_the_api};
use crate::fake_api::{CONTEXT, FakeApi, Mode};
use crate::home::Home;
use crate::run::{AT_ONCE, evaluate, run_all};
use crate::servers::{command, forget_labs};

/// The plugin is a shell that has started another program, which must end as well.
fn kubeconfig(home: &Home, url: &str) {
    let plugin = home.path().join("plugin");
    fs::write(&plugin, "#!/bin/sh\nsleep 600\n").expect("a program");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("a mode");
    let exec = format!(
        "{{apiVersion: client.authentication.k8s.io/v1, command: {}, interactiveMode: Never}}",
        plugin.display()
    );
    let text = format!(
        "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: '{url}'}}}}], \
         users: [{{name: u, user: {{exec: {exec}}}}}], \
         contexts: [{{name: {CONTEXT}, context: {{cluster: c, user: u}}}}]}}\n"
    );
    fs::write(home.path().join("kubeconfig"), text).expect("a kubeconfig");
}

#[test]
fn an_exec_plugin_that_sleeps_is_named_after_the_timeout_and_ended() {
    let server = FakeApi::start(Mode::Silent);
    let homes: Vec<Home> = (0..AT_ONCE).map(|_| Home::new()).collect();
    homes.iter().for_each(|home| kubeconfig(home, &server.url()));
    let ended = run_all(&homes, &all_once_and_ten_ten_times(), command);
    forget_labs(&homes);
    let false_success = ended.iter().find(|run| run.code() == Some(0) && needs_the_api(&run.line));
    assert!(false_success.is_none(), "{false_success:?}");
    for home in &homes {
        assert_eq!(home.processes(), [0u32; 0], "a plugin is left");
    }
    evaluate("sleeping plugin", &ended, &["exec plugin"]);
}
