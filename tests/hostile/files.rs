//! Files without an end in every place where a file is read, programs whose output has no end, and credentials with control
//! characters.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::home::Home;
use crate::program::{each, run};
use crate::tally::{Tally, random};

/// Where a file is read: a command line with `FILE` for it, or a kubeconfig's field.
const PLACES: &[&str] = &[
    "stat --context a --kubeconfig FILE",
    "up --provider embedded --kubeconfig FILE",
    "lint FILE",
    "sp apply FILE",
    "explain FILE",
    "build FOLDER",
    "push FILE",
    "up --print --mesh linkerd --linkerd-manifest FILE",
    "certificate-authority: FILE",
    "tokenFile: FILE",
    "client-certificate: FILE, client-key: FILE",
];

const FILES: [&str; 5] = ["/dev/zero", "/dev/urandom", "/dev/full", "huge", "a-folder"];

fn kubeconfig(home: &Home, name: &str, cluster: &str, user: &str) -> String {
    let file = home.path().join(name);
    let text = format!(
        "contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'https://192.0.2.1'{cluster}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    fs::write(&file, text).expect("a kubeconfig");
    format!("stat --context a --kubeconfig {name}")
}

#[test]
fn files_without_an_end() {
    let tally = Tally::new("files without an end", 40);
    let home = Home::new();
    fs::File::create(home.path().join("huge")).expect("a file").set_len(1 << 34).expect("a length");
    fs::create_dir(home.path().join("a-folder")).expect("a folder");
    let mut cases = Vec::new();
    for (at, place) in PLACES.iter().enumerate() {
        for (number, file) in FILES.iter().enumerate() {
            let name = format!("{at}-{number}");
            let line = match *place {
                // An overlay's file must lie in its folder; a link out of it is not one.
                folder if folder.contains("FOLDER") => {
                    let overlay = home.path().join(&name);
                    fs::create_dir(&overlay).expect("a folder");
                    if file.starts_with('/') {
                        symlink(file, overlay.join("kustomization.yaml")).expect("a link");
                    } else {
                        fs::File::create(overlay.join("kustomization.yaml"))
                            .and_then(|file| file.set_len(1 << 34))
                            .expect("a file");
                    }
                    folder.replace("FOLDER", &format!("./{name}"))
                }
                field if field.starts_with("certificate-authority") => {
                    kubeconfig(&home, &name, &format!(", {}", field.replace("FILE", file)), "token: t")
                }
                field if field.contains(": FILE") => {
                    kubeconfig(&home, &name, "", &field.replace("FILE", file))
                }
                line => line.replace("FILE", file),
            };
            cases.push((line, *place, *file));
        }
    }
    each(cases, |(line, place, file)| {
        let ended = run(home.command(&format!("{line} --timeout 3s")));
        tally.add("S-D8", format!("{place}, {file}"), ended.faults_of_invalid());
    });
    programs_without_an_end(&home, &tally);
    tally.end();
}

/// An exec plugin's output.
fn programs_without_an_end(home: &Home, tally: &Tally) {
    for (number, script) in
        ["cat /dev/zero", "yes >&2", "cat /dev/urandom", "yes '{'"].into_iter().enumerate()
    {
        let plugin = home.path().join(format!("plugin-{number}"));
        fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("a mode");
        let exec = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: {}, interactiveMode: Never}}",
            plugin.display()
        );
        let line = kubeconfig(home, &format!("with-plugin-{number}"), "", &exec);
        let ended = run(home.command(&format!("{line} --timeout 3s")));
        let mut faults = ended.faults();
        if ended.status.success() {
            faults.push("ended with 0".to_owned());
        }
        tally.add("S-D8", format!("exec plugin: {script}"), faults);
    }
    let left = home.processes();
    let faults = if left.is_empty() { Vec::new() } else { vec![format!("processes {left:?} are left")] };
    tally.add("S-D8", "exec plugins afterwards", faults);
}

/// Text with control characters in it, as a quoted YAML scalar.
fn odd(random: &mut StdRng) -> String {
    const ODD: [&str; 10] =
        ["\\n", "\\r", "\\0", "\\x1b[2J", "\\x7f", "\\u0085", "\\u202e", "\\t", "\\r\\nx: y", "\\uFFFF"];
    let mut text = "SECRET".to_owned();
    text.insert_str(random.random_range(1..6), ODD[random.random_range(0..ODD.len())]);
    format!("\"{text}\"")
}

#[test]
fn credentials_with_control_characters() {
    let (tally, mut random) = (Tally::new("credentials with control characters", 30), random("credentials"));
    let home = Home::new();
    let mut cases = Vec::new();
    for number in 0..36 {
        let odd = odd(&mut random);
        let user = match number % 6 {
            0 => format!("token: {odd}"),
            1 => format!("auth-provider: {{name: gcp, config: {{id-token: {odd}}}}}"),
            2 => format!("auth-provider: {{name: oidc, config: {{access-token: {odd}, id-token: {odd}}}}}"),
            3 => format!("as: {odd}, token: t"),
            4 => format!("token: t, as-user-extra: {{{odd}: [{odd}]}}"),
            _ => {
                let file = format!("token-{number}");
                let text = odd
                    .trim_matches('"')
                    .replace("\\n", "\n\n")
                    .replace("\\0", "\0")
                    .replace("\\x1b", "\u{1b}");
                fs::write(home.path().join(&file), format!("{text}\u{1}\n")).expect("a file");
                format!("tokenFile: {file}")
            }
        };
        cases.push((kubeconfig(&home, &format!("odd-{number}"), "", &user), user));
    }
    each(cases, |(line, user)| {
        let ended = run(home.command(&format!("{line} --timeout 1s")));
        let mut faults = ended.faults();
        if ended.stderr.contains("SECRET") || ended.stdout.contains("SECRET") {
            faults.push(format!("shows the credential: {}", ended.stderr));
        }
        tally.add("S-D12", user, faults);
    });
    tally.end();
}
