//! A terminal that keeps quiet about keys: for a talk, where a key pressed too early must neither show nor count.

use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};

/// Keys are not echoed until this goes; where stdin is not a terminal it does nothing.
#[derive(Debug)]
pub struct NoEcho(Option<Termios>);

impl NoEcho {
    /// Begins.
    pub fn begin() -> Self {
        let was = tcgetattr(stdin()).ok();
        if let Some(was) = &was {
            let mut quiet = was.clone();
            quiet.local_modes.remove(LocalModes::ECHO);
            // Without it keys show: not worth an error.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &quiet);
        }
        Self(was)
    }

    /// Keys are echoed, but ctrl-C is not shown as `^C`: it would move the lines of a live view, so that an old one stays. A process
    /// in the background does not change the terminal.
    pub fn ctrl_c() -> Self {
        let foreground = tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp());
        let was = tcgetattr(stdin()).ok().filter(|_| foreground);
        if let Some(was) = &was {
            let mut quiet = was.clone();
            quiet.local_modes.remove(LocalModes::ECHOCTL);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &quiet);
        }
        Self(was)
    }

    /// Forgets the keys that were pressed up to now.
    pub fn discard_keys(&self) {
        if self.0.is_some() {
            let _ = tcflush(stdin(), QueueSelector::IFlush);
        }
    }
}

impl Drop for NoEcho {
    fn drop(&mut self) {
        if let Some(was) = &self.0 {
            let _ = tcsetattr(stdin(), OptionalActions::Now, was);
        }
    }
}
