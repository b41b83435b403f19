//! Which lab a command means without `--name`.

use std::time::{Duration, SystemTime};

use crate::home::Home;

fn words(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_only_lab_is_meant_by_commands_that_use_one_and_never_by_down() {
    let home = Home::new();
    let up = home.good("up --provider embedded --name ux1");
    assert!(up.contains("meshy traffic --name ux1"), "{up}");
    assert!(home.good("status").contains("lab `ux1`"));
    home.good("traffic 1s --rate 5");
    let listed = home.good("");
    assert!(listed.contains("meshy traffic ") && listed.contains("meshy down --name ux1"), "{listed}");

    let kept = home.good("down --yes");
    assert!(kept.contains("nothing removed") && kept.contains("--name ux1"), "{kept}");
    assert!(home.good("status").contains("lab `ux1`"), "down removed a lab that was not named");

    home.good("up --provider embedded --name ux2");
    for line in ["status", "stat", "traffic 1s", "stop"] {
        let refused = home.run(line);
        let text = words(&refused);
        assert_eq!(refused.status.code(), Some(3), "`{line}`: {text}");
        assert!(text.contains("there are: `ux1`, `ux2`"), "`{line}`: {text}");
        assert!(!text.contains("meshy status` shows"), "`{line}` names a command that lists no labs: {text}");
    }
}

#[test]
fn without_a_lab_the_error_names_the_command_that_creates_one() {
    let home = Home::new();
    for line in ["status", "stat", "traffic 1s"] {
        let refused = home.run(line);
        let text = words(&refused);
        assert_eq!(refused.status.code(), Some(3), "`{line}`: {text}");
        assert!(
            text.contains("there is no lab `meshy`") && text.contains("`meshy up` creates one"),
            "{text}"
        );
    }
}

#[test]
fn a_lab_that_was_stopped_starts_again_without_reporting_a_crash() {
    let home = Home::new();
    home.good("up --provider embedded");
    let made = SystemTime::now();
    home.good("stop");
    let started = home.run("start");
    let text = words(&started);
    assert!(started.status.success(), "{text}");
    assert!(text.contains("started again") && !text.contains("gone"), "{text}");
    // A second `up` has nothing to do. Kubernetes records in whole seconds when a manager changed an object, so what was changed
    // within the same second counts as changed.
    let next_second = Duration::from_secs(1).saturating_sub(made.elapsed().unwrap_or_default());
    std::thread::sleep(next_second);
    let again = home.run("up");
    assert!(!words(&again).contains(" changed"), "{}", words(&again));
}
