//! docs/reference.md is made from the command line itself. `MESHY_BLESS=1 cargo test --test reference` writes it again.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};
use meshy::cli::Cli;

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

fn flag(arg: &Arg) -> String {
    let mut name = match (arg.get_short(), arg.get_long()) {
        (_, None) => {
            return format!("`{}`", arg.get_value_names().map_or(arg.get_id().as_str(), |n| n[0].as_str()));
        }
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}"),
        (None, Some(long)) => format!("`--{long}"),
    };
    if arg.get_action().takes_values()
        && let Some(values) = arg.get_value_names()
    {
        let _ = write!(name, " {}", values.iter().map(|v| v.as_str()).collect::<Vec<_>>().join(" "));
    }
    name.push('`');
    name
}

fn arguments<'a>(page: &mut String, args: impl Iterator<Item = &'a Arg>) {
    let args: Vec<&Arg> =
        args.filter(|a| !a.is_hide_set() && !["help", "version"].contains(&a.get_id().as_str())).collect();
    if args.is_empty() {
        return;
    }
    page.push_str("\n| flag or argument | meaning | default |\n| --- | --- | --- |\n");
    for arg in args {
        let mut meaning = cell(&arg.get_help().map(ToString::to_string).unwrap_or_default());
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
        if !values.is_empty() && arg.get_action().takes_values() {
            let _ = write!(meaning, ": {}", values.join(", "));
        }
        if let Some(env) = arg.get_env() {
            let _ = write!(meaning, " (environment: `{}`)", env.to_string_lossy());
        }
        let default: Vec<String> = match arg.get_action().takes_values() {
            true => arg.get_default_values().iter().map(|v| format!("`{}`", v.to_string_lossy())).collect(),
            false => Vec::new(),
        };
        let _ = writeln!(page, "| {} | {meaning} | {} |", flag(arg), default.join(", "));
    }
}

fn command(page: &mut String, path: &str, command: &Command) {
    let path = format!("{path} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "\n## `{}`\n\n{}.", path.trim(), cell(&about).trim_end_matches('.'));
    arguments(page, command.get_arguments().filter(|a| !a.is_global_set()));
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        self::command(page, &path, sub);
    }
}

#[test]
fn the_reference_page_says_what_the_command_line_takes() {
    let mut cli = Cli::command();
    cli.build();
    let mut page = String::from(
        "# Reference\n\nMade from the code by `tests/reference.rs`. The global flags except `--config` can also be set in `meshy.yaml`, by their names; so can `program` and `stub` of `meshy up`.\n\n## Global flags\n",
    );
    arguments(&mut page, cli.get_arguments());
    for sub in cli.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        command(&mut page, "meshy", sub);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    if std::env::var_os("MESHY_BLESS").is_some() {
        std::fs::write(&file, &page).expect("a writable page");
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    let first = page.lines().zip(written.lines()).position(|(a, b)| a != b);
    assert!(
        page == written,
        "docs/reference.md is not what the code says (line {:?}); make it again with MESHY_BLESS=1",
        first.map(|n| n + 1)
    );
}

/// The examples in a command's help, and in those of its parts.
fn without_examples(path: &str, command: &Command, bare: &mut Vec<String>) {
    let path = format!("{path} {}", command.get_name());
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples: Vec<&str> = help.lines().map(str::trim).filter(|line| line.contains("meshy ")).collect();
    if examples.len() < 2 {
        bare.push(path.clone());
    }
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        without_examples(&path, sub, bare);
    }
}

#[test]
fn the_help_of_every_command_has_two_examples() {
    let cli = Cli::command();
    let mut bare = Vec::new();
    for sub in cli.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        without_examples("meshy", sub, &mut bare);
    }
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn the_long_version_names_what_meshy_installs() {
    let version = Cli::command().render_long_version();
    for image in ["ingress-nginx/controller:", "linkerd/proxy:", "linkerd/controller:"] {
        assert!(version.contains(image), "{version}");
    }
}
