//! A cluster that meshy did not create: used with its owner's consent, left as it was found.

use anyhow::{Context as _, anyhow};

use super::{Part, consent};
use crate::lab::Env;
use crate::lab::{self, Record};
use meshy_base::error::{Advise, AdviseError, Exit};

/// The provider.
#[derive(Clone, Copy, Debug)]
pub struct Existing;

impl Existing {
    pub(super) fn plan(self, env: &Env, known: Option<Record>) -> anyhow::Result<Record> {
        let asked = env.context.as_ref();
        if let Some(known) = known {
            if asked.is_some_and(|a| *a != known.context) {
                return Err(anyhow!("lab `{}` is on context `{}`", known.name, known.context))
                    .hint("`--name` creates another lab")
                    .exit(Exit::Usage);
            }
            return Ok(known);
        }
        let asked =
            asked.context("no context was named").hint("`--context` names the cluster").exit(Exit::Usage)?;
        consent(env, "install into", asked)?;
        let mut record = Record::new(&env.name, lab::Provider::Existing, asked.clone());
        record.kubeconfig = env.kubeconfig.as_deref().map(std::path::absolute).transpose()?;
        Ok(record)
    }

    pub(super) async fn ensure(self, env: &Env, mut record: Record) -> anyhow::Result<Record> {
        let thing = format!("context `{}`", record.context);
        let ask = async {
            let client = env.client_of(&record).await?;
            let version = client.apiserver_version().await;
            let version = version
                .with_context(|| format!("the cluster of context `{}` does not respond", record.context))
                .exit(Exit::Prerequisite)?;
            Ok(((), format!("Kubernetes {}", version.git_version)))
        };
        env.report.run("Reaching", thing, ask).await?;
        record.made = true;
        record.save()?;
        Ok(record)
    }

    pub(super) fn parts(self, record: &Record) -> Vec<Part> {
        let name = format!("context `{}`", record.context);
        vec![Part { name, ready: true, state: "not created by meshy".to_owned(), address: None }]
    }

    /// Returns the error of an act that only the cluster's owner can do.
    pub(super) fn not_ours(self, record: &Record, act: &str) -> anyhow::Error {
        let error =
            anyhow!("meshy did not create the cluster of lab `{}` and does not {act} it", record.name);
        error.exit(Exit::Usage)
    }

    pub(super) async fn delete(self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        let client = env.client_of(record).await?;
        let (removed, kept) = meshy_kube::own::remove(&client, env.deadline).await?;
        for line in kept {
            env.report.say(format!("kept {line}"));
        }
        Ok(removed)
    }

    pub(super) async fn would_delete(self, env: &Env, record: &Record) -> anyhow::Result<Vec<String>> {
        let client = env.client_of(record).await?;
        let (own, _) = meshy_kube::own::list(&meshy_kube::Kinds::new(client)).await?;
        Ok(own.iter().map(meshy_kube::manifest::describe).collect())
    }
}
