//! The three providers as one type.

use super::embedded::Embedded;
use super::existing::Existing;
use super::kind::Kind;
use super::{BuiltIn, Part, Spec};
use crate::lab::{Env, Programs, Record};

/// Where clusters come from.
#[derive(Debug)]
pub enum Provider {
    /// Kubernetes in Docker.
    Kind(Kind),
    /// A cluster that meshy did not create.
    Existing(Existing),
    /// The embedded cluster in this program.
    Embedded(Embedded),
}

impl Provider {
    /// Returns what its clusters have without an installation.
    pub fn built_in(&self) -> BuiltIn {
        match self {
            Self::Kind(_) | Self::Existing(_) => BuiltIn::default(),
            Self::Embedded(embedded) => embedded.built_in(),
        }
    }

    /// Checks that it can work here and decides what is not decided yet (ports, names). Creates nothing; removes what a
    /// killed run left half made, so that its ports count as free.
    ///
    /// # Errors
    /// A prerequisite is missing.
    pub async fn plan(&self, env: &Env, spec: &Spec, known: Option<Record>) -> anyhow::Result<Record> {
        match self {
            Self::Kind(kind) => kind.plan(env, spec, known).await,
            Self::Existing(existing) => existing.plan(env, known),
            Self::Embedded(embedded) => embedded.plan(env, spec, known),
        }
    }

    /// Creates the cluster unless it is there and whole; returns the record with what came out.
    ///
    /// # Errors
    /// The cluster cannot be created; the error has the text of the program that refused.
    pub async fn ensure(&self, env: &Env, record: Record) -> anyhow::Result<Record> {
        match self {
            Self::Kind(kind) => kind.ensure(env, record).await,
            Self::Existing(existing) => existing.ensure(env, record).await,
            Self::Embedded(embedded) => embedded.ensure(env, record).await,
        }
    }

    /// Creates the private registry unless it is there; returns its port. None where images come another way.
    ///
    /// # Errors
    /// The registry cannot be created.
    pub async fn ensure_registry(&self, env: &Env, record: &Record) -> anyhow::Result<Option<u16>> {
        match self {
            Self::Kind(kind) => kind.ensure_registry(env, record).await,
            Self::Existing(_) | Self::Embedded(_) => Ok(None),
        }
    }

    /// Lets the cluster's nodes pull from the registry, and verifies it with the record's image where that is in there.
    ///
    /// # Errors
    /// Nodes and registry cannot be joined, or a node cannot pull.
    pub async fn connect(&self, env: &Env, record: &Record) -> anyhow::Result<()> {
        match self {
            Self::Kind(kind) => kind.connect(env, record).await,
            Self::Existing(_) | Self::Embedded(_) => Ok(()),
        }
    }

    /// Whether containers of an image can run: without a container engine, only those with a program.
    pub fn runs(&self, record: &Record, image: &str) -> bool {
        match self {
            Self::Kind(_) | Self::Existing(_) => true,
            Self::Embedded(_) => {
                let programs = record.programs().map(Programs::local).unwrap_or_default();
                meshy_embedded::has_program(image, &programs)
            }
        }
    }

    /// Returns the parts as they are now.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub async fn parts(&self, record: &Record) -> anyhow::Result<Vec<Part>> {
        match self {
            Self::Kind(kind) => kind.parts(record).await,
            Self::Existing(existing) => Ok(existing.parts(record)),
            Self::Embedded(embedded) => embedded.parts(record),
        }
    }

    /// Returns what of the cluster is stopped, as a clause for an error; none when it runs, or cannot be started from here.
    ///
    /// # Errors
    /// As [`Provider::parts`].
    pub async fn stopped(&self, record: &Record) -> anyhow::Result<Option<String>> {
        match self {
            Self::Kind(kind) => kind.stopped(record).await,
            Self::Existing(_) | Self::Embedded(_) => self.stopped_process(record),
        }
    }

    /// As [`Provider::stopped`], for a cluster that is a process of this machine: without a request to any process.
    ///
    /// # Errors
    /// The process cannot be looked for.
    pub(crate) fn stopped_process(&self, record: &Record) -> anyhow::Result<Option<String>> {
        match self {
            Self::Kind(_) | Self::Existing(_) => Ok(None),
            Self::Embedded(embedded) => embedded.stopped_process(record),
        }
    }

    /// Starts what was stopped.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(&self, env: &Env, record: Record) -> anyhow::Result<Record> {
        match self {
            Self::Kind(kind) => kind.start(env, record).await,
            Self::Existing(existing) => Err(existing.not_ours(&record, "start")),
            Self::Embedded(embedded) => embedded.ensure(env, record).await,
        }
    }

    /// Stops everything and keeps it.
    ///
    /// # Errors
    /// Something does not stop.
    pub async fn stop(&self, env: &Env, record: &Record) -> anyhow::Result<()> {
        match self {
            Self::Kind(kind) => kind.stop(env, record).await,
            Self::Existing(existing) => Err(existing.not_ours(record, "stop")),
            Self::Embedded(embedded) => embedded.stop(env, record).await,
        }
    }

    /// Removes everything that the lab made and verifies it; returns what was removed.
    ///
    /// # Errors
    /// Something remains.
    pub async fn delete(&self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Kind(kind) => kind.delete(env, record).await,
            Self::Existing(existing) => existing.delete(env, record).await,
            Self::Embedded(embedded) => embedded.delete(env, record).await,
        }
    }

    /// Returns what [`Provider::delete`] would remove.
    ///
    /// # Errors
    /// The processes cannot be listed.
    pub(crate) async fn would_delete(&self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Existing(existing) => existing.would_delete(env, record).await,
            Self::Kind(_) | Self::Embedded(_) => {
                let context = format!("context `{}` of the kubeconfig", record.context);
                let parts = self.parts(record).await?.into_iter().map(|part| part.name);
                Ok(parts.chain([context]).collect())
            }
        }
    }
}
