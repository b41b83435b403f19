//! What a load reports about changes and requests that are not its own.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::home::{Home, signal};

fn run(home: &Home, line: &str) -> Value {
    serde_json::from_str(&home.good(line)).expect("one JSON document")
}

#[test]
fn a_fault_that_changes_under_a_load_is_a_mark_and_not_a_wrong_prediction() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    let mut command = home.command("traffic --rate 20 --duration 60s -o json");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.trim_start().starts_with("1s")), "the load does not start");
    home.good("fault 10");
    assert!(lines.any(|line| line.contains("-- fault 10 %")), "the mark is missing");
    signal(child.id(), rustix::process::Signal::INT);
    let rest = std::thread::spawn(move || lines.count());
    let output = child.wait_with_output().expect("its end");
    rest.join().expect("a reader");
    let run: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(run["marks"][0]["text"], "fault 10 %", "{}", run["marks"]);
    assert_eq!(run["mesh"]["prediction"], Value::Null, "nothing can be predicted for two faults");
    let why = run["mesh"]["unpredicted"].as_str().expect("a reason");
    assert!(why.contains("the fault changed meanwhile, from `fault 70 %` to `fault 10 %`"), "{why}");
}

#[test]
fn requests_of_other_senders_are_noted_and_not_predicted() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    let mut other = home.spawn("traffic --rate 20 --duration 60s");
    let measured = run(&home, "traffic --rate 20 --duration 3s -o json");
    signal(other.id(), rustix::process::Signal::INT);
    other.wait().expect("its end");
    let mesh = &measured["mesh"];
    assert!(mesh["clients"]["requests_count"].as_u64() > Some(60), "{mesh}");
    let why = mesh["unpredicted"].as_str().unwrap_or_else(|| panic!("no note of the other sender: {mesh}"));
    assert!(why.contains("of other senders are included"), "{why}");
    assert_eq!(mesh["prediction"], Value::Null);
    // Alone, the same load is predicted again.
    assert!(run(&home, "traffic --rate 20 --duration 1s -o json")["mesh"]["prediction"].is_object());
}

#[test]
fn failures_in_blocks_are_predicted_as_blocks_wherever_the_load_begins() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    home.good("fault 70 --blocks");
    // The next load begins after seven attempts of a block.
    home.good("traffic 1s --rate 7 --case ingress");
    let measured = run(&home, "traffic 2s --rate 50 --case ingress -o json");
    let prediction = &measured["mesh"]["prediction"];
    assert_eq!(prediction["scenario"]["blocks"], true, "{}", measured["mesh"]);
    // Nine whole blocks have 27 successes; of the ten requests of the two others, at most six succeed.
    let bound = |name: &str| prediction["success_ratio"][name].as_f64().expect("a number");
    assert!(bound("low") >= 0.26 && bound("high") <= 0.34, "{prediction}");
    let counts = &measured["mesh"]["clients"];
    let succeeded = counts["succeeded_count"].as_u64().expect("a number");
    assert!(counts["requests_count"] == 100 && (27..=33).contains(&succeeded), "{counts}");
}

#[test]
fn a_load_on_a_service_of_an_own_application_is_counted_at_that_service() {
    let home = Home::new();
    home.good("up --provider embedded --topology chain-2");
    let measured = run(&home, "traffic 2s --url http://cart.default.svc:8080/ --rate 20 -o json");
    let mesh = &measured["mesh"];
    assert_eq!(
        (&mesh["service"]["name"], &mesh["service"]["namespace"]),
        (&"cart".into(), &"default".into())
    );
    let counted = (&mesh["clients"]["requests_count"], &measured["traffic"]["requests_count"]);
    assert_eq!(counted, (&40.into(), &40.into()), "{mesh}");
}

#[test]
fn lengths_and_ranges_that_make_no_sense_are_refused() {
    let home = Home::new();
    for (line, wanted) in [
        ("traffic --duration 0s", "expected more than 0 s"),
        ("traffic 0s", "expected more than 0 s"),
        ("predict --over 0s", "expected more than 0 s"),
        ("traffic --rate 0", "expected more than 0 and at most 1000000"),
        ("sweep limit 0..1000000", "has 1000001 points, expected at most 200"),
        ("sweep limit 5..0", "invalid values"),
    ] {
        let refused = home.run(line);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "`{line}`: {text}");
        assert!(text.contains(wanted), "`{line}`: {text}");
    }
}

#[test]
fn a_report_prints_its_whole_path_and_opens_in_the_browser() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("traffic 1s --rate 5");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let program = bin.join(if cfg!(target_os = "macos") { "open" } else { "xdg-open" });
    std::fs::write(&program, "#!/bin/sh\necho \"$1\" > \"$HOME/opened\"\n").expect("a program");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let page = home.path().join("page.html");
    let mut command = home.command("report --out page.html --open");
    let printed =
        command.env("PATH", format!("{}:/usr/bin:/bin", bin.display())).output().expect("it starts");
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    assert!(String::from_utf8_lossy(&printed.stdout).starts_with(&*page.to_string_lossy()));
    // The browser is not waited for.
    let opened = (0..600).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::fs::read_to_string(home.path().join("opened")).ok().filter(|text| text.ends_with('\n'))
    });
    assert_eq!(opened.expect("the browser was not started").trim(), page.to_string_lossy());
}
