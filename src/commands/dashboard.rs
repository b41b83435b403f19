//! `meshy dashboard`: the live page in a browser, for a lab or for a recorded run.

mod controls;
mod counts;
mod details;
mod guided;
mod inbox;
mod lab;
mod live;
mod open;
mod policies;
mod record;
mod scenario;
mod sent;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use meshy_base::activity::{self, Kind};
use meshy_base::error::{Advise as _, Exit};
use meshy_base::limit;
use meshy_page::{Controls, Hub, Server};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::task::AbortOnDropHandle;

use crate::context::Context;
use crate::{report, runs};

/// The flags of `meshy dashboard`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy dashboard\n  meshy dashboard -n shop --no-open\n  meshy dashboard --replay last\n  meshy dashboard --replay last --save report.html"
)]
pub struct Args {
    /// Show a recorded run: its id or first characters, a tag, a file of events, or `last`
    #[arg(long, value_name = "RUN")]
    replay: Option<String>,
    /// The namespace whose services are shown
    #[arg(long, short, default_value = "default", conflicts_with = "replay")]
    namespace: String,
    /// Allow the controls on a cluster that meshy did not create
    #[arg(long, conflicts_with = "replay")]
    allow_changes: bool,
    /// Write the page and its run as one file, as `meshy report` does, and serve nothing
    #[arg(long, value_name = "FILE", requires = "replay")]
    save: Option<PathBuf>,
    /// Print the address and open no browser
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
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let Some(name) = &args.replay else {
        return live(context, &args).await;
    };
    let file = runs::find(name).exit(Exit::Usage)?;
    let run = runs::read(&file).exit(Exit::Usage)?;
    let hub = report::hub(&run, &file);
    if let Some(file) = &args.save {
        std::fs::write(file, report::file(&hub))
            .with_context(|| format!("cannot write {}", file.display()))?;
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
    let (orders, ordered) = mpsc::channel(1);
    let (news, heard) = mpsc::unbounded_channel();
    let mut page = lab::open(context, args, stopped.clone(), orders).await?;
    let (inbox, requests) = inbox::inbox();
    let (_serving, ends) = serve(context, args, &page.hub, Some(Arc::new(inbox))).await?;
    let hub = page.hub.clone();
    // Both run in this task: a scenario borrows what the page was opened with.
    let shown = tokio::select! {
        shown = until_end(&mut page, (ends, &stop), requests, heard) => shown,
        () = scenario::serve((context, &hub), stopped, ordered, news) => Ok(()),
    };
    stop.send_replace(true);
    let ended = page.pause().await;
    hub.close();
    ended?;
    shown?;
    page.written.map(|()| Exit::Done)
}

/// Does what viewers request, until a signal; a scenario that runs is ended and restored first.
async fn until_end(
    page: &mut live::Page,
    (mut ends, stop): (Ends, &watch::Sender<bool>),
    mut requests: mpsc::Receiver<inbox::Request>,
    mut news: mpsc::UnboundedReceiver<scenario::News>,
) -> anyhow::Result<()> {
    let mut ticks = tokio::time::interval(record::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = ends.wait() => {
                stop.send_replace(true);
                if !page.stop_running() {
                    return Ok(());
                }
            }
            Some(request) = requests.recv() => page.act(request).await,
            Some(news) = news.recv() => {
                page.update(news);
                if *stop.borrow() {
                    return Ok(());
                }
            }
            _ = ticks.tick() => page.tick(),
        }
    }
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
    let server = Server::bind(hub.clone(), controls, report::report)
        .await
        .context("cannot serve the page on 127.0.0.1")?;
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
