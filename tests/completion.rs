//! Tab completion knows what there is: asked as a shell's script asks.

use std::process::Command;
use std::time::{Duration, Instant};

#[path = "support/home.rs"]
mod home;

use home::Home;

/// What bash would offer after these words; the last one is being typed.
fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    let output = home
        .command("")
        .env("COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "true")
        .env("_CLAP_IFS", "\n")
        .args(["--", "meshy"])
        .args(words)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn tab_completion_knows_labs_overlays_pages_and_targets() {
    let home = Home::new();
    assert_eq!(offered(&home, &["deploy", "min"]), ["minimal-service", "minimal-service-v2"]);
    assert_eq!(offered(&home, &["explain", "budget-t"]), ["budget-ttl"]);
    assert!(offered(&home, &["traff"]).contains(&"traffic".to_owned()));
    home.good("up --provider embedded --name train");
    assert_eq!(offered(&home, &["status", "--name", "tr"]), ["train"]);
    home.good("up --provider embedded");
    assert_eq!(offered(&home, &["inject", "deploy/m"]), ["deploy/minimal-service"]);
    assert_eq!(offered(&home, &["outcomes", "b"]), ["bounced-service"]);
}

#[test]
fn tab_completion_waits_for_no_file_of_a_lab() {
    let home = Home::new();
    home.good("up --provider embedded");
    let (file, aside) = (home.kubeconfig(), home.path().join("aside"));
    std::fs::rename(&file, &aside).expect("a kubeconfig");
    assert!(Command::new("mkfifo").arg(&file).status().expect("mkfifo runs").success());
    let begun = Instant::now();
    assert_eq!(offered(&home, &["outcomes", "b"]), ["bounced-service"], "the shipped services");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    std::fs::rename(&aside, &file).expect("the kubeconfig");
}

#[test]
fn the_script_of_each_shell_asks_the_program() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(home.good(&format!("completions {shell}")).contains("COMPLETE"), "{shell}");
    }
}
