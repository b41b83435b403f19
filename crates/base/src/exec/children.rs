//! The processes that this one has started, and what they have started: ended before a run that is out of time ends.

use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process};

/// How often new processes are looked for. One that is stopped starts no others, so twice is enough unless a user is
/// fighting for life.
const ROUNDS: usize = 10;

/// A process of this machine.
#[derive(Clone, Copy, Debug)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

/// Kills all of this process. One in a separate group was meant to stay, such as the cluster of an embedded lab.
pub fn end() {
    end_below(own(getpid()), Vec::new());
}

/// Kills all that this process has started, in any group. With a subreaper, also what has left its parent.
pub(super) fn end_in_all_groups() {
    end_found(Vec::new(), || {
        let all: Vec<Process> =
            processes().into_iter().map(|process| Process { group: 0, ..process }).collect();
        descendants(&all, own(getpid()), 0)
    });
}

/// Kills the processes that were started with a variable whose value is accepted. Those of other users cannot be read.
#[cfg(target_os = "linux")]
pub(super) fn end_marked(variable: &str, accepts: impl Fn(&str) -> bool) {
    let is_marked = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let mut variables =
            environment.split(|byte| *byte == 0).filter_map(|item| std::str::from_utf8(item).ok());
        variables
            .any(|item| item.split_once('=').is_some_and(|(name, value)| name == variable && accepts(value)))
    };
    end_found(Vec::new(), || processes().iter().map(|process| process.pid).filter(is_marked).collect());
}

/// Without /proc the environment of a process cannot be read.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_marked(_variable: &str, _accepts: impl Fn(&str) -> bool) {}

/// A program that was started: killed with all that it has started when this is dropped before its end.
pub struct Tree(Option<u32>);

impl Tree {
    /// The program with this number; none has ended already.
    pub fn of(pid: Option<u32>) -> Self {
        Self(pid)
    }

    /// It has ended.
    pub fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let Some(pid) = self.0.and_then(|pid| i32::try_from(pid).ok()) else { return };
        // Not a stranger that has got the number of one that has ended.
        if processes().iter().any(|process| process.pid == pid && process.parent == own(getpid())) {
            send(pid, Signal::STOP);
            end_below(pid, vec![pid]);
        }
    }
}

/// Kills the processes below `root`, and those that are stopped already.
fn end_below(root: i32, stopped: Vec<i32>) {
    end_found(stopped, || descendants(&processes(), root, own(getpgrp())));
}

/// Kills what is found, also what appears meanwhile, and those that are stopped already.
fn end_found(mut stopped: Vec<i32>, find: impl Fn() -> Vec<i32>) {
    for _ in 0..ROUNDS {
        let new: Vec<i32> = find().into_iter().filter(|pid| !stopped.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        // First stopped, so that none starts another one while the others are being killed.
        new.iter().for_each(|pid| send(*pid, Signal::STOP));
        stopped.extend(new);
    }
    stopped.into_iter().for_each(|pid| send(pid, Signal::KILL));
}

fn own(pid: Pid) -> i32 {
    pid.as_raw_nonzero().get()
}

fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // One that has ended meanwhile needs no signal.
        let _ = kill_process(pid, signal);
    }
}

/// The processes below `root` that are in its group, at any depth.
fn descendants(all: &[Process], root: i32, group: i32) -> Vec<i32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let below = all.iter().filter(|p| p.parent == parent && p.group == group && !found.contains(&p.pid));
        let below: Vec<i32> = below.map(|p| p.pid).collect();
        found.extend(below);
        next += 1;
    }
    found.split_off(1)
}

#[cfg(target_os = "linux")]
fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| of_stat(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

/// Reads a line of `/proc/PID/stat`: `PID (NAME) STATE PARENT GROUP …`, where a name may hold spaces and parentheses. A
/// process that has ended and is not waited for yet (`Z`) needs no signal.
#[cfg(target_os = "linux")]
fn of_stat(pid: i32, line: &str) -> Option<Process> {
    let mut words = line[line.rfind(')')? + 1..].split_whitespace();
    let alive = words.next()? != "Z";
    let (parent, group) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    alive.then_some(Process { pid, parent, group })
}

#[cfg(not(target_os = "linux"))]
fn processes() -> Vec<Process> {
    let listed = std::process::Command::new("ps").args(["-A", "-o", "pid=,ppid=,pgid="]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let process = |line: &str| {
        let mut words = line.split_whitespace().map_while(|word| word.parse().ok());
        Some(Process { pid: words.next()?, parent: words.next()?, group: words.next()? })
    };
    text.lines().filter_map(process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_at_any_depth_are_found_except_in_other_groups() {
        let process = |(pid, parent, group)| Process { pid, parent, group };
        let all =
            [(1, 0, 1), (10, 1, 10), (11, 10, 10), (12, 11, 10), (13, 10, 13), (14, 13, 13), (20, 1, 10)];
        assert_eq!(descendants(&all.map(process), 10, 10), [11, 12]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_with_an_odd_name_is_read_and_a_dead_one_left_out() {
        let found = of_stat(7, "7 (a) b) S 3 5 5 0 -1").map(|p| (p.pid, p.parent, p.group));
        assert_eq!(found, Some((7, 3, 5)));
        assert!(of_stat(7, "7 (a) Z 3 5 5 0 -1").is_none());
    }
}
