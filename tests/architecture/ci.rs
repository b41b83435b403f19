//! What continuous integration runs, with a cargo that only prints: too few tests and too much time fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::bench;
use crate::sources::root;

/// A cargo that lists `$TESTS` tests, and prints its arguments and that `$TESTS` tests passed.
const CARGO: &str = r#"#!/usr/bin/env bash
if [[ " $* " = *" --list "* ]]; then
  for ((n = 0; n < TESTS; n++)); do echo "test_$n: test"; done
else
  echo "cargo $*"
  echo "test result: ok. $TESTS passed; 0 failed"
fi
"#;

fn script(file: &Path, text: &str) {
    fs::create_dir_all(file.parent().expect("a folder")).expect("the folder");
    fs::write(file, text).expect("the script");
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).expect("a script that runs");
}

/// A PATH with this cargo and these programs, and no others.
fn path_with(folder: &Path, programs: &[&str]) {
    script(&folder.join("cargo"), CARGO);
    bench::link(programs, folder);
}

/// Runs tests/testbed.sh with a kube-apiserver, and without Docker, helm and Go.
fn testbed(tests: u32) -> Output {
    let (testbed, programs) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    path_with(programs.path(), &["bash", "dirname", "env", "grep", "mktemp", "rm", "setsid", "sleep"]);
    script(&testbed.path().join("unpack"), "#!/usr/bin/env bash\necho /nonexistent\n");
    script(&testbed.path().join("apiserver"), "#!/usr/bin/env bash\necho ready\nsleep 60\n");
    let mut command = Command::new(root().join("tests/testbed.sh"));
    command.arg(testbed.path()).env_clear().env("PATH", programs.path()).env("TESTS", tests.to_string());
    command.env("TMPDIR", testbed.path()).output().expect("it starts")
}

#[test]
fn a_suite_of_the_testbed_with_fewer_tests_than_expected_fails() {
    let output = testbed(7);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{stdout}\n{stderr}");
    assert!(stderr.contains("kustomize: only 7 tests, at least "), "{stderr}");
    assert!(!stdout.contains("cargo test"), "{stdout}");
}

#[test]
fn tests_whose_program_is_not_in_the_testbed_are_left_out_with_a_line() {
    let output = testbed(1000);
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    for line in ["skipped: no helm", "skipped: no Go", "skipped: no Docker engine"] {
        assert!(stderr.contains(line), "`{line}` is missing: {stderr}");
    }
    let apiserver = stdout.lines().find(|line| line.contains("-p meshy-apiserver")).expect("the suite");
    for skip in ["helm_behaves_as_with_kube_apiserver", "client_go_succeeds"] {
        assert!(apiserver.contains(&format!("--skip {skip}")), "{apiserver}");
    }
    assert!(stdout.contains("-p meshy-kustomize -- --include-ignored"), "{stdout}");
}

/// Runs a copy of .ci/run in a folder where each part succeeds at once, `begun` seconds after its begin.
fn ci(tests: u32, begun: u32) -> Output {
    let (folder, programs) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    path_with(programs.path(), &["awk", "bash", "dirname", "env", "mktemp", "rm", "sed", "timeout"]);
    // The real one waits a second for the end of each part.
    script(&programs.path().join("tail"), "#!/usr/bin/env bash\n");
    fs::write(folder.path().join("Cargo.toml"), "rust-version = \"1.0\"\n").expect("a manifest");
    let run = folder.path().join(".ci/run");
    script(&run, &fs::read_to_string(root().join(".ci/run")).expect("the script"));
    let parts = ["bench/dependencies", "target/release/meshy"].map(|part| folder.path().join(part));
    parts.iter().for_each(|part| script(part, "#!/usr/bin/env bash\n"));
    for part in [".ci/deny", ".ci/oldest-compiler", ".ci/prometheus", "tests/browser/run"] {
        script(&folder.path().join(part), CARGO);
    }
    let mut command = Command::new(run);
    command.env_clear().env("PATH", programs.path()).env("TESTS", tests.to_string());
    command.env("TMPDIR", folder.path());
    // bash counts from the value that SECONDS has at its start.
    command.env("MESHY_TESTBED", folder.path()).env("SECONDS", begun.to_string());
    command.output().expect("it starts")
}

#[test]
fn a_run_prints_its_total_time_and_fails_above_90_minutes() {
    let output = ci(3000, 300);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(stdout.contains("s of  5400 s  in all"), "{stdout}");
    let output = ci(3000, 5401);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout.contains("over the limit of 90 minutes"), "{stdout}");
}

#[test]
fn a_run_with_fewer_tests_than_expected_fails() {
    let output = ci(1649, 0);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stdout.contains("only 1649 tests passed, at least 1650 are expected"), "{stdout}");
}
