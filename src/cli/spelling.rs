//! One flag that means two things: `--timeout` is every command's own limit, and after `retry apply` the policy's.

use std::ffi::OsString;

/// Spells `--timeout` after `retry apply` as `--try-timeout`, which is what somebody who writes a retry policy means by it.
/// Clap cannot: a global flag's long name belongs to it in every command. Before `retry` it is the command's limit.
pub fn plain(mut args: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = args.windows(2).position(|pair| pair[0] == "retry" && pair[1] == "apply") else {
        return args;
    };
    for arg in args.iter_mut().skip(at + 2).take_while(|arg| *arg != "--") {
        let Some(rest) = arg.to_str().and_then(|a| a.strip_prefix("--timeout")) else { continue };
        if rest.is_empty() || rest.starts_with('=') {
            *arg = format!("--try-timeout{rest}").into();
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
    fn a_timeout_is_the_tries_after_retry_apply_and_the_commands_everywhere_else() {
        assert_eq!(
            spelled("meshy --timeout 2m retry apply web --timeout 500ms"),
            "meshy --timeout 2m retry apply web --try-timeout 500ms"
        );
        assert_eq!(spelled("meshy retry apply --timeout=1s"), "meshy retry apply --try-timeout=1s");
        for same in
            ["meshy retry delete --timeout 1m", "meshy up --timeout 20m", "meshy retry apply --timeouts 1s"]
        {
            assert_eq!(spelled(same), same);
        }
    }
}
