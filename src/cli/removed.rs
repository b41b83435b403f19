//! Reads the command line; names that commands and labs had before lead to what is done now.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _};

use meshy_lab::lab;

use super::{Cli, command};

/// Commands of earlier versions, and what does the same now.
const REMOVED: [(&str, &str); 11] = [
    ("certs", "check --certs"),
    ("compare", "report RUN RUN"),
    ("doctor", "check --machine"),
    ("fates", "outcomes"),
    ("files", "export files"),
    ("images", "up --images"),
    ("runs", "report --list"),
    ("support-bundle", "check --bundle"),
    ("undeploy", "deploy --delete"),
    ("uninject", "inject --remove"),
    ("versions", "--version"),
];

/// Reads the arguments, the first of which is the program's name.
///
/// # Errors
/// They are not valid; or they ask for help or the version, which is printed as clap prints it.
pub fn parse(args: Vec<OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args).map_err(with_new_place).map_err(with_old_lab)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()))
}

/// Adds the tip to the error about a command that was removed.
fn with_new_place(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if let Some((_, now)) = REMOVED.iter().find(|(removed, _)| removed == name) {
        let tip = format!("use `meshy {now}`");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::None);
    }
    error
}

/// Adds the tip to the error about a lab's name that only earlier versions accepted.
fn with_old_lab(mut error: clap::Error) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let is_name = text(ContextKind::InvalidArg).split(' ').next() == Some("--name");
    if error.kind() == ErrorKind::ValueValidation
        && is_name
        && let Some(tip) = lab::advice_on_invalid_name(text(ContextKind::InvalidValue))
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Output;

    fn refused(line: &str) -> String {
        parse(line.split(' ').map(OsString::from).collect()).unwrap_err().to_string()
    }

    #[test]
    fn a_removed_command_is_refused_with_the_one_that_does_the_same_now() {
        for (removed, now) in REMOVED {
            let text = refused(&format!("meshy {removed}"));
            assert!(text.contains(&format!("tip: use `meshy {now}`")), "{removed}: {text}");
            let words: Vec<OsString> =
                format!("meshy {now}").split(' ').take(2).map(OsString::from).collect();
            let known = command().try_get_matches_from(words).map_err(|error| error.kind());
            assert!(
                !matches!(known, Err(clap::error::ErrorKind::InvalidSubcommand)),
                "{removed}: `meshy {now}` is unknown"
            );
        }
        assert!(refused("meshy statis").contains("status"), "{}", refused("meshy statis"));
    }

    #[test]
    fn a_flag_has_one_meaning_in_every_command() {
        for line in ["meshy report -o page.html", "meshy report --output=page.html"] {
            assert!(refused(line).contains("possible values: text, json]"), "{line}");
        }
        let forms = "possible values: text, json, dot, mermaid, svg]";
        assert!(refused("meshy graph -o png").contains(forms), "{}", refused("meshy graph -o png"));
        let line = "meshy retry apply --timeout 7s --attempt-timeout 500ms".split(' ').map(OsString::from);
        assert_eq!(parse(line.collect()).unwrap().global.timeout, Some(std::time::Duration::from_secs(7)));
    }

    #[test]
    fn findings_have_annotations_as_a_form_of_output() {
        for line in ["meshy lint -o github", "meshy lint --output=github k8s"] {
            let cli = parse(line.split(' ').map(OsString::from).collect()).unwrap();
            assert_eq!(cli.global.output, Output::Github, "{line}");
        }
        assert!(refused("meshy lint -o svg").contains("possible values: text, json, github]"));
        for line in ["meshy status -o github", "meshy graph -o github", "meshy lint --github"] {
            refused(line);
        }
    }

    #[test]
    fn a_graph_has_more_forms_of_output_at_each_place_of_the_flag() {
        let output = |line: &str| {
            let words = line.split(' ').map(OsString::from);
            parse(words.collect()).unwrap().global.output
        };
        for (line, expected) in [
            ("meshy graph", Output::Text),
            ("meshy graph -o dot", Output::Dot),
            ("meshy graph --output=mermaid", Output::Mermaid),
            ("meshy graph -f svg", Output::Svg),
            ("meshy -o json graph", Output::Json),
            ("meshy --output json graph -o svg", Output::Svg),
            ("meshy -o json stat", Output::Json),
        ] {
            assert_eq!(output(line), expected, "{line}");
        }
    }
}
