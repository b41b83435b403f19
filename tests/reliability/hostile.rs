//! `down`, `up` and `start` under random names, records, lab folders and kubeconfigs: nothing outside the lab's folder and its
//! kubeconfig entries changes. `MESHY_SEED=N` repeats a run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};

use crate::home::Home;
use crate::tree::{difference, tree};

mod make;

use make::kubeconfig;

/// How many cases are tried, by how many homes at once.
const CASES: usize = 200;
const HOMES: usize = 8;

/// How many must have done what was requested, and how many must have been refused: otherwise the cases are too odd, or too
/// plain, to prove something.
const AT_LEAST: usize = 50;

/// How long one command may take, on a machine that does much else.
const LONGEST: Duration = Duration::from_secs(30);

type State = BTreeMap<PathBuf, String>;

#[derive(Debug, Default)]
struct Tally {
    ran: usize,
    refused: usize,
    commands: BTreeMap<String, usize>,
}

#[test]
fn two_hundred_hostile_cases_change_nothing_that_is_not_the_labs() {
    let seed: u64 = std::env::var("MESHY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5eed);
    let begun = Instant::now();
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for home in 0..HOMES {
            let tally = &tally;
            scope.spawn(move || {
                let home_seed = seed.wrapping_mul(1000).wrapping_add(home as u64);
                let mut bench = Bench::new(StdRng::seed_from_u64(home_seed));
                for case in 0..CASES / HOMES {
                    let (ran, commands) = bench.case(&format!("MESHY_SEED={seed}, home {home}, case {case}"));
                    let mut tally = tally.lock().expect("no other home failed");
                    *if ran { &mut tally.ran } else { &mut tally.refused } += 1;
                    commands.into_iter().for_each(|ended| *tally.commands.entry(ended).or_default() += 1);
                }
                bench.end();
            });
        }
    });
    let Tally { ran, refused, commands } = tally.into_inner().expect("no home failed");
    // Past the capture of the test's output: what was tried is part of the result.
    let line = format!(
        "MESHY_SEED={seed}: {} cases: {ran} ran, {refused} were refused; {commands:?}",
        ran + refused
    );
    let _ = writeln!(std::io::stderr(), "{line}; {:.1?}", begun.elapsed());
    assert_eq!(ran + refused, CASES);
    assert!(ran >= AT_LEAST && refused >= AT_LEAST, "{ran} ran, {refused} were refused");
}

/// A home with another lab that runs and with what a user would miss, in which case after case is tried.
struct Bench {
    home: Home,
    random: StdRng,
    victim: u32,
    count: usize,
}

impl Bench {
    fn new(random: StdRng) -> Self {
        let home = Home::new();
        home.good("up --provider embedded --name victim --overlay minimal-service");
        let [victim] = home.processes()[..] else { panic!("one process") };
        let at = |path: &str| home.path().join(path);
        for folder in [
            "thesis/chapters",
            ".ssh",
            "empty",
            ".local/state/meshy/runs",
            ".local/state/meshy/labs/Not A Lab",
        ] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for (file, mode) in [
            ("thesis/thesis.txt", 0o644),
            ("thesis/chapters/one", 0o444),
            ("thesis/keys.json", 0o600),
            (".ssh/id", 0o600),
            (".local/state/meshy/runs/1.events.jsonl", 0o600),
            (".local/state/meshy/labs/Not A Lab/lab.json", 0o640),
            (".local/state/meshy/labs/file", 0o600),
        ] {
            fs::write(at(file), file).expect("a file");
            fs::set_permissions(at(file), fs::Permissions::from_mode(mode)).expect("a mode");
        }
        fs::set_permissions(at("empty"), fs::Permissions::from_mode(0o511)).expect("a mode");
        symlink("thesis/thesis.txt", at("link")).expect("a link");
        symlink("nowhere", at("dangling")).expect("a link");
        mkfifoat(CWD, at("fifo"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
        fs::write(at("second"), kubeconfig("other", "\n")).expect("a kubeconfig");
        // Each case brings its own.
        fs::remove_file(home.kubeconfig()).expect("the other lab's");
        Self { home, random, victim, count: 0 }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.random_range(0..from.len())]
    }

    /// Attempts one case; says whether one of its commands did what it was configured with, and how each ended.
    fn case(&mut self, which: &str) -> (bool, Vec<String>) {
        self.count += 1;
        let is_valid = self.random.random_bool(0.75);
        let name = if is_valid { self.good_name() } else { self.bad_name() };
        let (mut shape, mut holder) = ("no lab", None);
        if is_valid {
            (shape, holder) = self.lab(&name);
        }
        let kube = self.kubeconfig(&name);
        let given = self.pick(&["flag", "environment", "file"]);
        if given == "file" {
            fs::write(self.home.path().join("meshy.yaml"), json!({"name": name}).to_string())
                .expect("a file");
        }
        let lines = self.pick(&[
            &["down"][..],
            &["down"],
            &["up", "down"],
            &["start", "down"],
            &["up"],
            &["start"],
            &["up", "start", "down", "down"],
        ]);
        let what = format!("{which}: {name:?} by {given}, lab: {shape}, kubeconfig: {kube}, {lines:?}");
        let before = self.state(&name, is_valid);
        let mut ended = Vec::new();
        for line in lines {
            let code = self.run(line, &name, given, &what);
            assert!(is_valid || code == 2, "{what}: {line} ended with {code}");
            ended.push(format!("{line} {code}"));
        }
        self.compare(before, self.state(&name, is_valid), &name, &what);
        if let Some(mut holder) = holder {
            assert!(
                holder.try_wait().expect("it can be asked").is_none(),
                "{what}: another's program was ended"
            );
            holder.kill().expect("it runs");
            holder.wait().expect("its end");
        }
        let alive = Path::new(&format!("/proc/{}/fd/0", self.victim)).exists();
        assert!(alive, "{what}: the process of another lab was ended");
        self.clear(&name, is_valid);
        (ended.iter().any(|line| line.ends_with(" 0")), ended)
    }

    fn run(&self, line: &str, name: &str, given: &str, what: &str) -> i32 {
        let flags = if line == "up" { " --provider embedded --overlay minimal-service" } else { "" };
        let mut command = self.home.command(&format!("{line}{flags} --timeout 20s"));
        match given {
            "flag" => command.arg(format!("--name={name}")),
            "environment" => command.env("MESHY_NAME", name),
            _ => &mut command,
        };
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let pid = child.id();
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(LONGEST) else {
            crate::home::signal(pid, rustix::process::Signal::KILL);
            panic!("{what}: {line} did not end within {LONGEST:?}");
        };
        let output = output.expect("its end");
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(!talk.contains("panicked"), "{what}: {line}: {talk}");
        let code =
            output.status.code().unwrap_or_else(|| panic!("{what}: {line} ended with {}", output.status));
        assert!([0, 1, 2, 3, 4].contains(&code), "{what}: {line} ended with {code}: {talk}");
        assert!(
            code == 0 || talk.starts_with("error: ") || talk.contains("\nerror: "),
            "{what}: {line}: {talk}"
        );
        code
    }

    /// All of the home but the lab's folder, and each kubeconfig without the lab's entries.
    fn state(&self, name: &str, is_valid: bool) -> State {
        if !is_valid {
            return tree(self.home.path(), None);
        }
        let folder = self.home.lab(name);
        // A link or a file in its place is not meshy's.
        let is_labs = fs::symlink_metadata(&folder).is_ok_and(|there| there.is_dir()) || !folder.exists();
        let mut state = tree(self.home.path(), is_labs.then_some(&*folder));
        for file in [self.home.kubeconfig(), self.home.path().join("target"), self.home.path().join("second")]
        {
            let Ok(text) = fs::read_to_string(&file) else {
                state.insert(file.join("current-context"), String::new());
                state.insert(file, without_own(&Value::Null, name).to_string());
                continue;
            };
            if let Ok(config) = serde_yaml::from_str::<Value>(&text)
                && (config.is_object() || config.is_null())
            {
                let mode = fs::symlink_metadata(&file).expect("it is there").permissions().mode();
                // A new one is the user's alone; one that was there keeps its mode.
                let mode = if text.is_empty() { String::new() } else { format!("{mode:o} ") };
                let value = without_own(&config, name);
                let current = config["current-context"].as_str().unwrap_or_default();
                state.insert(file.join("current-context"), current.to_owned());
                let is_new = value == without_own(&Value::Null, name);
                state.insert(file, if is_new { value.to_string() } else { format!("{mode}{value}") });
            }
        }
        state
    }

    /// The current context may come to be the lab's, and, where it was, another one.
    fn compare(&self, mut before: State, mut after: State, name: &str, what: &str) {
        let own = format!("embedded-{name}");
        let is_own =
            |path: &PathBuf, of: &State| path.ends_with("current-context") && of.get(path) == Some(&own);
        let skipped: Vec<_> =
            before.keys().filter(|path| is_own(path, &before) || is_own(path, &after)).cloned().collect();
        for path in skipped {
            before.remove(&path);
            after.remove(&path);
        }
        let changed = difference(&before, &after);
        assert!(changed.is_empty(), "{what} changed {changed:#?}");
    }

    /// Removes all that a case made or was given.
    fn clear(&self, name: &str, is_valid: bool) {
        let _ = fs::remove_file(self.home.path().join("meshy.yaml"));
        if is_valid {
            let folder = self.home.lab(name);
            if fs::symlink_metadata(&folder).is_ok_and(|there| there.is_dir()) {
                if self.home.processes() != [self.victim] {
                    let _ = fs::remove_dir_all(folder.join("lab.json/thesis"));
                    let _ = self.home.command("down").arg(format!("--name={name}")).output();
                }
                let _ = fs::remove_dir_all(&folder);
            }
            let _ = fs::remove_file(&folder);
        }
        for file in [self.home.kubeconfig(), self.home.path().join("target")] {
            let _ = fs::remove_file(file);
        }
        let text = kubeconfig("other", "\n");
        fs::write(self.home.path().join("second"), text).expect("a kubeconfig");
    }

    fn end(self) {
        assert_eq!(self.home.processes(), [self.victim], "only the other lab's process is there");
    }
}

/// A kubeconfig without a lab's entries and the current context, which is compared apart.
fn without_own(config: &Value, name: &str) -> Value {
    let own = format!("embedded-{name}");
    let mut config = if config.is_object() { config.clone() } else { json!({}) };
    for (field, value) in [("apiVersion", "v1"), ("kind", "Config")] {
        config[field] = json!(value);
    }
    for section in ["clusters", "contexts", "users"] {
        let entries: Vec<Value> = config[section].as_array().cloned().unwrap_or_default();
        config[section] = entries.into_iter().filter(|entry| entry["name"] != own).collect();
    }
    if let Some(config) = config.as_object_mut() {
        config.remove("current-context");
    }
    config
}
