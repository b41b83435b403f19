//! `meshy dashboard`: the live page in a browser, for a lab or for a recorded run.

mod counts;
mod inbox;
mod lab;
mod live;
mod open;
mod policies;
mod sent;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise as _, Exit};
use meshy_base::limit;
use meshy_experiment::run::Run;
use meshy_page::{Controls, Hub, Mode, Server, State, save};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::context::Context;
use crate::runs;

/// The flags of `meshy dashboard`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy dashboard\n  meshy dashboard -n shop --no-open\n  meshy dashboard --replay last\n  meshy dashboard --replay last --save report.html"
)]
pub struct Args {
    /// Show a recorded run: `last`, the begin of its id, or its file of events
    #[arg(long, value_name = "RUN")]
    replay: Option<String>,
    /// The namespace whose services are shown
    #[arg(long, short, default_value = "default", conflicts_with = "replay")]
    namespace: String,
    /// Allow the controls on a cluster that meshy did not create
    #[arg(long, conflicts_with = "replay")]
    allow_changes: bool,
    /// Write the page and its run as one file, and end
    #[arg(long, value_name = "FILE", requires = "replay")]
    save: Option<PathBuf>,
    /// Print the address only; open no browser
    #[arg(long)]
    no_open: bool,
}

/// What the command prints.
#[derive(Serialize)]
pub(super) struct Document {
    /// Where the page is, with the token that opens it.
    url: String,
}

/// Serves the page until ctrl-C.
///
/// # Errors
/// There is no such run, or it cannot be read; there is no lab, or its API fails; no port is free.
pub async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let Some(name) = &args.replay else {
        return live(context, &args).await;
    };
    let (file, run) = recorded(name).exit(Exit::Usage)?;
    let title = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let state = State { mode: Mode::Replay, title, ..State::default() };
    let hub = Hub::recorded(&run, &state);
    if let Some(file) = &args.save {
        std::fs::write(file, save::page(&hub)).with_context(|| format!("cannot write {}", file.display()))?;
        context.report.say(format!("wrote {}", file.display()));
        return Ok(Exit::Done);
    }
    let (_serving, mut ends) = serve(context, &args, &hub, None).await?;
    ends.wait().await;
    Ok(Exit::Done)
}

/// Shows a lab until ctrl-C, then restores what was changed.
async fn live(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let (stop, stopped) = watch::channel(false);
    let (mut live, started) = lab::open(context, args, stopped).await?;
    let (inbox, mut requests) = inbox::inbox();
    live.start(started)?;
    let (_serving, mut ends) = serve(context, args, &live.hub, Some(Arc::new(inbox))).await?;
    let mut ticks = tokio::time::interval(live::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shown = loop {
        tokio::select! {
            () = ends.wait() => break Ok(()),
            Some(request) = requests.recv() => live.act(request).await,
            _ = ticks.tick() => if let Err(error) = live.tick().await { break Err(error) },
        }
    };
    stop.send_replace(true);
    let hub = live.hub.clone();
    let ended = live.end().await;
    hub.close();
    if let Some(session) = ended? {
        session.restore(&context.report).await?;
    }
    shown.map(|()| Exit::Done)
}

/// The signals that end the page.
struct Ends {
    int: Signal,
    term: Signal,
}

impl Ends {
    async fn wait(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
        }
    }
}

/// Serves a page and shows its address.
async fn serve(
    context: &Context,
    args: &Args,
    hub: &Arc<Hub>,
    controls: Option<Arc<dyn Controls>>,
) -> anyhow::Result<(Serving, Ends)> {
    let ends = Ends { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? };
    let server = Server::bind(hub.clone(), controls).await.context("cannot serve the page on 127.0.0.1")?;
    let document = Document { url: server.url() };
    context.data(&document, |document| document.url.clone())?;
    if !args.no_open {
        open::browser(&context.report, &server.url_for_once());
    }
    limit::lift();
    let waiting = activity::begin(Kind::Work, "serving the page");
    Ok((Serving { _task: AbortOnDropHandle::new(tokio::spawn(server.serve())), _waiting: waiting }, ends))
}

/// A page that is served until this is dropped.
struct Serving {
    _task: AbortOnDropHandle<()>,
    _waiting: activity::Activity,
}

/// Reads a recorded run by `last`, the begin of its id, or its file.
fn recorded(name: &str) -> anyhow::Result<(PathBuf, Run)> {
    let file = match name.contains('/') || name.ends_with(".jsonl") {
        true => PathBuf::from(name),
        false => find(&runs::folder()?, name)?,
    };
    let open = std::fs::File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let run = Run::read(std::io::BufReader::new(open))
        .with_context(|| format!("cannot replay {}", file.display()))
        .hint("`meshy run` records runs that can be replayed")?;
    Ok((file, run))
}

fn find(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    const END: &str = ".events.jsonl";
    let entries = std::fs::read_dir(folder).map(|entries| entries.filter_map(Result::ok).collect::<Vec<_>>());
    let mut ids: Vec<String> = entries
        .unwrap_or_default()
        .into_iter()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(END)?.to_owned()))
        .collect();
    ids.sort();
    let found: Vec<&String> = match name {
        "last" => ids.last().into_iter().collect(),
        part => ids.iter().filter(|id| id.starts_with(part)).collect(),
    };
    match found[..] {
        [id] => Ok(folder.join(format!("{id}{END}"))),
        [] => Err(anyhow!("there is no recorded run `{name}` with events"))
            .hint("`meshy run` records one; a file of events can be given as well"),
        _ => Err(anyhow!("`{name}` is the begin of {} runs", found.len())).hint("use more of the id"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_the_begin_of_its_id() {
        let folder = tempfile::tempdir().unwrap();
        for id in ["20260101-1", "20260102-1", "20260102-2"] {
            std::fs::write(folder.path().join(format!("{id}.events.jsonl")), "").unwrap();
        }
        let found = |name: &str| {
            find(folder.path(), name).map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        };
        assert_eq!(found("last").unwrap(), "20260102-2.events.jsonl");
        assert_eq!(found("20260101").unwrap(), "20260101-1.events.jsonl");
        assert!(found("20260102").unwrap_err().to_string().contains("2 runs"));
        assert!(found("x").unwrap_err().to_string().contains("no recorded run"));
    }
}
