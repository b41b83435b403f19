//! Flags that mean two things. A global flag's name belongs to it in every command, as far as clap goes; these two are also
//! what a user writes who means the command's own, and are spelled as that before clap reads them.

use std::ffi::OsString;

/// Spells what means a command's own flag as that flag:
///
/// - `--timeout` after `retry apply` is the policy's, `--attempt-timeout`. Before `retry` it is the command's limit.
/// - `-o FILE` after `report` is the file to write, `--out`; `-o json` and `-o text` say how data is printed, as everywhere.
pub fn plain(args: Vec<OsString>) -> Vec<OsString> {
    let follows =
        |words: &[&str]| args.windows(words.len()).position(|w| w == words).map(|at| at + words.len());
    if let Some(from) = follows(&["retry", "apply"]) {
        return after(args, from, |flag, _| (flag == "--timeout").then_some("--attempt-timeout"));
    }
    if let Some(from) = follows(&["report"]) {
        let out = |flag: &str, value: &str| {
            (["-o", "--output"].contains(&flag) && is_file(value)).then_some("--out")
        };
        return after(args, from, out);
    }
    args
}

/// A name with an ending or a folder: a slip in `json` is not a file.
fn is_file(value: &str) -> bool {
    value.contains(['.', '/'])
}

/// The arguments with the flags from that place on as `other` calls them, by flag and value.
fn after(
    mut args: Vec<OsString>,
    from: usize,
    other: impl Fn(&str, &str) -> Option<&'static str>,
) -> Vec<OsString> {
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    for at in from..end {
        let Some(arg) = args[at].to_str().filter(|arg| arg.starts_with('-')) else { continue };
        let next = args.get(at + 1).and_then(|next| next.to_str()).unwrap_or_default();
        let (flag, value, tail) = match arg.split_once('=') {
            Some((flag, value)) => (flag, value, format!("={value}")),
            None if !arg.starts_with("--") && arg.is_char_boundary(2) && arg.len() > 2 => {
                (&arg[..2], &arg[2..], format!("={}", &arg[2..]))
            }
            None => (arg, next, String::new()),
        };
        if let Some(name) = other(flag, value) {
            args[at] = format!("{name}{tail}").into();
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(line: &str) -> String {
        let args = plain(line.split(' ').map(OsString::from).collect());
        args.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_timeout_is_the_attempts_after_retry_apply_and_the_commands_everywhere_else() {
        assert_eq!(
            spelled("meshy --timeout 2m retry apply web --timeout 500ms"),
            "meshy --timeout 2m retry apply web --attempt-timeout 500ms"
        );
        assert_eq!(spelled("meshy retry apply --timeout=1s"), "meshy retry apply --attempt-timeout=1s");
        for same in [
            "meshy retry delete --timeout 1m",
            "meshy up --timeout 20m",
            "meshy retry apply --timeouts 1s",
            "meshy retry apply -- --timeout 1s",
        ] {
            assert_eq!(spelled(same), same);
        }
    }

    #[test]
    fn a_file_after_report_is_what_it_writes_and_a_format_stays_one() {
        assert_eq!(spelled("meshy report -o a.html"), "meshy report --out a.html");
        assert_eq!(spelled("meshy report last -oa.html"), "meshy report last --out=a.html");
        assert_eq!(spelled("meshy report -o=./a -o json"), "meshy report --out=./a -o json");
        assert_eq!(spelled("meshy report --output=a.html"), "meshy report --out=a.html");
        for same in [
            "meshy report -o json",
            "meshy report -o josn",
            "meshy report --out a.html -ojson",
            "meshy traffic -o a.html",
            "meshy report -o",
            "meshy report -ü",
        ] {
            assert_eq!(spelled(same), same);
        }
    }
}
