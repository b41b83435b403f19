//! The command lines that the tests run.

use clap::CommandFactory as _;
use meshy::cli::Cli;

/// Each command at least once, as it has the most to wait for. `{folder}` is a folder of the run's own.
pub(crate) const ALL: [&str; 63] = [
    "",
    "build minimal-service",
    "check --certs",
    "check",
    "check --wait",
    "cluster",
    "dashboard --no-open",
    "completions bash",
    "demo --fast",
    "deploy",
    "deploy --no-wait bounced-service",
    "check --machine",
    "down",
    "explain",
    "outcomes",
    "fault",
    "fault 70",
    "graph",
    "export files --list",
    "export prometheus --discover",
    "up --images",
    "install linkerd",
    "inject",
    "inject deploy/minimal-service",
    "lint",
    "port-forward deploy/minimal-service 0:9090",
    "predict --from-cluster",
    "push {folder}/image",
    "registry",
    "report --out {folder}/report.html",
    "retry apply",
    "retry delete",
    "retry show",
    "routes",
    "run --list",
    "policy show bounced-service",
    "policy apply bounced-service-sp.yaml",
    "policy delete sp/bounced-service",
    "policy breakers bounced-service",
    "policy migrate bounced-service",
    "run retries --fast --on-lab",
    "report --list",
    "report last last",
    "sp apply",
    "sp delete",
    "sp show",
    "split apply",
    "split delete",
    "split show",
    "start",
    "stat",
    "stat --watch",
    "status",
    "stop",
    "check --bundle {folder}/bundle.tar.gz",
    "sweep rps 1,2 --measured",
    "traffic --url http://bounced-service.default.svc:9090/",
    "traffic 1s --senders 1 --url http://bounced-service.default.svc:9090/",
    "traffic --cleanup",
    "graph --watch",
    "deploy --delete",
    "inject --remove",
    "up --image example.org/service:1",
];

/// Those that run ten times.
pub(crate) const TEN: [&str; 10] = [
    "check --certs",
    "check",
    "deploy",
    "fault",
    "inject",
    "lint",
    "routes",
    "sp apply",
    "stat",
    "deploy --delete",
];

/// Everything that one test runs, those that run ten times in turn.
pub(crate) fn all_once_and_ten_ten_times() -> Vec<&'static str> {
    let ten = (0..10).flat_map(|_| TEN);
    ALL.into_iter().chain(ten).collect()
}

/// Whether a command does all that it has to do without the cluster, as far as it is not there.
pub(crate) fn needs_the_api(line: &str) -> bool {
    const WITHOUT: [&str; 19] = [
        "build",
        "check --bundle",
        "check --machine",
        "cluster",
        "completions",
        "demo",
        "down",
        "explain",
        "export",
        "install",
        "push",
        "registry",
        "report",
        "run",
        "start",
        "status",
        "stop",
        "sweep",
        "up",
    ];
    let is =
        |name: &str| line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    !line.is_empty() && !WITHOUT.into_iter().any(is)
}

/// The words of each command without flags, those of `policy show` for example.
fn names(command: &clap::Command, before: &str) -> Vec<String> {
    let of = |command: &clap::Command| format!("{before} {}", command.get_name()).trim().to_owned();
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible
        .flat_map(|command| match command.is_subcommand_required_set() {
            true => names(command, &of(command)),
            false => vec![of(command)],
        })
        .collect()
}

#[test]
fn the_lines_name_every_command() {
    let names = names(&Cli::command(), "");
    let is_of = |line: &str, name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let missing: Vec<&String> =
        names.iter().filter(|name| !ALL.iter().any(|line| is_of(line, name))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(names.iter().any(|name| name == "policy breakers"), "{names:?}");
    assert!(TEN.iter().all(|line| ALL.contains(line) && needs_the_api(line)));
}
