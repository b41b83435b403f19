//! What every command gets: the global flags, and the environment of operations on a lab.

use std::io::IsTerminal as _;
use std::ops::Deref;
use std::time::Duration;

use anyhow::Context as _;
use meshy_base::{Report, activity};
use serde::Serialize;

use crate::args::{Color, Global, Output, ProviderChoice};
use crate::ui;
use meshy_lab::lab::{self, Env, Provider};

/// The context of one command. It is an [`Env`] with the flags that concern its output.
#[derive(Debug)]
pub struct Context {
    /// The global flags, with `meshy.yaml` already taken into account.
    pub global: Global,
    env: Env,
}

impl Deref for Context {
    type Target = Env;

    fn deref(&self) -> &Env {
        &self.env
    }
}

impl Context {
    /// Prepares the command of that name, which has `left` until the program ends.
    ///
    /// # Errors
    /// Returns an error if the events file cannot be opened.
    pub fn new(global: Global, command: String, left: Duration) -> anyhow::Result<Self> {
        match global.color {
            Color::Auto => {}
            Color::Always => ui::set_colors(true),
            Color::Never => ui::set_colors(false),
        }
        let env = Env {
            report: ui::report(global.events.as_deref())?,
            deadline: Env::deadline_within(left),
            name: global.name.clone().unwrap_or_else(|| lab::unnamed(keeps_the_default(&global, &command))),
            provider: provider(&global),
            context: global.context.clone(),
            kubeconfig: global.kubeconfig.clone(),
            yes: global.yes,
            dry_run: global.dry_run,
            command,
            ask,
        };
        Ok(Self { global, env })
    }

    /// Returns the same with another provider.
    pub(crate) fn with_provider(&self, choice: ProviderChoice) -> Self {
        let global = Global { provider: choice, ..self.global.clone() };
        let env = Env { provider: provider(&global), ..self.env.clone() };
        Self { global, env }
    }

    /// Returns the same for another command that begins now and has `left`; every question is answered with yes, as the user
    /// has consented already.
    pub(crate) fn begun_now(&self, command: &str, left: Duration) -> Self {
        let deadline = Env::deadline_within(left);
        let env = Env { command: command.to_owned(), deadline, yes: true, ..self.env.clone() };
        Self { global: self.global.clone(), env }
    }

    /// Whether data is printed as JSON.
    pub fn json(&self) -> bool {
        self.global.output == Output::Json
    }

    /// Prints the command's data on stdout: the document with `-o json`, else the text.
    ///
    /// # Errors
    /// Returns an error if stdout cannot be written (a closed pipe is not an error).
    pub fn data<T: Serialize>(&self, document: &T, text: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json() {
            ui::data(&serde_json::to_string_pretty(document)?)
        } else {
            ui::text(&text(document))
        }
    }
}

/// The provider that the flags select; none where the best one is to be used.
fn provider(global: &Global) -> Option<Provider> {
    match (global.provider, &global.context) {
        (ProviderChoice::Kind, _) => Some(Provider::Kind),
        (ProviderChoice::Embedded, _) => Some(Provider::Embedded),
        (ProviderChoice::Existing, _) | (ProviderChoice::Auto, Some(_)) => Some(Provider::Existing),
        (ProviderChoice::Auto, None) => None,
    }
}

/// Whether a command without a name means the default lab even where there is only another one: it creates the lab or deletes it,
/// or acts on a cluster that is named in another way.
fn keeps_the_default(global: &Global, command: &str) -> bool {
    global.context.is_some() || ["up", "cluster", "registry", "demo", "down"].contains(&command)
}

fn ask(report: &Report, question: &str) -> anyhow::Result<Option<bool>> {
    if !std::io::stdin().is_terminal() || !ui::Screen::stderr().is_terminal() {
        return Ok(None);
    }
    report.say(format!("{question} [y/N]"));
    let mut answer = String::new();
    let _waiting = activity::begin(activity::Kind::Work, "waiting for an answer on the terminal");
    std::io::stdin().read_line(&mut answer).context("cannot read the answer")?;
    Ok(Some(matches!(answer.trim(), "y" | "Y" | "yes")))
}
