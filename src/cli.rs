//! The command line: global flags and one variant per verb. Each verb's own flags stand next to its code.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

use meshy_base::duration;

use crate::args::Global;
use crate::commands;

mod candidates;
mod dispatch;
mod removed;

pub use candidates::with_candidates;
pub use dispatch::run;
pub use removed::parse;

/// A resilience lab for service meshes.
///
/// Creates a cluster with a mesh, deploys services that fail on purpose, switches retries on and shows with
/// numbers what that did to each request, what it cost and why.
#[derive(Debug, Parser)]
#[command(
    name = "meshy",
    version,
    long_version = long_version(),
    propagate_version = true,
    infer_subcommands = false,
    subcommand_required = false,
    // Grouped by what one wants to do; clap lists commands by name only.
    override_help = include_str!("cli/help.txt")
)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command; without it meshy lists the labs and the next steps.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print an overlay as YAML, as kustomize does
    Build(commands::build::Args),
    /// Check cluster, control plane, certificates and proxies
    Check(commands::check::Args),
    /// Create only the cluster
    Cluster(commands::cluster::Args),
    /// Print a shell's completion script
    Completions(commands::completions::Args),
    /// Show a run or a lab as a live page in the browser
    Dashboard(commands::dashboard::Args),
    /// Deploy or delete overlays and wait until it is done
    Deploy(commands::deploy::Args),
    /// Delete a lab and everything it created
    Down(commands::down::Args),
    /// Write files that meshy ships, or files for other tools
    Export(commands::export::Args),
    /// Add or remove proxies and verify the result
    Inject(commands::inject::Args),
    /// Install one add-on and verify that it works
    Install(commands::install::Args),
    /// Run an embedded lab's cluster
    #[command(hide = true)]
    InternalServe(commands::internal_serve::Args),
    /// Find policies without the intended effect
    Lint(commands::lint::Args),
    /// Show, apply or delete policies; translate a profile
    Policy(commands::policy::Args),
    /// Forward a local port to a pod
    PortForward(commands::port_forward::Args),
    /// Copy an image into the private registry
    Push(commands::push::Args),
    /// Create only the private registry
    Registry(commands::registry::Args),
    /// Apply or delete retry annotations of a Service or route
    Retry(commands::retry::Args),
    /// Apply, delete or show ServiceProfiles
    Sp(commands::sp::Args),
    /// Split a service's traffic by weight
    Split(commands::split::Args),
    /// Start a stopped lab
    Start(commands::start::Args),
    /// Show the lab's state, and what repairs it
    Status(commands::status::Args),
    /// Stop a lab and keep its objects
    Stop(commands::stop::Args),
    /// Run the guided demo: failures, retries on and off
    Demo(commands::demo::Args),
    /// Run a scenario: policies, faults, load, expectations
    Run(commands::run::Args),
    /// Send load at a fixed rate and show what clients saw
    Traffic(commands::traffic::Args),
    /// Change how a running test service fails
    Fault(commands::fault::Args),
    /// Show success, rate and latency of workloads
    Stat(commands::stat::Args),
    /// Show requests and attempts of a service's routes
    Routes(commands::routes::Args),
    /// Show calls between services, with rate and success
    Graph(commands::graph::Args),
    /// Show the outcomes of requests and what retries cost
    Outcomes(commands::outcomes::Args),
    /// Explain a recorded run, an error, a finding or a term
    Explain(commands::explain::Args),
    /// Predict what a retry policy will do
    Predict(commands::predict::Args),
    /// Predict or measure a range of policy values
    Sweep(commands::sweep::Args),
    /// Write, compare or list recorded runs
    Report(commands::report::Args),
    /// Create a lab, or complete one
    Up(commands::up::Args),
}

impl Command {
    /// Returns how long the command sends load or watches by its flags, in addition to its waits.
    pub fn planned(&self) -> Duration {
        match self {
            Self::Demo(_) => commands::demo::LENGTH,
            Self::Graph(args) => args.planned(),
            Self::Outcomes(args) => args.planned(),
            Self::Policy(args) => args.planned(),
            Self::Predict(args) => args.planned(),
            Self::Routes(args) => args.planned(),
            Self::Run(args) => args.planned(),
            Self::Sp(args) => args.planned(),
            Self::Stat(args) => args.planned(),
            Self::Sweep(args) => args.planned(),
            Self::Traffic(args) => args.planned(),
            _ => Duration::ZERO,
        }
    }
}

/// Returns the command line as it is parsed: the help of a command shows its examples first, and leaves the global flags to
/// `meshy --help`.
pub fn command() -> clap::Command {
    let hidden = |arg: clap::Arg| {
        let hide = arg.is_global_set();
        arg.hide_short_help(hide).hide_long_help(hide)
    };
    examples_first(Cli::command().mut_args(hidden))
}

fn examples_first(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |one| examples_first(one.help_template(TEMPLATE)))
    })
}

/// The help of a command.
const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}\n\n\
                        Global options, such as --name, --context and --output: see `meshy --help`";

/// The version of meshy and of what it installs.
fn long_version() -> String {
    let installed = meshy_lab::addons::images::needed(&meshy_lab::addons::Options::default());
    let lines: Vec<String> =
        installed.iter().map(|image| format!("\n{}  {}", image.used_by, image.name)).collect();
    format!("{}\n\ninstalls:{}", env!("CARGO_PKG_VERSION"), lines.concat())
}

/// Returns the name of the subcommand on this program's command line; empty without one.
pub fn verb() -> String {
    let cli = Cli::command();
    let mut words = std::env::args_os().skip(1).filter_map(|word| word.into_string().ok());
    words.find(|word| cli.find_subcommand(word).is_some()).unwrap_or_default()
}

/// `--timeout DURATION` of a command line that clap has not read yet. One that is not valid is left to clap.
pub fn given_timeout(args: &[OsString]) -> Option<Duration> {
    let words = args.iter().map(|arg| arg.to_str().unwrap_or_default()).take_while(|arg| *arg != "--");
    let mut words = words.skip_while(|word| *word != "--timeout" && !word.starts_with("--timeout="));
    let first = words.next()?;
    let value = first.strip_prefix("--timeout=").or_else(|| words.next())?;
    duration::parse(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str = include_str!("cli/help.txt");

    fn has_word(word: &str) -> bool {
        HELP.split(|c: char| !(c.is_alphanumeric() || c == '-')).any(|w| w == word)
    }

    #[test]
    fn the_help_fits_one_screen_and_names_every_command_and_flag() {
        assert!(HELP.lines().count() <= 48, "{} lines", HELP.lines().count());
        assert!(HELP.lines().all(|l| l.chars().count() <= 100));
        let command = Cli::command();
        for verb in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(has_word(verb.get_name()), "`{}` is missing", verb.get_name());
        }
        for flag in command.get_arguments().filter_map(|a| a.get_long()) {
            assert!(has_word(&format!("--{flag}")), "`--{flag}` is missing");
        }
    }

    /// The commands of `meshy --help`, in its groups. A command more must have a place there.
    const GROUPS: [(&str, &[&str]); 7] = [
        ("Start", &["demo", "run", "up", "status", "start", "stop", "down"]),
        ("Parts", &["cluster", "registry", "install"]),
        ("Services", &["deploy", "build", "push", "fault", "port-forward"]),
        ("Mesh", &["inject", "sp", "retry", "split", "policy", "check", "lint"]),
        ("Measure", &["traffic", "outcomes", "stat", "routes", "graph", "dashboard"]),
        ("Understand", &["predict", "sweep", "explain", "report"]),
        ("Files", &["export", "completions"]),
    ];

    #[test]
    fn the_help_lists_at_most_34_commands_in_groups() {
        let listed: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name);
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(listed.clone()), sorted(shown.collect()));
        assert!(listed.len() <= 34, "{} commands", listed.len());
        // Each group begins at the margin, and its names stand between its title and the next one.
        let titles: Vec<&str> = GROUPS.iter().map(|(title, _)| *title).chain(["Options"]).collect();
        for ((title, names), next) in GROUPS.iter().zip(&titles[1..]) {
            let from = HELP.find(&format!("\n{title}")).unwrap_or_else(|| panic!("no group `{title}`"));
            let text = &HELP[from..];
            let text = &text[..text.find(&format!("\n{next}")).unwrap_or_else(|| panic!("no `{next}`"))];
            let words: Vec<&str> = text.split(|c: char| !(c.is_alphanumeric() || c == '-')).collect();
            names.iter().for_each(|name| assert!(words.contains(name), "`{name}` is not in group `{title}`"));
        }
    }

    #[test]
    fn the_long_version_names_what_is_installed() {
        let version = Cli::command().render_long_version();
        for part in ["installs:", "ingress-nginx", "linkerd"] {
            assert!(version.contains(part), "{part} is missing: {version}");
        }
    }

    #[test]
    fn the_timeout_is_found_before_the_command_line_is_parsed() {
        let given = |line: &str| given_timeout(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(given("meshy up --timeout 2s"), Some(Duration::from_secs(2)));
        assert_eq!(given("meshy --timeout=1m up"), Some(Duration::from_secs(60)));
        for line in ["meshy up", "meshy up --timeout", "meshy up --timeout x", "meshy up -- --timeout 2s"] {
            assert_eq!(given(line), None, "{line}");
        }
    }

    #[test]
    fn a_load_of_an_hour_has_more_time_than_an_hour() {
        let planned = |line: &str| Cli::parse_from(line.split(' ')).command.map(|c| c.planned().as_secs());
        assert_eq!(planned("meshy traffic --duration 1h"), Some(3600));
        assert_eq!(planned("meshy sp apply --measure 30s"), Some(60));
        assert_eq!(planned("meshy sweep rate 1,2,3 --measured --duration 1m"), Some(3 * 120));
        assert_eq!(planned("meshy sweep rate 1,2,3"), Some(0));
        assert_eq!(planned("meshy stat --window 20s"), Some(20));
        assert_eq!(planned("meshy status"), Some(0));
    }

    #[test]
    fn the_parser_is_consistent_and_each_verb_shows_two_examples() {
        Cli::command().debug_assert();
        for verb in Cli::command().get_subcommands().filter(|c| !c.is_hide_set()) {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help
                .lines()
                .filter(|l| l.trim_start().starts_with("meshy ") || l.contains("| meshy "))
                .count();
            assert!(examples >= 2, "`{}` shows {examples} examples", verb.get_name());
        }
    }
}
