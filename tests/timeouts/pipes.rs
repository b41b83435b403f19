//! A pipe that no process writes to or reads from, as any file that a command reads or writes.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::commands::{ALL, TEN};
use crate::home::Home;
use crate::run::{AT_ONCE, Ended, Stalls, evaluate, run, run_all, timed};

fn pipe(path: PathBuf) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    path
}

fn command(home: &Home, line: &str) -> Command {
    let folder = home.path().display().to_string();
    let mut command = home.command(&timed(&line.replace("{folder}", &folder)));
    command.arg("--yes");
    command
}

/// Refused at once as what it is, or named after the time.
fn evaluate_pipe(test: &str, ended: &[Ended], name: &str) {
    evaluate(test, ended, &[name]);
    for run in ended {
        let (code, stderr) = (run.code(), &run.stderr);
        assert!(code.is_some_and(|code| code != 0), "{test}: `{}` ended well", run.line);
        assert!(stderr.contains(name), "{test}: `{}` does not name {name}: {stderr}", run.line);
    }
}

#[test]
fn a_pipe_as_meshy_yaml_ends_every_command_in_time() {
    let home = Home::new();
    pipe(home.path().join("meshy.yaml"));
    let ended = run_all(&[(); AT_ONCE], &ALL, |(), line| command(&home, line));
    evaluate_pipe("pipe as meshy.yaml", &ended, "meshy.yaml");
    let line = "export files --list --config meshy.yaml";
    let ended = run(line, home.command(&timed(line)));
    evaluate_pipe("pipe as --config", &[ended], "meshy.yaml");
}

#[test]
fn a_pipe_as_a_kubeconfig_ends_every_command_in_time() {
    let home = Home::new();
    let given = pipe(home.path().join("pipe-as-kubeconfig"));
    let lines: Vec<&str> = (0..10).flat_map(|_| TEN).collect();
    let ended = run_all(&[(); AT_ONCE], &lines, |(), line| {
        let mut command = command(&home, line);
        command.args(["--context", "x", "--kubeconfig"]).arg(&given);
        command
    });
    evaluate_pipe("pipe as --kubeconfig", &ended, "pipe-as-kubeconfig");
    let ended = run_all(&[(); AT_ONCE], &TEN, |(), line| {
        let mut command = command(&home, line);
        command.args(["--context", "x"]).env("KUBECONFIG", &given);
        command
    });
    evaluate_pipe("pipe in KUBECONFIG", &ended, "kubeconfig");
    pipe(home.kubeconfig());
    let up = run("up --provider embedded", command(&home, "up --provider embedded"));
    evaluate_pipe("pipe as the user's kubeconfig", &[up], ".kube/config");
    fs::remove_file(home.kubeconfig()).expect("the pipe is still there");
}

#[test]
fn a_pipe_as_an_input_file_is_refused_or_named() {
    let home = Home::new();
    for file in ["pipe", "pipe.yaml", "overlay/kustomization.yaml", "other/pipe.yaml"] {
        pipe(home.path().join(file));
    }
    fs::write(home.path().join("other/kustomization.yaml"), "resources: [pipe.yaml]\n").expect("a file");
    fs::write(home.path().join("file"), "x").expect("a file");
    home.good("up --provider embedded --name l0");
    let lines = [
        "lint pipe",
        "lint .",
        "sp apply ./pipe.yaml",
        "sp delete ./pipe.yaml",
        "build ./overlay",
        "build ./other",
        "deploy ./overlay",
        "deploy --delete ./other",
        "up --overlay ./overlay",
        "up --overlay ./other --print",
        "up --print --mesh linkerd --linkerd-manifest pipe",
        "up --print --mesh linkerd --linkerd-manifest file --linkerd-crds pipe",
        "explain ./pipe",
        "report ./pipe",
        "report ./pipe ./pipe",
    ];
    let named = run_all(&[(); AT_ONCE], &lines, |(), line| {
        let mut command = command(&home, line);
        command.args(["--name", "l0"]);
        command
    });
    evaluate("pipe as an input", &named, &["pipe", "overlay", "is still at work"]);
    assert!(
        named.iter().all(|run| run.code() != Some(0) || run.line.contains("--overlay ./other --print")),
        "{named:?}"
    );
}

#[test]
fn a_pipe_as_a_file_of_the_state_folder_is_refused_or_named() {
    let home = Home::new();
    pipe(home.lab("l0").join("lab.json"));
    let lines = ["status", "stat", "deploy", "down --name l0", "start", ""];
    let ended = run_all(&[(); AT_ONCE], &lines, |(), line| {
        let mut command = command(&home, line);
        command.env("MESHY_NAME", "l0");
        command
    });
    evaluate("pipe as a record", &ended, &["lab.json", "is still at work"]);
    pipe(home.path().join(".local/state/meshy/runs/20260101-000000-000.events.jsonl"));
    let ended =
        run_all(&[(); AT_ONCE], &["explain", "report", "report last last", "report --list"], |(), line| {
            command(&home, line)
        });
    evaluate("pipe as a run", &ended, &["20260101-000000-000.events.jsonl"]);
}

#[test]
fn a_pipe_as_an_output_file_is_named_after_the_timeout() {
    let home = Home::new();
    let out = pipe(home.path().join("out")).display().to_string();
    home.good("predict --seed 1");
    let lines = [
        format!("export files --list --events {out}"),
        format!("sweep rps 1 --svg {out}"),
        format!("traffic --url http://127.0.0.1:9/ --duration 100ms --summary {out}"),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let ended = run_all(&[(); AT_ONCE], &lines, |(), line| command(&home, line));
    evaluate_pipe("pipe as an output", &ended, &out);
    assert!(ended.iter().all(|run| run.code() == Some(4)), "{ended:?}");
}

#[test]
fn stdin_that_does_not_end_is_named_after_the_timeout() {
    let home = Home::new();
    for (line, name) in [
        ("lint -", "reading stdin"),
        ("inject -", "reading stdin"),
        ("sp apply -", "reading stdin"),
        ("lint /dev/stdin", "reading /dev/stdin"),
        ("up --print --mesh linkerd --linkerd-manifest -", "reading stdin"),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut command = command(&home, line);
        command.stdin(reader);
        let ended = run(line, command);
        assert_eq!(ended.code(), Some(4), "{ended:?}");
        evaluate_pipe("stdin", &[ended], name);
        drop(writer);
    }
}

#[test]
fn a_pipe_with_a_writer_is_read_to_its_end() {
    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\n";
    let home = Home::new();
    let file = pipe(home.path().join("pipe"));
    let read = |line: &str, stdin: Stdio| {
        let mut command = command(&home, line);
        command.stdin(stdin);
        run(line, command)
    };
    let writer = thread::spawn(move || fs::write(file, SERVICE));
    let named = read("lint pipe", Stdio::null());
    writer.join().expect("no panic").expect("the pipe was read");
    assert_eq!(named.code(), Some(0), "{named:?}");
    for line in ["lint -", "lint /dev/stdin"] {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        writer.write_all(SERVICE.as_bytes()).expect("room in the pipe");
        drop(writer);
        let ended = read(line, reader.into());
        assert_eq!(ended.code(), Some(0), "{ended:?}");
    }
}

#[test]
fn a_reader_of_stdout_that_has_stopped_is_named_after_the_timeout() {
    let home = Home::new();
    let folder = home.path().join("large");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("data"), "x".repeat(1 << 20)).expect("a file");
    let text = "configMapGenerator: [{name: large, files: [data]}]\n";
    fs::write(folder.join("kustomization.yaml"), text).expect("a file");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut command = command(&home, "build ./large");
    command.stdout(writer).stderr(Stdio::piped());
    let (begun, stalled) = (std::time::Instant::now(), Stalls::begin());
    let output = command.spawn().expect("the program starts").wait_with_output().expect("its end");
    let (took, stalled) = (begun.elapsed(), stalled.end());
    drop(command);
    drop(reader);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let ended = Ended { line: "build ./large".to_owned(), status: output.status, took, stalled, stderr };
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    evaluate("stdout", &[ended], &["writing to stdout"]);
    assert!(Path::new(&folder).exists());
}
