//! A disk that is full and a home that cannot be written: old files stay, the message names the path.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::home::Home;

/// `meshy LINE` where no file can grow beyond `blocks` of 512 bytes, as on a full disk.
fn cramped(home: &Home, line: &str, blocks: u32) -> std::process::Output {
    // Ignored, the signal of the limit becomes an error of the write.
    home.through_shell(&format!("trap '' XFSZ; ulimit -f {blocks}"), line).output().expect("a shell")
}

#[test]
fn a_full_disk_is_named_and_leaves_the_kubeconfig_as_it_was() {
    let home = Home::new();
    let text = format!("# {}\nkind: Config\n", "x".repeat(2000));
    fs::create_dir(home.path().join(".kube")).expect("a folder");
    fs::write(home.kubeconfig(), &text).expect("a kubeconfig");
    for blocks in [0, 1, 2, 3, 4] {
        let output = cramped(&home, "up --provider embedded", blocks);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{blocks} blocks were enough?\n{talk}");
        assert!(output.status.code().is_some(), "{blocks} blocks: {}\n{talk}", output.status);
        assert!(talk.contains(&*home.path().to_string_lossy()), "{blocks} blocks: no path in\n{talk}");
        assert!(!talk.contains("panicked"), "{talk}");
        assert_eq!(fs::read_to_string(home.kubeconfig()).expect("it is there"), text, "{blocks} blocks");
        let left: Vec<_> = fs::read_dir(home.path().join(".kube")).expect("it is there").flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }
    home.good("up --provider embedded");
    home.good("down --yes");
    assert!(fs::read_to_string(home.kubeconfig()).expect("it is there").starts_with(&text));
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let home = Home::new();
    let output = home.command("up --provider embedded").env("HOME", "/dev/null").output().expect("it starts");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains("/dev/null"), "{talk}");
}

#[test]
fn a_down_on_a_full_disk_removes_the_state_first_and_the_next_one_completes_it() {
    let home = Home::new();
    // The cluster's process inherits that the signal is ignored.
    let mut up = home.through_shell("trap '' XFSZ", "up --provider embedded");
    assert!(up.status().expect("a shell").success());
    let [cluster] = home.processes()[..] else { panic!("one process") };
    let pid = i32::try_from(cluster).ok().and_then(Pid::from_raw);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    prlimit(pid, Resource::Fsize, none).expect("its limit can be set");
    let before = fs::read_to_string(home.kubeconfig()).expect("it is there");

    let output = cramped(&home, "down --yes", 0);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    assert!(talk.contains(&*home.path().to_string_lossy()), "no path in\n{talk}");
    assert!(talk.contains("run `meshy down --name meshy` again"), "{talk}");
    assert_eq!(home.processes(), Vec::<u32>::new(), "the process is left");
    let mut left: Vec<_> =
        fs::read_dir(home.lab("meshy")).expect("it is there").flatten().map(|f| f.file_name()).collect();
    left.retain(|file| file != "kubeconfig-lock");
    left.sort();
    assert_eq!(left, ["kubeconfig-entry", "lab.json", "lock"], "what the next run needs");
    assert_eq!(fs::read_to_string(home.kubeconfig()).expect("it is there"), before);

    home.good("down --yes");
    assert!(!home.lab("meshy").exists());
    // `up` created the kubeconfig and its folder.
    assert!(!home.path().join(".kube").exists(), "the kubeconfig or its lock is left");
}
