//! A scenario or lesson on the page, step by step.

use anyhow::{Context as _, anyhow};

use super::controls;
use super::live::Page;
use super::scenario::{self, News, Running};

impl Page {
    /// Starts a scenario. The page's load ends first, and what it changed is restored.
    pub(super) async fn run_scenario(&mut self, name: &str, short: bool) -> anyhow::Result<()> {
        if self.running.is_some() {
            return Err(anyhow!("a scenario is already running"));
        }
        let known = self.state.scenarios.iter().find(|known| known.name == name);
        let known = known.with_context(|| format!("there is no scenario `{name}`"))?;
        let (running, order, progress) = Running::read(known, short)?;
        self.pause().await?;
        controls::read(&mut self.state, self.kinds.client(), &self.namespace, &self.flags).await?;
        self.counting.restart(&running.shown(), true).await;
        self.state.run = Some(progress);
        self.running = Some(running);
        self.orders.send(order).await.map_err(|_| anyhow!("the page is about to end"))
    }

    /// Starts the step that waits.
    pub(super) fn next_step(&mut self) -> anyhow::Result<()> {
        let waits = self.state.run.as_mut().filter(|run| run.waiting);
        let (Some(run), Some(running)) = (waits, &self.running) else {
            return Err(anyhow!("no step waits"));
        };
        run.waiting = false;
        running.next()
    }

    /// Ends the scenario, or shows the lab again after it.
    pub(super) async fn stop_scenario(&mut self) -> anyhow::Result<()> {
        if self.stop_running() { Ok(()) } else { self.resume().await }
    }

    /// Asks the scenario to end; returns whether one runs.
    pub(super) fn stop_running(&mut self) -> bool {
        let Some(running) = &self.running else { return false };
        if let Some(run) = &mut self.state.run {
            run.waiting = false;
        }
        running.stop();
        true
    }

    /// Notes what happens to the scenario.
    pub(super) fn update(&mut self, news: News) {
        scenario::update(&mut self.state, &news);
        if let News::Ended(ended) = news {
            if let Err(error) = &ended {
                self.report.warn(format!("{error:#}"));
            }
            self.running = None;
        }
        self.show();
    }
}
