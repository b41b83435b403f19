//! What an embedded lab shows to the machine: loopback only, secrets for their owner only and in no text.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::home::Home;

/// The addresses on which process `pid` listens.
fn listening(pid: u32) -> Vec<IpAddr> {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("its descriptors")
        .flatten()
        .filter_map(|fd| {
            let target = fs::read_link(fd.path()).ok()?;
            Some(target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut found = Vec::new();
    for (table, v6) in [("tcp", false), ("tcp6", true)] {
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            // Column 3 is the state (0A: listening), column 9 the inode.
            if words[3] != "0A" || !inodes.iter().any(|i| i == words[9]) {
                continue;
            }
            assert!(!v6, "meshy listens on IPv4 only: {line}");
            let hex = words[1].split(':').next().expect("an address");
            let bytes = u32::from_str_radix(hex, 16).expect("hex").to_ne_bytes();
            found.push(IpAddr::V4(Ipv4Addr::from(bytes)));
        }
    }
    found
}

fn every_file(folder: &Path, see: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        see(&entry.path());
        if entry.path().is_dir() {
            every_file(&entry.path(), see);
        }
    }
}

#[test]
fn an_embedded_lab_listens_on_loopback_only() {
    let home = Home::new();
    home.good("up --provider embedded");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    let addresses = listening(cluster);
    assert!(addresses.len() >= 2, "the API and the ingress: {addresses:?}");
    assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
}

#[test]
fn keys_and_state_are_their_owners_only_even_without_a_umask() {
    let home = Home::new();
    let mut open = home.through_shell("umask 000", "up --provider embedded");
    assert!(open.status().expect("a shell").success());
    home.good("stop");
    let mut seen = 0;
    every_file(&home.path().join(".local/state/meshy"), &mut |path| {
        let mode = fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        seen += 1;
    });
    assert!(seen > 4, "a lab has files");
    let kubeconfig = fs::metadata(home.kubeconfig()).expect("it is there").permissions().mode();
    assert_eq!(kubeconfig & 0o777, 0o600);
}

#[test]
fn no_secret_of_a_lab_is_in_a_log_a_command_line_or_a_support_bundle() {
    let home = Home::new();
    let loud = home.run("up --provider embedded -vv");
    let kubeconfig = fs::read_to_string(home.kubeconfig()).expect("it is there");
    let secrets: Vec<&str> = kubeconfig
        .lines()
        .filter_map(|line| line.trim().strip_prefix("token: "))
        .map(|token| token.trim_matches('"'))
        .collect();
    assert!(!secrets.is_empty(), "what a client shows is in the kubeconfig:\n{kubeconfig}");
    home.good("check --bundle bundle.tar.gz");
    let mut bundle = String::new();
    let file = fs::File::open(home.path().join("bundle.tar.gz")).expect("the bundle");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut bundle).expect("text");
    let log = fs::read_to_string(home.lab("meshy").join("embedded.log")).expect("the log");
    let failing = home.run("deploy no-such-overlay -vv");
    let [cluster] = home.processes()[..] else { panic!("one process") };
    let line = fs::read_to_string(format!("/proc/{cluster}/cmdline")).expect("its command line");
    let texts = [
        ("stderr of up", String::from_utf8_lossy(&loud.stderr).into_owned()),
        ("stdout of up", String::from_utf8_lossy(&loud.stdout).into_owned()),
        ("an error", String::from_utf8_lossy(&failing.stderr).into_owned()),
        ("the log", log),
        ("the bundle", bundle),
        ("the command line", line),
    ];
    for secret in secrets {
        for (what, text) in &texts {
            assert!(!text.contains(secret), "{what} shows a secret");
        }
    }
}
