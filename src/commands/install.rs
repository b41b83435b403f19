//! `meshy install`: one add-on, with the waits and checks of `up`.

use meshy_base::error::{Advise as _, Exit};
use meshy_lab::addons::{self, Ingress, Mesh, Options};
use meshy_lab::cluster;
use meshy_lab::lab::{self, Record};

use crate::args::AddonArgs;
use crate::context::Context;

/// The flags of `meshy install`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meshy install ingress-nginx\n  meshy install linkerd --image-registry localhost:5000"
)]
pub struct Args {
    /// The add-on
    #[arg(value_enum)]
    addon: Addon,
    #[command(flatten)]
    flags: AddonArgs,
}

/// What can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Addon {
    /// The ingress controller
    IngressNginx,
    /// The mesh
    Linkerd,
}

/// Installs the add-on into the lab's cluster or that of `--context`, and verifies that it works.
///
/// # Errors
/// Returns an error if there is no such cluster, a flag contradicts the add-on, or the add-on does not become ready.
pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<Exit> {
    let request = args.flags.request();
    let contradicts = match args.addon {
        Addon::IngressNginx => request.ingress == Some(Ingress::None),
        Addon::Linkerd => request.mesh == Some(Mesh::None),
    };
    if contradicts {
        return Err(anyhow::anyhow!(
            "`--ingress none` and `--mesh none` exclude the add-on that is to be installed"
        ))
        .exit(Exit::Usage);
    }
    let record = match &context.context {
        Some(named) => Record::on_context(named)?,
        None => Some(cluster::lab(context)?),
    };
    let choice = request.choice(record.as_ref().and_then(|record| record.addons.as_ref()))?;
    let options = only(args.addon, request.options(&choice, false, false)?);
    let built_in = record.as_ref().map(|record| cluster::provider(record.provider()).built_in());
    if built_in.is_some_and(|built_in| match args.addon {
        Addon::IngressNginx => built_in.ingress,
        Addon::Linkerd => built_in.mesh,
    }) {
        if request.proxy_log.is_some() {
            return Err(anyhow::anyhow!("the embedded cluster has its mesh built in"))
                .hint("`meshy up --proxy-log LEVEL` sets the log level of its proxies")
                .exit(Exit::Usage);
        }
        context.report.say("unchanged: the embedded cluster has it built in");
        return Ok(Exit::Done);
    }
    if context.dry_run {
        for image in addons::images::needed(&options) {
            context.report.say(format!("would install image {}", image.name));
        }
        return Ok(Exit::Done);
    }
    let client = context.client_for_change("install into").await?;
    let _lock = if context.context.is_none() { Some(lab::lock(context).await?) } else { None };
    let installed = addons::install_all(&client, &options, &context.report, context.deadline).await?;
    if record.is_some() && context.context.is_none() {
        // Another command may have changed the record before this one had the lock.
        let mut record = cluster::lab(context)?;
        record.add_installed(choice, &installed);
        record.save()?;
    }
    context.data(&installed, |installed| {
        [&installed.ingress, &installed.mesh].into_iter().flatten().cloned().collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

/// Leaves one add-on in the options.
fn only(addon: Addon, options: Options) -> Options {
    match addon {
        Addon::IngressNginx => Options { ingress: Ingress::Nginx, mesh: Mesh::None, ..options },
        Addon::Linkerd => Options { ingress: Ingress::None, mesh: Mesh::Linkerd, ..options },
    }
}
