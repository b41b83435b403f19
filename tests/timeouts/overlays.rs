//! An overlay whose base is reached by 2^30 paths.

use std::fs;

use crate::home::Home;
use crate::run::{evaluate, run_all, timed};

/// 31 levels of two folders each; every folder names both of the level below.
fn diamonds(home: &Home) {
    for level in 0..=30 {
        for side in ["a", "b"] {
            let folder = home.path().join(format!("tree/{level}{side}"));
            fs::create_dir_all(&folder).expect("a folder");
            let text = match level {
                0 => "namePrefix: x-\n".to_owned(),
                _ => format!("resources: [../{0}a, ../{0}b]\nnamePrefix: {side}-\n", level - 1),
            };
            fs::write(folder.join("kustomization.yaml"), text).expect("a file");
        }
    }
}

#[test]
fn an_overlay_with_a_base_that_is_reached_by_two_to_the_thirtieth_paths_is_refused_in_time() {
    let home = Home::new();
    diamonds(&home);
    home.good("up --provider embedded");
    let lines =
        ["build ./tree/30a", "deploy ./tree/30a", "deploy --delete ./tree/30a", "up --overlay ./tree/30a"];
    let lines: Vec<&str> = (0..10).flat_map(|_| lines).collect();
    // One for each core: these runs compute and do not wait.
    let ended = run_all(&[(); 2], &lines, |(), line| {
        let mut command = home.command(&timed(line));
        command.arg("--yes");
        command
    });
    // Where one waits for the lab's lock, it names who holds it.
    let refused = ended.iter().filter(|run| run.code() == Some(2));
    let named = refused.filter(|run| run.stderr.contains("more than 5000 kustomizations")).count();
    assert!(named >= 20, "{ended:?}");
    evaluate("2^30 diamonds", &ended, &["is still at work on lab", "building overlay"]);
    home.good("status");
}
