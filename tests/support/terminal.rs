//! A program in a pseudo-terminal, made by `script` of util-linux, and what a person sees there.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The terminal's width.
const COLUMNS: usize = 100;

/// What is waited for on the screen comes sooner; a test that waits longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(180);

/// The program and its terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: ChildStdin,
    written: Arc<(Mutex<Vec<u8>>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Terminal {
    /// A test that failed half way must not leave its program running.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// Starts a program in a terminal of 100 columns and 50 rows.
    pub(crate) fn start(program: &Command) -> Self {
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let line = format!("stty cols {COLUMNS} rows 50 && exec {}", words.join(" "));
        let mut script = Command::new("script");
        script
            .args(["-qefc", &line, "/dev/null"])
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(folder) = program.get_current_dir() {
            script.current_dir(folder);
        }
        let mut child = script.spawn().expect("`script` of util-linux is installed");
        let keys = child.stdin.take().expect("a pipe");
        let mut stdout = child.stdout.take().expect("a pipe");
        let written = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = written.clone();
        let reader = std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = stdout.read(&mut piece) {
                shared.0.lock().expect("no panic while held").extend_from_slice(&piece[..count]);
                shared.1.notify_all();
            }
        });
        Self { child, keys, written, reader: Some(reader) }
    }

    /// Waits until the screen is as `is_wanted` says, and returns it.
    pub(crate) fn wait_for(&self, what: &str, is_wanted: impl Fn(&Screen) -> bool) -> Screen {
        let begun = Instant::now();
        let mut written = self.written.0.lock().expect("no panic while held");
        loop {
            let screen = Screen::after(&written);
            if is_wanted(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < TIMEOUT, "no {what}:\n{}", screen.text());
            written = self.written.1.wait_timeout(written, TIMEOUT).expect("no panic while held").0;
        }
    }

    /// Types a key: `\u{3}` is ctrl-C.
    pub(crate) fn press(&mut self, key: char) {
        write!(self.keys, "{key}").and_then(|()| self.keys.flush()).expect("the program runs");
    }

    /// Waits for the end of the program, and returns its exit status and what stands on the screen.
    pub(crate) fn end(mut self) -> (ExitStatus, Screen) {
        self.reader.take().expect("it ends once").join().expect("no panic");
        let status = self.child.wait().expect("its end");
        (status, Screen::after(&self.written.0.lock().expect("no panic while held")))
    }
}

/// The lines of a terminal that is as high as they are many.
pub(crate) struct Screen {
    lines: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    /// What is seen after these bytes. Of the control sequences, those that move the cursor and that erase are followed.
    pub(crate) fn after(bytes: &[u8]) -> Self {
        let mut screen = Self { lines: vec![Vec::new()], row: 0, column: 0 };
        let text = String::from_utf8_lossy(bytes);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\r' => screen.column = 0,
                '\n' => screen.go_to(screen.row + 1),
                '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                    let mut number = String::new();
                    let is_part = |c: &char| c.is_ascii_digit() || matches!(c, ';' | '?');
                    while let Some(digit) = chars.next_if(is_part) {
                        number.push(digit);
                    }
                    let Some(command) = chars.next() else { break };
                    screen.control(number.parse().ok(), command);
                }
                c if c.is_control() => {}
                c => screen.put(c),
            }
        }
        screen
    }

    fn put(&mut self, c: char) {
        // The last column stays the cursor's until one more character comes.
        if self.column == COLUMNS {
            self.go_to(self.row + 1);
            self.column = 0;
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + 1), ' ');
        line[self.column] = c;
        self.column += 1;
    }

    fn go_to(&mut self, row: usize) {
        self.row = row;
        self.lines.resize(self.lines.len().max(row + 1), Vec::new());
    }

    fn control(&mut self, number: Option<usize>, command: char) {
        let count = number.unwrap_or(1).max(1);
        match command {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.go_to(self.row + count),
            'C' => self.column = (self.column + count).min(COLUMNS),
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = count - 1,
            'H' => (self.row, self.column) = (0, 0),
            'J' if number == Some(2) => self.lines.iter_mut().for_each(Vec::clear),
            'J' => {
                self.lines.truncate(self.row + 1);
                self.lines[self.row].truncate(self.column);
            }
            'K' if number == Some(2) => self.lines[self.row].clear(),
            'K' => self.lines[self.row].truncate(self.column),
            _ => {}
        }
    }

    /// Returns the lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned()).collect()
    }

    /// Returns the lines as one text.
    pub(crate) fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Returns how many lines contain a text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.lines().iter().filter(|line| line.contains(text)).count()
    }
}
