//! `meshy report --list`: the recorded runs.

use serde::Serialize;

use crate::context::Context;
use crate::runs;
use crate::ui::Table;
use crate::ui::table::percent;
use meshy_base::error::Exit;

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::commands) struct Row {
    id: String,
    command: String,
    tags: Vec<String>,
    lab: String,
    provider: String,
    steps_count: usize,
    requests_count: u64,
    success_ratio: Option<f64>,
}

/// Lists them, the newest last.
///
/// # Errors
/// The folder of runs cannot be read.
#[expect(clippy::unused_async, reason = "commands have one form")]
pub(super) async fn run(context: &Context) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for id in runs::ids()? {
        match runs::load(&id) {
            Ok(run) => {
                let requests_count: u64 = run.steps.iter().map(|step| step.traffic.requests_count).sum();
                let succeeded: u64 = run.steps.iter().map(|step| step.traffic.succeeded_count).sum();
                rows.push(Row {
                    id,
                    command: run.command,
                    tags: run.tags,
                    lab: run.lab,
                    provider: run.provider,
                    steps_count: run.steps.len(),
                    requests_count,
                    success_ratio: (requests_count > 0).then(|| succeeded as f64 / requests_count as f64),
                });
            }
            Err(error) => context.report.warn(format!("{error:#}")),
        }
    }
    context.data(&rows, |rows| {
        if rows.is_empty() {
            return "no run is recorded yet: `meshy traffic` and `meshy demo` record one".to_owned();
        }
        let mut table = Table::new(4, &["RUN", "COMMAND", "LAB", "PROVIDER", "STEPS", "REQUESTS", "SUCCESS"]);
        for row in rows {
            table.row([
                row.id.clone(),
                match row.tags.is_empty() {
                    true => row.command.clone(),
                    false => format!("{} [{}]", row.command, row.tags.join(", ")),
                },
                row.lab.clone(),
                row.provider.clone(),
                row.steps_count.to_string(),
                row.requests_count.to_string(),
                percent(row.success_ratio),
            ]);
        }
        table.render()
    })?;
    Ok(Exit::Done)
}
