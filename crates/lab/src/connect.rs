//! From the flags to a client: the lab's own cluster, or the one that `--context` names. Never the current context.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use kube::client::{Body, ClientBuilder};
use tower::util::MapRequestLayer;

use crate::cluster::{self, kubeconfig};
use crate::lab::Env;
use crate::lab::{self, Record};
use meshy_base::error::{Advise, Exit};

mod credential;
mod endpoint;
mod exec;
mod load;
mod once;
mod paths;
mod proxy;
mod settings;
mod watched;

pub use endpoint::Endpoint;
use load::Loaded;

impl Env {
    /// The lab's record, if the lab exists.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn lab(&self) -> anyhow::Result<Option<Record>> {
        Record::load(&self.name)
    }

    /// The lab of the flags, or the one whose context `--context` names, if there is one.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn used_lab(&self) -> anyhow::Result<Option<Record>> {
        match &self.context {
            Some(named) => Record::on_context(named),
            None => self.lab(),
        }
    }

    /// A client for the lab's cluster or for `--context`.
    ///
    /// # Errors
    /// There is no such lab or context; the lab is stopped; the kubeconfig cannot be read. No request is sent to the cluster yet.
    pub async fn client(&self) -> anyhow::Result<kube::Client> {
        match (&self.context, self.lab()?) {
            (Some(context), _) => client(context, self.kubeconfig.as_deref()).await,
            (None, Some(lab)) => {
                cluster::reach::refuse_stopped(&lab)?;
                self.client_of(&lab).await
            }
            (None, None) => Err(lab::absent(&self.name)),
        }
    }

    /// Checks that the kubeconfig has the context that `--context` names, before any request or change.
    ///
    /// # Errors
    /// It has none of that name; a kubeconfig cannot be read.
    pub fn check_named(&self) -> anyhow::Result<()> {
        let Some(named) = &self.context else { return Ok(()) };
        let loaded = Loaded::read(kubeconfig::files(self.kubeconfig.as_deref())?)?;
        loaded.context(named).map(drop)
    }

    /// As [`Env::client`], for a command that changes the cluster: before one that no lab is on is changed, the user is
    /// asked.
    ///
    /// # Errors
    /// Those of [`Env::client`]; the user did not consent.
    pub async fn client_for_change(&self, act: &str) -> anyhow::Result<kube::Client> {
        if let Some(named) = &self.context
            && Record::on_context(named)?.is_none()
        {
            cluster::consent(self, act, named)?;
        }
        self.client().await
    }

    /// A client for a lab's cluster.
    ///
    /// # Errors
    /// The kubeconfig cannot be read, or its context of that name is not the lab's.
    pub async fn client_of(&self, lab: &Record) -> anyhow::Result<kube::Client> {
        client_of(lab, self.kubeconfig.as_deref()).await
    }
}

/// A client for a lab's cluster, through the given kubeconfig or else the one that the lab's context is in.
///
/// # Errors
/// The kubeconfig cannot be read, or its context of that name is not the lab's.
pub async fn client_of(lab: &Record, given: Option<&Path>) -> anyhow::Result<kube::Client> {
    connect(&loaded_of(lab, given)?, &lab.context).await
}

/// Reads the kubeconfig that a lab's context is in, and checks that the context is the lab's.
fn loaded_of(lab: &Record, given: Option<&Path>) -> anyhow::Result<Loaded> {
    let given = given.or(lab.kubeconfig.as_deref());
    let folder = lab::folder(&lab.name)?;
    // A lab on a cluster that meshy did not create has put no entry into a kubeconfig.
    let Some(note) = kubeconfig::Note::load(&folder)? else { return Loaded::read(kubeconfig::files(given)?) };
    let loaded = Loaded::read(vec![kubeconfig::of_lab(given, &folder)?])?;
    let context = loaded.context(&lab.context);
    let context = context.hint("`meshy up` adds the lab's context again").exit(Exit::Prerequisite)?;
    if context.lab() != Some(&note.id) {
        let file = context.file.display();
        return Err(anyhow!(
            "context `{}` of {file} is not the one that lab `{}` created",
            lab.context,
            lab.name
        ))
        .hint("rename or remove that context, then `meshy up` adds the lab's own again")
        .id("kubeconfig-foreign")
        .exit(Exit::Prerequisite);
    }
    Ok(loaded)
}

/// A client for a context of the given kubeconfig or of the user's.
///
/// # Errors
/// A kubeconfig cannot be read; there is no such context; what it refers to is invalid.
pub(crate) async fn client(context: &str, given: Option<&Path>) -> anyhow::Result<kube::Client> {
    connect(&Loaded::read(kubeconfig::files(given)?)?, context).await
}

async fn connect(loaded: &Loaded, context: &str) -> anyhow::Result<kube::Client> {
    let found = loaded.context(context)?;
    let build = async {
        let (mut config, credential) = settings::of(loaded, &found).await?;
        // `--timeout` decides, and names what was waited for.
        (config.connect_timeout, config.write_timeout) = (None, None);
        let server = config.cluster_url.clone();
        let current = credential.renewed();
        let build = |config: kube::Config| {
            let builder =
                ClientBuilder::try_from(config).context("cannot prepare the connection to the cluster")?;
            let Some(current) = current.clone() else { return anyhow::Ok(builder.build()) };
            let authorize = move |mut request: http::Request<Body>| {
                let header = current.read().expect("no panic while held").clone();
                request.headers_mut().insert(http::header::AUTHORIZATION, header);
                request
            };
            Ok(builder.with_layer(&MapRequestLayer::new(authorize)).build())
        };
        let mut single = config.clone();
        single.default_retry = false;
        let plain = once::client(build(config)?, build(single)?);
        Ok(meshy_kube::checked(watched::client(plain, context), &server))
    };
    let built: anyhow::Result<kube::Client> = build.await;
    let built = built.with_context(|| format!("cannot use context `{}`", load::shown(context)));
    match built {
        Err(error) if meshy_base::error::exit_of(&error) == Exit::Failed => {
            Err(error).exit(Exit::Prerequisite)
        }
        built => built,
    }
}

/// Makes a client from a kubeconfig's text, as any command with `--context` does. For tests with hostile kubeconfigs: a
/// program that the text names is not run.
///
/// # Errors
/// The text is not a kubeconfig with a usable context of that name.
#[doc(hidden)]
pub async fn client_from_text(text: &str, context: &str) -> anyhow::Result<kube::Client> {
    let mut loaded = Loaded::of_text(&PathBuf::from("/nonexistent/config"), text)?;
    loaded.forget_plugins();
    connect(&loaded, context).await
}
