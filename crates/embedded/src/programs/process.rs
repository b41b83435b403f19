//! Programs of this machine: a container of a named image is a local process.
//!
//! ```text
//!   Service ─► pod's proxy ─► pod network :8080 ─► 127.0.0.1:H ─► process ─► 127.0.0.1:L ─► pod's proxy ─► Service
//!                             (inbound)            PORT=H                    CART_URL=…:L   (outbound)
//! ```
//!
//! The process has real sockets on loopback, the pod has in-memory streams. [`inbound`] connects the container's ports to the
//! process, [`outbound`] the process to the Services that its environment names, [`rewrite`] finds these names.

mod child;
mod environment;
mod inbound;
mod outbound;
mod ports;
mod reporter;
mod rewrite;
mod shutdown;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use meshy_net::BoxFuture;
use tokio::task::JoinSet;

use crate::events::EventRecorder;
use crate::object::ObjectExt;
use crate::program::image::BUILT_IN_PREFIX;
use crate::program::{Env, Execution, ExitCode, Images, Program};
use crate::service_table::ServiceTable;
use child::Command;
use outbound::Route;
use ports::Ports;
use reporter::Reporter;
pub use reporter::{NO_SERVICE_REWRITTEN, PROGRAM_EVENTS};
pub(crate) use shutdown::Shutdown;

/// The image of the test service.
pub(crate) const TEST_SERVICE: &str = "minimal-service";

/// The exit code of a program that cannot be started, as of a shell.
const CANNOT_START: ExitCode = 127;

/// A program of this machine that containers of an image run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalProgram {
    /// The image: a name, a repository, or one of them with a tag or digest, which is then the only one that matches.
    pub image: String,
    /// The program and its arguments; `$(NAME)` is a variable of the container's environment.
    pub command: Vec<String>,
    /// The working directory.
    pub folder: PathBuf,
    /// Whether `HTTP_PROXY` is set, for names that are not in the environment.
    pub http_proxy: bool,
}

/// Whether containers of an image have a program: one of these, or one that each cluster has.
pub fn has_program(image: &str, programs: &[LocalProgram]) -> bool {
    let local = programs.iter().any(|program| program.images().contain(image));
    local || image.starts_with(BUILT_IN_PREFIX) || Images::named(TEST_SERVICE).contain(image)
}

/// How the processes of programs are started.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    /// The command that runs the program in its arguments, and ends it when its stdin is closed.
    pub command: Vec<OsString>,
    /// The command that ends what a program has left, for the number of a supervisor that was killed. Without one nothing is done.
    pub end_command: Vec<OsString>,
}

/// What all local programs of a cluster use.
#[derive(Clone)]
pub(crate) struct ProcessContext {
    pub(crate) services: Arc<ServiceTable>,
    pub(crate) events: EventRecorder,
    pub(crate) supervisor: Supervisor,
    pub(crate) shutdown: Shutdown,
}

/// The program of an image that is a process of this machine.
pub(crate) struct LocalProcess {
    program: LocalProgram,
    context: ProcessContext,
}

impl LocalProcess {
    pub(crate) fn new(program: LocalProgram, context: ProcessContext) -> Self {
        Self { program, context }
    }
}

impl LocalProgram {
    /// Returns the images that the program is registered for.
    pub(crate) fn images(&self) -> Images {
        Images::selected(&self.image)
    }
}

impl Program for LocalProcess {
    fn run(&self, execution: Execution) -> BoxFuture<'static, ExitCode> {
        Box::pin(run(self.program.clone(), self.context.clone(), execution))
    }
}

async fn run(program: LocalProgram, context: ProcessContext, execution: Execution) -> ExitCode {
    let _running = context.shutdown.begin().await;
    let reporter = Reporter::new(&context.events, &execution);
    reporter.begin().await;
    let log = execution.log.clone();
    // Ends the listeners with the run.
    let mut tasks = JoinSet::new();
    let command = match prepare(&program, &context, &execution, &reporter, &mut tasks).await {
        Ok(command) => command,
        Err(error) => {
            log.write(format!("ERROR cannot prepare the program: {error}"));
            return CANNOT_START;
        }
    };
    let name = command.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    match command.spawn(&context.supervisor, &log) {
        Ok(child) => {
            let requested = async {
                tokio::select! {
                    () = execution.termination.requested() => {}
                    () = context.shutdown.requested() => {}
                }
            };
            child.wait(&context.supervisor, requested).await
        }
        Err(error) => {
            log.write(format!("ERROR cannot start `{name}`: {error}"));
            CANNOT_START
        }
    }
}

/// Assigns ports, rewrites the environment and opens the listeners.
async fn prepare(
    program: &LocalProgram,
    context: &ProcessContext,
    execution: &Execution,
    reporter: &Reporter,
    tasks: &mut JoinSet<()>,
) -> std::io::Result<Command> {
    if !execution.command.is_empty() {
        reporter.command_ignored(&execution.command).await;
    }
    let (mut env, refused) = environment::allowed(&execution.env);
    if !refused.is_empty() {
        reporter.variables_refused(&refused).await;
    }
    let ports = Ports::assign(&execution.ports, &env).await?;
    let mut words: Vec<String> =
        program.command.iter().map(|word| crate::node::expand(word, &execution.env)).collect();
    words.extend(execution.args.iter().cloned());
    let words = ports.in_arguments(words);
    ports.in_environment(&mut env);
    let routes = service_routes(context, execution, &env);
    let opened = outbound::open(routes, execution, &mut env, tasks).await?;
    if program.http_proxy {
        outbound::open_http_proxy(execution, &mut env, tasks).await?;
    }
    reporter.rewritten(&opened).await;
    reporter.ports(&ports).await;
    inbound::open(&ports, execution, reporter, tasks);
    let words = words.into_iter().map(OsString::from).collect();
    Ok(Command { words, env: environment::of_process(env), folder: program.folder.clone() })
}

/// Returns the Services that the environment names.
fn service_routes(context: &ProcessContext, execution: &Execution, env: &Env) -> Vec<Route> {
    let namespace = execution.pod.namespace();
    let is_service = |host: &str| {
        let lower = host.to_ascii_lowercase();
        let mut candidates = crate::network::service_candidates(&lower, namespace).into_iter();
        let entry = candidates.find_map(|(name, namespace)| context.services.entry(namespace, name))?;
        Some(entry.ports.iter().map(|port| port.port).collect())
    };
    let found = |(variable, value): (&String, &String)| {
        rewrite::references(variable, value, &is_service)
            .into_iter()
            .map(|reference| Route { variable: variable.clone(), reference })
            .collect::<Vec<_>>()
    };
    env.iter().flat_map(found).collect()
}
