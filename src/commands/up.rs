//! `meshy up`: from nothing to a running lab, or from whatever is there to what is missing.

mod images;
pub(super) mod programs;

use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use crate::args::{AddonArgs, ClusterArgs};
use crate::context::Context;
use meshy_base::error::Exit;
use meshy_kube::manifest;
use meshy_lab::addons;
use meshy_lab::cluster::Spec;
use meshy_lab::up::{self, Outcome, Up, UpSpec};
use programs::{ProgramArgs, Rewritten};

/// The flags of `meshy up`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy up\n  meshy up --provider embedded --name train\n  meshy up --topology shop\n  meshy up -f k8s/ --program shop/cart:1='python3 cart.py'\n  meshy up --mesh none --ingress none\n  meshy up --images -o json"
)]
pub struct Args {
    #[command(flatten)]
    spec: ClusterArgs,
    #[command(flatten)]
    addons: AddonArgs,
    /// Write to stdout the objects that the add-ons would apply, without those that contain new certificates, and change nothing
    #[arg(long)]
    print: bool,
    /// List the images that the add-ons need, and change nothing
    #[arg(long, conflicts_with = "print")]
    images: bool,
    /// An overlay to deploy; may be repeated [default: the lab's earlier choice, else the two services of the original demo]
    #[arg(long = "overlay", value_name = "OVERLAY")]
    overlays: Vec<String>,
    /// A topology to deploy instead: a shipped name, or a file
    #[arg(long, value_name = "TOPOLOGY", conflicts_with = "overlays")]
    topology: Option<String>,
    /// Manifests to deploy instead: a file, or a folder of YAML and JSON files; may be repeated
    #[arg(long = "file", short, value_name = "FILE", conflicts_with_all = ["overlays", "topology"])]
    files: Vec<String>,
    #[command(flatten)]
    programs: ProgramArgs,
    /// The test service's image, for a cluster that does not get it from a private registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// A static Linux program for the test service's image, instead of the program in meshy
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    service_binary: Option<PathBuf>,
}

impl Args {
    /// Returns the lab that the flags describe.
    ///
    /// # Errors
    /// A program of this machine is not valid, or not there.
    fn spec(self) -> anyhow::Result<UpSpec> {
        let cluster = Spec { programs: self.programs.programs()?, ..self.spec.spec() };
        Ok(UpSpec {
            cluster,
            addons: self.addons.request(),
            overlays: self.overlays,
            topology: self.topology,
            files: self.files,
            stubs: self.programs.stubs,
            image: self.image,
            service_binary: self.service_binary,
        })
    }
}

#[derive(Debug, Serialize)]
struct Document {
    #[serde(flatten)]
    up: Up,
    /// What was rewritten in the environment of programs of this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rewritten: Vec<Rewritten>,
    next: Vec<String>,
    seconds: f64,
}

/// Creates the lab, or completes it.
///
/// # Errors
/// As [`up::up`].
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    if args.images {
        let request = args.addons.request();
        return images::run(context, &request.options(&request.choice(None)?, false, false)?);
    }
    if args.print {
        return print(context, &args.addons.request());
    }
    bring_up(context, args.spec()?).await
}

/// Writes what the add-ons would apply to stdout.
fn print(context: &Context, request: &addons::Request) -> anyhow::Result<Exit> {
    let options = request.options(&request.choice(None)?, false, false)?;
    let (objects, left_out) = addons::printable(addons::rendered(&options)?);
    if !left_out.is_empty() {
        let list = left_out.join(", ");
        context.report.say(format!("left out, as `meshy up` makes their certificates: {list}"));
    }
    crate::ui::data(&manifest::to_yaml(&objects)?)?;
    Ok(Exit::Done)
}

/// Creates or completes a lab and prints what came of it.
pub(super) async fn bring_up(context: &Context, spec: UpSpec) -> anyhow::Result<Exit> {
    let begun = Instant::now();
    match up::up(spec, context).await.map_err(programs::explain)? {
        Outcome::Planned(record) => context.data(&record, |_| String::new())?,
        Outcome::Up(up) => {
            let next = next(context, &up);
            let rewritten = programs::report(context, &up.lab).await?;
            let document = Document { up: *up, rewritten, next, seconds: begun.elapsed().as_secs_f64() };
            context.data(&document, text)?;
        }
    }
    Ok(Exit::Done)
}

/// The commands that may come next.
fn next(context: &Context, up: &Up) -> Vec<String> {
    // Manifests have their own namespaces.
    let watched = match (&up.lab.topology, up.lab.files.is_empty()) {
        (Some(_), _) => "meshy graph",
        (None, false) => "meshy graph -A",
        (None, true) => "meshy traffic",
    };
    let mut next = vec!["meshy status", watched];
    let has_mesh = up.built_in.mesh || up.installed.mesh.is_some();
    if has_mesh && (up.built_in.ingress || up.installed.ingress.is_some()) {
        // Meshing the ingress is a step of the lesson, not of `up`.
        next.insert(0, "meshy inject");
    }
    next.push("meshy down");
    next.into_iter().map(|command| format!("{command}{}", context.name_flag())).collect()
}

fn text(document: &Document) -> String {
    let Document { up, next, seconds, .. } = document;
    let mut text =
        format!("lab `{}` is up after {seconds:.1} s (context `{}`)\n", up.lab.name, up.lab.context);
    text.push_str(&super::deploy::urls(&up.services, "  "));
    text.push_str("next:\n");
    next.iter().for_each(|next| text.push_str(&format!("  {next}\n")));
    text
}
