//! A measurement without one of its tools is an error and not a figure.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::sources::root;

/// The scripts: what can be run in `bench`.
fn scripts() -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let files = fs::read_dir(root().join("bench")).expect("the folder is there").flatten();
    let mut scripts: Vec<PathBuf> = files
        .filter(|file| file.metadata().is_ok_and(|there| there.permissions().mode() & 0o111 != 0))
        .map(|file| file.path())
        .collect();
    scripts.sort();
    scripts
}

const PYTHON: &str = "python3";

/// Where Python's program is, as it says itself: what is in PATH may be a script that needs other programs.
fn python() -> Option<PathBuf> {
    let output = Command::new(PYTHON).args(["-c", "import sys; print(sys.executable)"]).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).expect("a path").trim().into())
}

/// Where a program is.
fn find(name: &str) -> PathBuf {
    if name == PYTHON {
        return python().expect("the caller has asked for it");
    }
    std::env::split_paths(&std::env::var_os("PATH").expect("a PATH"))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("this test needs `{name}`"))
}

/// Makes links to these programs in a folder, which can then be a PATH.
pub(crate) fn link(programs: &[&str], folder: &Path) {
    for name in programs {
        std::os::unix::fs::symlink(find(name), folder.join(name)).expect("a link");
    }
}

/// Runs a program with a PATH that has these programs and no others.
fn run(program: &str, arguments: &[&str], programs: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    link(programs, folder.path());
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", folder.path()).env("MESHY_TESTBED", folder.path());
    command.current_dir(root()).output().expect("it starts")
}

#[test]
fn each_script_fails_and_names_a_tool_that_is_missing() {
    let scripts = scripts();
    assert!(scripts.len() >= 17, "{scripts:?}");
    for script in scripts {
        let is_python = fs::read_to_string(&script).expect("text").starts_with("#!/usr/bin/env python3");
        if is_python && python().is_none() {
            crate::skip::skipped(&format!("{}, there is no {PYTHON}", script.display()));
            continue;
        }
        let programs: &[&str] = if is_python { &[PYTHON] } else { &["bash", "dirname"] };
        let output = run(&script.display().to_string(), &[], programs);
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let name = script.file_name().expect("a name").to_string_lossy();
        assert!(!output.status.success(), "bench/{name} ended with {}: {stdout}", output.status);
        assert!(stderr.contains(&format!("bench/{name}: no program `")), "bench/{name}: {stderr}");
        assert_eq!(stdout, "", "bench/{name} printed a figure");
    }
}

/// What `bench/dataplane` printed without wrk was the ratio of two empty figures.
#[test]
fn a_program_that_fails_inside_a_figure_ends_the_script() {
    let script = "set -euo pipefail; . bench/needs true; rate() { local r; r=$(false); echo 1; }; r=$(rate); echo \"ratio $r\"";
    let output = run("/bin/sh", &["-c", "exec bash -c \"$0\"", script], &["bash", "true", "false"]);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{output:?}");
}
