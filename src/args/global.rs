//! Flags that every command takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use meshy_base::duration;

use meshy_lab::lab::LabName;

/// How data is printed on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text and tables for people.
    #[default]
    Text,
    /// One JSON document at the end.
    Json,
    /// The language of Graphviz.
    Dot,
    /// Mermaid, for Markdown pages.
    Mermaid,
    /// A picture for web pages.
    Svg,
    /// Annotations of files in GitHub Actions.
    Github,
}

impl Output {
    /// Returns a parser of the forms that every command has.
    fn of_every_command() -> impl TypedValueParser<Value = Self> {
        Self::parser(&[])
    }

    /// Returns a parser of the forms of a call graph.
    pub(crate) fn of_graphs() -> impl TypedValueParser<Value = Self> {
        Self::parser(&[Self::Dot, Self::Mermaid, Self::Svg])
    }

    /// Returns a parser of the forms of findings.
    pub(crate) fn of_findings() -> impl TypedValueParser<Value = Self> {
        Self::parser(&[Self::Github])
    }

    fn parser(others: &[Self]) -> impl TypedValueParser<Value = Self> + use<> {
        let all: Vec<_> =
            [Self::Text, Self::Json].iter().chain(others).filter_map(Self::to_possible_value).collect();
        PossibleValuesParser::new(all).try_map(|name| Self::from_str(&name, false))
    }
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether stderr is coloured.
    pub fn on_stderr(self) -> bool {
        match self {
            Self::Auto => crate::ui::has_colors_on_stderr(),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// Where the cluster comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProviderChoice {
    /// KinD if an engine, the docker program and kind respond, else embedded.
    #[default]
    Auto,
    /// Kubernetes in Docker.
    Kind,
    /// A cluster that is there already (`--context`).
    Existing,
    /// The embedded cluster in this program.
    Embedded,
}

/// The global flags.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The lab's name, a DNS label of at most 53 characters [default: the only lab, else meshy; for up, cluster, registry, demo and down always meshy]
    #[arg(long, global = true, env = "MESHY_NAME", hide_env = true, value_name = "NAME")]
    pub name: Option<LabName>,
    /// Where the cluster comes from
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = false)]
    pub provider: ProviderChoice,
    /// A context of the kubeconfig: act on that cluster instead of the lab's own
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,
    /// The kubeconfig to use instead of the user's
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A meshy.yaml to read instead of the current folder's
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The time limit of the whole command [default: 10m, plus the time for which the command sends load or watches requests]
    #[arg(long, global = true, value_parser = duration::parse, value_name = "DURATION")]
    pub timeout: Option<Duration>,
    /// How data is printed on stdout
    #[arg(long, short, global = true, value_parser = Output::of_every_command(), default_value = "text")]
    pub output: Output,
    /// Write events to a file, or to stdout with `-`: one JSON document per line
    #[arg(long, global = true, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Answer yes to every question
    #[arg(long, global = true)]
    pub yes: bool,
    /// Show more detail; twice for everything
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t)]
    pub color: Color,
    /// Show what would be done and change nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
}
