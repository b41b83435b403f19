//! Tables say which requests they show, and never end in zeros where there were some.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::home::{Home, signal};

fn json(home: &Home, line: &str) -> Value {
    serde_json::from_str(&home.good(&format!("{line} -o json"))).expect("one JSON document")
}

/// The number of requests that a table shows.
fn counted(table: &str, document: &Value) -> u64 {
    let of_rows = |key: &str| {
        let rows = document["rows"].as_array().expect("rows").iter();
        rows.map(|row| row[key].as_u64().unwrap_or_default()).sum()
    };
    match table {
        "stat" => of_rows("responses_count"),
        "routes" => of_rows("requests_count"),
        _ => document["requests_count"].as_u64().expect("a count"),
    }
}

#[test]
fn tables_without_requests_show_the_last_recorded_load_or_all_since_the_start() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    for table in ["stat", "routes", "outcomes"] {
        let text = home.good(table);
        assert!(text.starts_with("No requests since the proxies started"), "{table}: {text}");
    }
    home.good("traffic 2s --rate 20");
    for table in ["stat", "routes", "outcomes"] {
        let document = json(&home, table);
        assert_eq!(document["source"]["of"], "run", "{table}: {document}");
        let requests = counted(table, &document);
        assert!(requests >= 40, "{table} shows {requests} of 40 requests: {document}");
        let text = home.good(table);
        assert!(
            text.starts_with("No requests in the last 2 s; showing run ") && text.contains("`meshy traffic`"),
            "{table}: {text}"
        );
        // A window that the user asks for is that window, and its zeros are explained.
        let now = json(&home, &format!("{table} --window 1s"));
        assert_eq!(
            (&now["source"]["of"], counted(table, &now)),
            (&Value::from("window"), 0),
            "{table}: {now}"
        );
        let text = home.good(&format!("{table} --window 1s"));
        assert!(
            text.starts_with("No requests in the last 1 s. Send some with `meshy traffic`"),
            "{table}: {text}"
        );
        // U-D2: the counts since the start are those of the load.
        let all = json(&home, &format!("{table} --window 0s"));
        assert_eq!(all["source"]["of"], "start", "{table}: {all}");
        assert!(counted(table, &all) >= 40, "{table}: {all}");
    }
    // U-D36: a rate since the start is not known, and not zero.
    let routes = home.good("routes --window 0s");
    assert!(!routes.contains("0.0rps"), "{routes}");
    // Of another lab with this name, nothing is shown.
    home.good("down --yes");
    home.good("up --provider embedded");
    assert!(home.good("outcomes").starts_with("No requests since the proxies started"));
}

#[test]
fn a_table_that_is_watched_is_shown_each_second() {
    let home = Home::new();
    home.good("up --provider embedded");
    home.good("inject");
    let lines = ["stat --watch", "outcomes --watch", "routes --watch", "graph --watch", "status --watch"];
    std::thread::scope(|scope| {
        for line in lines {
            let home = &home;
            scope.spawn(move || {
                let mut command = home.command(&format!("{line} -o json"));
                let mut child =
                    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
                let output =
                    BufReader::new(child.stdout.take().expect("stdout")).lines().map_while(Result::ok);
                // Up to the beginning of the third document.
                let mut begun = 0;
                let mut first = String::new();
                for text in output {
                    begun += usize::from(text == "{");
                    match begun {
                        1 => first.push_str(&text),
                        3 => break,
                        _ => {}
                    }
                }
                signal(child.id(), rustix::process::Signal::INT);
                child.wait().expect("its end");
                assert_eq!(begun, 3, "`{line}` ended by itself");
                let first: Value = serde_json::from_str(&first).expect("a document");
                if let Some(seconds) = first["source"]["length_seconds"].as_f64() {
                    assert!(seconds < 9.0, "`{line}`: the first table came after {seconds} s");
                }
            });
        }
    });
}

#[test]
fn a_page_wins_over_a_term_and_a_term_over_a_run() {
    let home = Home::new();
    assert!(home.good("explain timed-out").starts_with("# timed-out: "));
    let term = home.command("explain").arg("retry budget").output().expect("it runs");
    assert!(String::from_utf8_lossy(&term.stdout).starts_with("## retry budget"));
    assert!(!home.run("explain last").status.success(), "no run is recorded");
}
