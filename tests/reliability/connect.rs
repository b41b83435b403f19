//! The way to a cluster that a kubeconfig names: hostile entries, files that are no files, proxies, names that are wrong.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::home::Home;
use crate::kubeconfig::{THEIRS, everything, fails, good, write};

/// A kubeconfig with a context `a` whose user and cluster have these fields.
fn context(home: &Home, cluster: &str, user: &str) -> PathBuf {
    let file = home.path().join("foreign");
    let text = format!(
        "contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    fs::write(&file, text).expect("a kubeconfig");
    file
}

#[test]
fn a_kubeconfig_that_no_header_or_url_can_hold_ends_without_a_panic() {
    let home = Home::new();
    for (cluster, user) in [
        ("server: 'https://192.0.2.1'", "token: \"SECRET\\n\""),
        ("server: 'https://192.0.2.1'", "auth-provider: {name: gcp, config: {id-token: \"SECRET\\n\"}}"),
        (
            "server: 'https://192.0.2.1'",
            "exec: {command: printf, args: ['status: {token: \"SECRET\\\\n\"}'], interactiveMode: Never}",
        ),
        ("server: 'https://192.0.2.1:99999'", "token: SECRET"),
        ("server: 'https://'", "token: SECRET"),
        ("server: \"a\\nb\"", "token: SECRET"),
        ("server: 'https://192.0.2.1', certificate-authority-data: '!'", "token: SECRET"),
        ("server: 'https://192.0.2.1', certificate-authority-data: MA==", "token: SECRET"),
        ("server: 'https://192.0.2.1', proxy-url: 'ftp://x'", "token: SECRET"),
        ("server: 'https://192.0.2.1'", "token: [SECRET]"),
    ] {
        let file = context(&home, cluster, user);
        let text = fails(home.command(&format!("stat --context a --kubeconfig {}", file.display())), 2);
        assert!(!text.contains("SECRET"), "{text}");
        assert!(text.contains(&file.display().to_string()), "{text}");
    }
}

#[test]
fn fifos_devices_and_huge_files_are_refused_by_name_without_a_wait() {
    let home = Home::new();
    let fifo = home.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let huge = home.path().join("huge");
    fs::File::create(&huge).expect("a file").set_len(1 << 34).expect("a length");
    for odd in [fifo.as_path(), huge.as_path(), Path::new("/dev/zero"), home.path()] {
        let odd = odd.display();
        for line in [
            format!("stat --context a --kubeconfig {odd}"),
            format!("up --provider embedded --kubeconfig {odd}"),
        ] {
            let text = fails(home.command(&line), 2);
            assert!(
                text.contains(&format!("cannot read {odd}"))
                    || text.contains(&format!("cannot change {odd}")),
                "{text}"
            );
        }
        for (cluster, user) in [
            (format!("server: 'https://192.0.2.1', certificate-authority: {odd}"), "token: t".to_owned()),
            ("server: 'https://192.0.2.1'".to_owned(), format!("tokenFile: {odd}")),
            (
                "server: 'https://192.0.2.1'".to_owned(),
                format!("client-certificate: {odd}, client-key: {odd}"),
            ),
        ] {
            let file = context(&home, &cluster, &user);
            let text = fails(home.command(&format!("stat --context a --kubeconfig {}", file.display())), 2);
            assert!(text.contains(&format!("cannot read {odd}")), "{text}");
        }
    }
    assert_eq!(home.processes(), Vec::<u32>::new());
    assert!(!home.path().join(".local").exists());
}

#[test]
fn a_proxy_of_the_environment_does_not_break_a_lab() {
    for proxy in ["http://127.0.0.1:1", "socks5://127.0.0.1:1", "::"] {
        let home = Home::new();
        for line in ["up --provider embedded", "status", "stat", "down --yes"] {
            let mut command = home.command(line);
            command.env("HTTPS_PROXY", proxy).env("HTTP_PROXY", proxy).env("NO_PROXY", ",");
            good(command);
        }
    }
}

#[test]
fn a_foreign_cluster_is_reached_through_the_proxy_unless_no_proxy_names_it() {
    let home = Home::new();
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = proxy.local_addr().expect("its address").to_string();
    let (sender, requests) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in proxy.incoming() {
            let mut stream = stream.expect("a connection");
            let mut head = [0; 1024];
            let length = stream.read(&mut head).expect("a request");
            let text = String::from_utf8_lossy(&head[..length]).into_owned();
            if sender.send(text.lines().next().unwrap_or_default().to_owned()).is_err() {
                return;
            }
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").expect("sent");
        }
    });
    // This address is the machine itself, and not loopback by name: nothing listens on the port.
    let file = context(&home, "server: 'https://0.0.0.0:1'", "token: t");
    let stat = |no_proxy: &str| {
        let mut command = home.command(&format!("stat --context a --kubeconfig {}", file.display()));
        command.env("HTTPS_PROXY", &address).env("NO_PROXY", no_proxy);
        let output = command.output().expect("the program starts");
        assert!(!output.status.success());
        requests.try_iter().collect::<Vec<String>>()
    };
    let proxied = stat("other.example,");
    assert!(
        !proxied.is_empty() && proxied.iter().all(|line| line == "CONNECT 0.0.0.0:1 HTTP/1.1"),
        "{proxied:?}"
    );
    assert_eq!(stat("other.example, 0.0.0.0/8"), Vec::<String>::new());
}

#[test]
fn an_absent_context_is_reported_by_every_command_before_anything_is_asked() {
    let home = Home::new();
    write(&home, &THEIRS.replace("prod", "production"));
    let before = everything(home.path());
    for line in [
        "check --certs",
        "check",
        "cluster",
        "demo",
        "deploy",
        "down",
        "outcomes",
        "fault",
        "fault 10 --yes",
        "inject",
        "lint",
        "port-forward deploy/x 9090",
        "registry",
        "retry apply",
        "retry delete",
        "retry show",
        "routes",
        "sp apply",
        "sp delete",
        "sp show",
        "split show",
        "split delete",
        "start",
        "stat",
        "status",
        "stop",
        "check --bundle x.tar.gz",
        "sweep rps 5,10",
        "traffic",
        "deploy --delete",
        "inject --remove",
        "up",
        "up --image x",
        "up --yes --image x",
    ] {
        let text = fails(home.command(&format!("{line} --context prodution")), 2);
        let expected = format!(
            "no context `prodution` in kubeconfig {}; there are `production`",
            home.kubeconfig().display()
        );
        assert!(text.contains(&expected), "`{line}`: {text}");
    }
    assert_eq!(everything(home.path()), before);
}
