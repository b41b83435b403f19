//! A private registry that accepts connections and never responds.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::commands::ALL;
use crate::home::Home;
use crate::run::{Ended, evaluate, evaluate_with_a_cluster, run_all, timed};

/// A lab for each worker: on an embedded cluster by this name, and one on KinD with a prefix, which does not run.
const LABS: [&str; 6] = ["l0", "l1", "l2", "l3", "l4", "l5"];

fn command(home: &Home, folder: &str, lab: &str, line: &str) -> Command {
    let folder = home.path().join(folder).display().to_string();
    let mut command = home.command(&timed(&line.replace("{folder}", &folder)));
    command.args(["--name", lab, "--yes"]);
    command
}

#[test]
fn a_registry_that_never_responds_is_named_after_the_timeout() {
    // Connections wait in its queue.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let home = Home::new();
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/image/saved");
    for lab in LABS {
        let made = serde_json::json!({
            "name": format!("kind-{lab}"), "provider": "kind", "context": format!("kind-kind-{lab}"), "registry_port": port, "made": true,
        });
        let folder = home.lab(&format!("kind-{lab}"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join("lab.json"), made.to_string()).expect("a record");
        fs::create_dir(home.path().join(lab)).expect("a folder");
        fs::copy(&image, home.path().join(lab).join("image")).expect("an image");
    }
    // Only KinD has a private registry.
    let pushes = run_all(&LABS, &["push {folder}/image --as image:v1"; 10], |lab, line| {
        command(&home, lab, &format!("kind-{lab}"), line)
    });
    let registry = format!("the registry localhost:{port}");
    let named = |run: &Ended| run.code() == Some(4) && run.stderr.contains(&registry);
    assert!(pushes.iter().all(named), "{pushes:?}");
    evaluate("silent registry", &pushes, &[&registry]);
    // A cluster that is well: a command has more to do than it has time for, or ends by itself.
    let lines: Vec<&str> = ALL.into_iter().filter(|line| !["stop", "down"].contains(line)).collect();
    for lab in LABS {
        home.good(&format!("up --provider embedded --name {lab}"));
    }
    let ended = run_all(&LABS, &lines, |lab, line| command(&home, lab, lab, line));
    evaluate_with_a_cluster(
        "silent registry, all commands",
        &ended,
        &["timed out", "the time limit ended", "in time"],
    );
}
