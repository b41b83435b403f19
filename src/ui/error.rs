//! The one place that prints errors: what failed, the causes, the hints.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{StderrLock, Write as _};
use std::time::{Duration, Instant};

use console::style;
use meshy_base::error::{hints, id_of};
use meshy_base::text;
use meshy_kube::failure::texts;
use rustix::event::{PollFd, PollFlags, Timespec};

/// The largest write that a pipe takes at once, in bytes.
const PIPE_BUF: usize = 4096;

/// Prints an error on stderr.
#[expect(clippy::print_stderr, reason = "errors are printed here and nowhere else")]
pub fn print(error: &anyhow::Error) {
    eprint!("{}", render(error));
}

/// Prints an error on stderr, and waits at most `time` for the reader of a full pipe.
pub fn print_within(error: &anyhow::Error, time: Duration) {
    let mut stderr = std::io::stderr().lock();
    let due = Instant::now() + time;
    for part in render(error).as_bytes().chunks(PIPE_BUF) {
        // A pipe that is ready takes this many bytes without a wait (pipe(7)).
        if !is_ready(&stderr, due.saturating_duration_since(Instant::now()))
            || stderr.write_all(part).is_err()
        {
            return;
        }
    }
}

/// Waits until stderr can be written.
fn is_ready(stderr: &StderrLock<'_>, time: Duration) -> bool {
    let mut fds = [PollFd::new(stderr, PollFlags::OUT)];
    let time =
        Timespec { tv_sec: time.as_secs().min(60).cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) };
    rustix::event::poll(&mut fds, Some(&time)).is_ok_and(|ready| ready > 0)
}

/// Returns the text that [`print()`] prints, in which each cause has at most [`text::LONGEST_CAUSE`] bytes.
pub fn render(error: &anyhow::Error) -> String {
    let mut shown = String::new();
    let mut texts = texts(error).into_iter();
    let first = text::cause(&texts.next().unwrap_or_default());
    let _ = writeln!(shown, "{} {first}", style("error:").for_stderr().red().bold());
    for cause in texts {
        let _ = writeln!(
            shown,
            "  {} {}",
            style("cause:").for_stderr().bold(),
            text::cause(without_label(&cause))
        );
    }
    let mut hints = hints(error);
    // Two parts that failed for the same reason have the same hint.
    let mut seen = HashSet::new();
    hints.retain(|hint| seen.insert(*hint));
    if !hints.is_empty() {
        shown.push('\n');
    }
    for hint in hints {
        let _ = writeln!(shown, "{} {}", style("hint:").for_stderr().cyan().bold(), text::printable(hint));
    }
    if let Some(id) = id_of(error) {
        let _ = writeln!(shown, "{} `meshy explain {id}`", style("more:").for_stderr().cyan().bold());
    }
    shown
}

/// A cause without the words that another program, or meshy in another process, put before it.
fn without_label(cause: &str) -> &str {
    let cause = cause.trim();
    ["error: ", "cause: "].iter().find_map(|word| cause.strip_prefix(word)).map_or(cause, str::trim_start)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use meshy_base::error::{Advise as _, Exit};

    use super::*;

    #[test]
    fn an_error_shows_its_causes_once_and_its_hint_last() {
        let error = Err::<(), _>(anyhow!("connection refused"))
            .hint("start the engine")
            .exit(Exit::Prerequisite)
            .context("cannot reach the Docker engine")
            .unwrap_err();
        console::set_colors_enabled_stderr(false);
        assert_eq!(
            render(&error),
            "error: cannot reach the Docker engine\n  cause: connection refused\n\nhint: start the engine\n"
        );
    }

    #[test]
    fn a_cause_that_another_process_printed_as_one_is_not_marked_twice() {
        let error = anyhow!("  cause: Node \"a b\" is invalid").context("the embedded cluster did not start");
        console::set_colors_enabled_stderr(false);
        assert_eq!(
            render(&error),
            "error: the embedded cluster did not start\n  cause: Node \"a b\" is invalid\n"
        );
    }

    #[test]
    fn control_characters_of_a_server_do_not_reach_the_terminal_and_long_causes_are_cut() {
        console::set_colors_enabled_stderr(false);
        let error = anyhow!("\u{1b}]0;title\u{7}{}", "x".repeat(1 << 20)).context("the server returned 500");
        let text = render(&error);
        assert!(!text.contains('\u{1b}') && text.contains("\\u{1b}]0;title"), "{}", &text[..80]);
        assert!(text.len() < 3_000, "{} bytes", text.len());
    }
}
