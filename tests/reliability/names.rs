//! The name of a lab: what is not a DNS label is refused before any file is touched, wherever it is given.

use std::fs;
use std::process::Output;

use crate::home::Home;
use crate::tree::{difference, tree};

/// Names that would lead out of the lab's folder, and others that are not DNS labels.
const BAD: &[&str] =
    &["", ".", "..", "../meshy", "victim/../victim", "bad name!", "Lab", "a.b", "-a", "a-", "é"];

/// A home with what a user would miss.
fn home() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path().join("work/important")).expect("a folder");
    fs::write(home.path().join("work/important/thesis.txt"), "years").expect("a file");
    fs::create_dir_all(home.lab("victim")).expect("a folder");
    fs::write(home.lab("victim").join("lab.json"), "{}").expect("a file");
    home
}

fn refused(home: &Home, what: &str, run: impl FnOnce() -> Output) {
    let before = tree(home.path(), None);
    let output = run();
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{what}: {talk}");
    assert!(talk.contains("expected 1 to 53 lower-case letters"), "{what}: {talk}");
    let changed = difference(&before, &tree(home.path(), None));
    assert!(changed.is_empty(), "{what} changed {changed:#?}");
}

#[test]
fn a_bad_name_ends_with_2_before_any_file_is_touched() {
    let home = home();
    let work = home.path().join("work").display().to_string();
    let long = "a".repeat(54);
    for command in ["down", "up", "start", "stop", "status", "deploy", "internal-serve"] {
        for bad in BAD.iter().copied().chain([work.as_str(), long.as_str()]) {
            refused(&home, &format!("{command} --name={bad}"), || {
                home.command(command).arg(format!("--name={bad}")).output().expect("it starts")
            });
        }
    }
}

#[test]
fn a_bad_name_in_the_environment_or_in_a_file_is_refused_as_well() {
    let home = home();
    for bad in BAD {
        refused(&home, &format!("MESHY_NAME={bad}"), || {
            home.command("down").env("MESHY_NAME", bad).output().expect("it starts")
        });
    }
    let file = home.path().join("meshy.yaml");
    for bad in BAD {
        fs::write(&file, format!("name: \"{bad}\"\n")).expect("a file");
        refused(&home, &format!("name: {bad}"), || home.run("down"));
    }
    rustix::fs::unlink(&file).expect("it is there");
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).expect("a FIFO");
    let output = home.run("down --name x");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && talk.contains("found a FIFO"), "{talk}");
}

/// Earlier versions accepted such names. No command of this version removes such a lab, so the error says what to remove by hand.
#[test]
fn the_error_about_a_name_of_an_earlier_version_names_the_folder_of_its_lab() {
    let home = Home::new();
    let old = home.lab("Bad Name");
    fs::create_dir_all(&old).expect("a folder");
    let record = include_str!("../fixtures/lab-c3662c0.json").replace("\"meshy\"", "\"Bad Name\"");
    fs::write(old.join("lab.json"), record).expect("a file");
    let advice = format!("{} is the folder of a lab of an earlier version", old.display());
    let file = home.path().join("meshy.yaml");
    let down = |name: &str| home.command("down").arg(format!("--name={name}")).output().expect("it starts");
    let advised = |what: &str, run: &dyn Fn() -> Output| {
        refused(&home, what, run);
        let talk = String::from_utf8_lossy(&run().stderr).into_owned();
        assert!(talk.contains(&advice) && talk.contains("delete the lab's cluster"), "{what}: {talk}");
    };
    advised("the flag", &|| down("Bad Name"));
    advised("the variable", &|| {
        home.command("down").env("MESHY_NAME", "Bad Name").output().expect("it starts")
    });
    fs::write(&file, "name: Bad Name\n").expect("a file");
    advised("the file", &|| home.run("down"));
    fs::remove_file(&file).expect("it is there");

    fs::write(home.lab("A file"), "").expect("a file");
    for other in ["bad name", "Bad Name ", "Bad Name/", "A file", "..", "."] {
        let talk = String::from_utf8_lossy(&down(other).stderr).into_owned();
        assert!(!talk.contains("an earlier version"), "{other}: {talk}");
    }
}

#[test]
fn commands_on_a_lab_that_is_not_there_leave_nothing() {
    for line in ["start", "stop", "down", "deploy", "deploy --delete", "status"] {
        let home = Home::new();
        let output = home.run(line);
        let left = tree(home.path(), None);
        assert!(left.is_empty(), "`meshy {line}` ended with {} and left {left:#?}", output.status);
    }
}

/// `status` needs a lab of that name and fails with the same error; `meshy` alone lists them.
#[test]
fn the_hint_of_a_lab_that_is_not_there_lists_the_labs() {
    let home = Home::new();
    fs::create_dir_all(home.lab("meshy")).expect("a folder");
    fs::write(home.lab("meshy").join("lab.json"), include_str!("../fixtures/lab-c3662c0.json"))
        .expect("a file");
    let output = home.run("status --name other");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && talk.contains("`meshy` lists the labs"), "{talk}");
    assert!(home.good("").contains("context `embedded-meshy`"));
}
