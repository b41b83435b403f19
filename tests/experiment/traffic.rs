//! Traffic without a lab: gates, ends before the time, targets that are not there, and what is recorded.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Output, Stdio};

use rustix::process::Signal;

use crate::documents::document;
use crate::home::{Home, signal};
use crate::server::Server;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_expectation_gates_by_exit_code_and_appends_a_markdown_summary() {
    let (home, server) = (Home::new(), Server::start(&[200, 200, 200, 500]));
    let load = format!("traffic --url {} --rps 40 --duration 1s -o json", server.url());
    let good = home.good(&format!("{load} --expect success>=70%,p99<5s,rate>30/s --summary summary.md"));
    let good = document("traffic", &good);
    assert_eq!(good["traffic"]["success_ratio"], 0.75);
    assert_eq!(good["expectations"].as_array().expect("expectations").len(), 3);

    // As a pipeline has it: the file of the step's summary is named by the environment.
    let mut bad = home.command(&format!("{load} --expect success>=99%,added-load<1%"));
    let bad =
        bad.env("GITHUB_STEP_SUMMARY", home.path().join("summary.md")).output().expect("the program starts");
    assert_eq!(bad.status.code(), Some(5), "{}", said(&bad));
    let failed = "error: 2 of 2 expectations not met: success >= 99% (measured 75 % (30 of 40)); added-load < 1% (not measured: no source counted attempts)";
    assert!(said(&bad).lines().any(|line| line == failed), "{}", said(&bad));
    let bad = document("traffic", &String::from_utf8(bad.stdout).expect("text"));
    // What no source reports is not met.
    assert_eq!(bad["expectations"][1]["verdict"], "undecided");
    let summary = fs::read_to_string(home.path().join("summary.md")).expect("the summary");
    assert_eq!(summary.matches("### meshy traffic").count(), 2);
    assert!(summary.contains("| success &gt;= 99% | **not met** | 75 % (30 of 40) |"), "{summary}");

    let wrong = home.run(&format!("{load} --expect luck>1%"));
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said(&wrong).contains("unknown metric `luck`"), "{}", said(&wrong));
    let wrong = home.run(&format!("{load} --expect rate>1.5"));
    assert!(said(&wrong).contains("expected a rate such as 30/s"), "{}", said(&wrong));
}

#[test]
fn ctrl_c_keeps_what_was_counted() {
    let (home, server) = (Home::new(), Server::start(&[200]));
    let mut command =
        home.command(&format!("traffic --url {} --rps 50 --duration 10m -o json", server.url()));
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    // The heading, then a line for each second: the second line says that a second was counted.
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
    let seen = lines.map_while(Result::ok).find(|line| line.trim_start().starts_with("1s"));
    assert!(seen.is_some(), "no second was shown");
    signal(child.id(), Signal::INT);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(130));
    let partial = document("traffic", &String::from_utf8(output.stdout).expect("text"));
    assert_eq!(partial["interrupted"], true);
    assert!(partial["traffic"]["requests_count"].as_u64().expect("a count") >= 40, "{partial}");
    let runs = document("runs", &home.good("report --list -o json"));
    assert_eq!(runs[0]["id"], partial["run"], "the partial run is recorded");
}

#[test]
fn a_run_whose_file_cannot_be_written_to_its_end_fails_and_names_the_file() {
    let (home, server) = (Home::new(), Server::start(&[200]));
    let load = format!("traffic --url {} --rps 40 --duration 2s -o json", server.url());
    // Ignored, the signal of the limit becomes an error of the write, as on a full disk.
    let output = home.through_shell("trap '' XFSZ; ulimit -f 4", &load).output().expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let run = document("traffic", &String::from_utf8(output.stdout.clone()).expect("text"));
    assert_eq!(run["traffic"]["requests_count"], 80, "what was measured is shown");
    let file = home.path().join(".local/state/meshy/runs").join(run["run"].as_str().expect("an id"));
    let error = format!("error: the run is not recorded to its end: cannot write {}", file.display());
    assert!(said(&output).lines().any(|line| line.starts_with(&error)), "{}", said(&output));
}

#[test]
fn a_target_that_dies_on_the_way_is_counted_and_reported() {
    let (home, server) = (Home::new(), Server::living(&[200], 20));
    let load = format!("traffic --url {} --rps 40 --duration 1s -o json", server.url());
    let run = document("traffic", &home.good(&load));
    assert_eq!(run["traffic"]["succeeded_count"], 20);
    assert_eq!(run["traffic"]["outcomes_count"]["connection refused or broken"], 20);
    assert!(server.served() >= 20);

    let refused = home.run(&load);
    assert!(said(&refused).contains("nothing responded at 127.0.0.1"), "{}", said(&refused));
}

#[test]
fn impossible_rates_and_targets_are_refused_with_what_is_possible() {
    let home = Home::new();
    for (line, code, wanted) in [
        ("traffic --url http://127.0.0.1:1/ --rps 0", 2, "1000000"),
        ("traffic --url http://127.0.0.1:1/ --rps -3", 2, "-3"),
        ("traffic --url http://127.0.0.1:1/ --rps NaN", 2, "1000000"),
        ("traffic --url http://127.0.0.1:1/ --rps 5000000", 2, "1000000"),
        ("traffic --url http://127.0.0.1:1/ --duration soon", 2, "500ms"),
        ("traffic --url http://127.0.0.1:1/ --connections 0", 2, "1..=10000"),
        ("traffic --url ftp://127.0.0.1/", 2, "http://HOST[:PORT]/PATH"),
        ("traffic", 3, "meshy up"),
        ("traffic --case ingress", 3, "meshy up"),
        ("traffic --url http://a.b.svc.cluster.local:9090/", 3, "meshy up"),
        ("predict --fail 170%", 2, "70%"),
        ("predict --rps 0", 2, "1000000"),
        ("sweep rps 0..1e9", 2, "5,10,20"),
        ("explain 1999", 2, "meshy report --list"),
        ("report last nosuch", 1, "meshy report --list"),
        ("fault 170", 2, "500,500,200"),
        ("stat", 3, "meshy up"),
    ] {
        let output = home.run(line);
        assert_eq!(output.status.code(), Some(code), "`{line}`: {}", said(&output));
        assert!(said(&output).contains(wanted), "`{line}` does not say `{wanted}`: {}", said(&output));
    }
}

#[test]
fn recorded_runs_are_listed_explained_compared_and_made_a_page() {
    let home = Home::new();
    assert!(home.good("report --list").contains("no run is recorded yet"));
    let (poor, rich) = (Server::start(&[500, 500, 200]), Server::start(&[200]));
    for (server, tag) in [(&poor, "before"), (&rich, "after")] {
        home.good(&format!("traffic --url {} --rps 60 --duration 1s --tag {tag}", server.url()));
    }
    let runs = document("runs", &home.good("report --list -o json"));
    let first = runs[0]["id"].as_str().expect("an id");
    let text = document("explain", &home.good(&format!("explain {first} -o json")));
    assert!(text["steps"][0][0].as_str().expect("a sentence").contains("33 % of 60 requests"), "{text}");
    assert_eq!(document("explain-page", &home.good("explain budget-ttl -o json"))["id"], "budget-ttl");
    let differences = document("compare", &home.good(&format!("report {first} last -o json")));
    assert_eq!(differences[0]["verdict"], "better");
    assert_eq!(runs[0]["tags"], serde_json::json!(["before"]));
    assert_eq!(document("compare", &home.good("report before after -o json")), differences);
    assert!(home.good(&format!("report last {first}")).contains("worse"));
    assert!(home.good("report last last").contains("undecided"));
    document("report", &home.good("report --out page.html --expect success>=99% -o json"));
    home.good("report --out short.html");
    let page = fs::read_to_string(home.path().join("page.html")).expect("the page");
    assert_eq!(fs::read_to_string(home.path().join("short.html")).expect("the page"), page);
    assert!(page.contains("<svg") && page.ends_with("</html>\n"));
    for output in ["text", "json"] {
        let failed = home.run(&format!("report {first} --expect success>=99%,rate>1/s -o {output}"));
        assert_eq!(failed.status.code(), Some(5));
        assert_eq!(
            said(&failed),
            "error: 1 of 2 expectations not met: success >= 99% (measured 33.33 % (20 of 60))\n"
        );
    }
    let folder = home.path().join(".local/state/meshy/runs");
    let text = fs::read_to_string(folder.join(format!("{first}.events.jsonl"))).expect("the run");
    let kinds = text.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).expect("an event");
        event["type"].as_str().expect("a type").to_owned()
    });
    let kinds: Vec<String> = kinds.filter(|kind| kind != "tick").collect();
    assert_eq!(kinds, ["run-started", "step-started", "step-ended", "run-ended"]);
}

#[test]
fn a_load_without_file_descriptors_is_an_error_of_the_client_and_not_a_failure_of_the_server() {
    let home = Home::new();
    let server = Server::start(&[200]);
    let line = format!("traffic --url {} --rps 200 --duration 1s --connections 64", server.url());
    let output = home.through_shell("ulimit -n 24", &line).output().expect("the program starts");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("requests were not sent: the sender has no free file descriptor"), "{talk}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(!table.contains("refused or broken"), "{table}");
}
