//! A private registry that accepts connections and never responds.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::commands::ALL;
use crate::home::Home;
use crate::run::{Ended, evaluate, evaluate_with_a_cluster, run_all, timed};

/// A lab for each worker.
const LABS: [&str; 6] = ["l0", "l1", "l2", "l3", "l4", "l5"];

fn command(home: &Home, lab: &str, line: &str) -> Command {
    let folder = home.path().join(lab).display().to_string();
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
        home.good(&format!("up --provider embedded --name {lab}"));
        let file = home.lab(lab).join("lab.json");
        let text = fs::read_to_string(&file).expect("the record");
        let mut record: serde_json::Value = serde_json::from_str(&text).expect("the record");
        record["registry_port"] = port.into();
        fs::write(&file, record.to_string()).expect("the record");
        fs::create_dir(home.path().join(lab)).expect("a folder");
        fs::copy(&image, home.path().join(lab).join("image")).expect("an image");
    }
    let pushes =
        run_all(&LABS, &["push {folder}/image --as image:v1"; 10], |lab, line| command(&home, lab, line));
    let registry = format!("the registry localhost:{port}");
    let named = |run: &Ended| run.code() == Some(4) && run.stderr.contains(&registry);
    assert!(pushes.iter().all(named), "{pushes:?}");
    evaluate("silent registry", &pushes, &[&registry]);
    // Next to it a cluster that is well: a command has more to do than it has time for, or ends by itself.
    let lines: Vec<&str> = ALL.into_iter().filter(|line| !["stop", "down"].contains(line)).collect();
    let ended = run_all(&LABS, &lines, |lab, line| command(&home, lab, line));
    evaluate_with_a_cluster(
        "silent registry, all commands",
        &ended,
        &["timed out", "the time was over", "in time"],
    );
}
