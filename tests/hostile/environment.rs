//! What a process inherits or meets: proxies of the environment, hosts of other sites, other runs, a small stack.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rand::RngExt as _;

use crate::home::Home;
use crate::https::Lab;
use crate::program::{each, run};
use crate::tally::{Tally, random};

#[test]
fn proxies_and_hosts() {
    let tally = Tally::new("proxies of the environment and foreign hosts", 50);
    let home = Home::new();
    home.good("up --provider embedded --overlay minimal-service");
    proxies(&home, &tally);
    hosts(&Lab::of(&home), &tally);
    tally.end();
}

fn proxies(home: &Home, tally: &Tally) {
    let proxies = [
        "http://127.0.0.1:1",
        "https://127.0.0.1:1",
        "socks5://127.0.0.1:1",
        "http://user:word@127.0.0.1:1",
        "::",
        "127.0.0.1:1",
        "http://[::1]:1",
        "ftp://x",
        "\u{1b}[2J",
        "http://proxy.example.invalid:3128",
        " ",
        "http://%41/",
    ];
    let mut cases = Vec::new();
    for (number, proxy) in proxies.into_iter().enumerate() {
        for (name, line) in [("HTTPS_PROXY", "status"), ("https_proxy", "stat")] {
            cases.push((name, proxy, ["", "127.0.0.1", ",", "other.example"][number % 4], line));
        }
    }
    each(cases, |(name, proxy, no_proxy, line)| {
        let mut command = home.command(&format!("{line} --timeout 3s"));
        command.env(name, proxy).env("NO_PROXY", no_proxy);
        let ended = run(command);
        let mut faults = ended.faults();
        if !ended.status.success() {
            faults.push(format!("ended with {}: {}", ended.status, ended.stderr));
        }
        tally.add("S-D4", format!("{name}={proxy:?}, NO_PROXY={no_proxy}, {line}"), faults);
    });
}

/// A web page that a browser has open can name its own host, and nothing else.
fn hosts(lab: &Lab, tally: &Tally) {
    let token = format!("authorization: Bearer {}", lab.token());
    let mut heads: Vec<(String, String)> = [
        "evil.com",
        "localhost.evil.com",
        "evil.com:443",
        "[::1].evil.com",
        "[localhost]evil.com",
        "kubernetes:80@evil",
        "localhost:evil",
        "localhost@evil.com",
        "127.0.0.1.evil.com",
        "127.0.0.1@evil",
        "[::1]evil",
        "[::1",
        "localhost:",
        "localhost:-1",
        "localhost:99999",
        "localhost:80:80",
        "localhost/evil",
        "kubernetes.default.svc.evil.com",
        "",
        " ",
        "0x7f.1.evil",
        "localhost, evil.com",
        "*",
        "localhost\u{b}",
    ]
    .into_iter()
    .map(|host| (format!("host: {host:?}"), format!("GET /api HTTP/1.1\r\nhost: {host}\r\n")))
    .collect();
    for (first, second) in [("localhost", "evil.com"), ("evil.com", "localhost")] {
        heads.push((
            format!("hosts {first} and {second}"),
            format!("GET /api HTTP/1.1\r\nhost: {first}\r\nhost: {second}\r\n"),
        ));
    }
    for uri in ["http://evil.com/api", "https://evil.com/api", "http://localhost@evil.com/api"] {
        heads.push((format!("GET {uri}"), format!("GET {uri} HTTP/1.1\r\nhost: localhost\r\n")));
    }
    heads.push(("no host".to_owned(), "GET /api HTTP/1.1\r\n".to_owned()));
    for (name, head) in heads {
        let request = format!("{head}{token}\r\nconnection: close\r\n\r\n");
        let response = lab.send(request.as_bytes(), Duration::from_secs(20));
        let refused = response.as_ref().map_or(true, |response| (400..500).contains(&response.status));
        let faults =
            if refused { Vec::new() } else { vec![format!("{response:?}").chars().take(120).collect()] };
        tally.add("S-D19", name, faults);
    }
    let own = format!("GET /api HTTP/1.1\r\nhost: localhost\r\n{token}\r\nconnection: close\r\n\r\n");
    assert_eq!(lab.send(own.as_bytes(), Duration::from_secs(20)).expect("a response").status, 200);
}

#[test]
fn downs_at_once() {
    let (tally, mut random) = (Tally::new("downs at once", 20), random("downs"));
    let home = Home::new();
    let record = include_str!("../fixtures/lab-c3662c0.json");
    for round in 0..24 {
        fs::create_dir_all(home.lab("meshy")).expect("a folder");
        fs::write(home.lab("meshy").join("lab.json"), record).expect("a record");
        let count = random.random_range(2..6);
        let downs: Vec<_> = (0..count)
            .map(|_| {
                home.command("down --yes")
                    .stdout(Stdio::null())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("it starts")
            })
            .collect();
        let mut faults = Vec::new();
        for down in downs {
            let output = down.wait_with_output().expect("its end");
            if !output.status.success() {
                faults.push(format!(
                    "ended with {}: {}",
                    output.status,
                    String::from_utf8_lossy(&output.stderr)
                ));
            }
        }
        if let Ok(left) = fs::read_dir(home.lab("meshy")) {
            faults
                .push(format!("left {:?}", left.flatten().map(|file| file.file_name()).collect::<Vec<_>>()));
            let _ = fs::remove_dir_all(home.lab("meshy"));
        }
        tally.add("S-D15", format!("round {round}: {count} at once"), faults);
    }
    tally.end();
}

#[test]
fn small_stacks() {
    let tally = Tally::new("small stacks", 20);
    let home = Home::new();
    let mut cases = Vec::new();
    for kilobytes in [160, 192, 256, 512, 1024] {
        for line in ["status", "--help", "lint absent", "predict --seed 1"] {
            cases.push((kilobytes, line));
        }
    }
    each(cases, |(kilobytes, line)| {
        let ended =
            run(home.through_shell(&format!("ulimit -s {kilobytes}"), &format!("{line} --timeout 3s")));
        tally.add("S-D20", format!("{line} with a stack of {kilobytes} KiB"), ended.faults());
    });
    tally.end();
}
