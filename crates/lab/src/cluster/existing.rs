//! A cluster that meshy did not make: used with its owner's consent, left as it was found.

use anyhow::{Context as _, anyhow};
use futures::future::BoxFuture;

use super::{BuiltIn, Part, Provider, Spec, consent};
use crate::lab::Env;
use crate::lab::{self, Record};
use meshy_base::error::{Advise, Exit};

/// The provider.
pub(super) struct Existing;

impl Provider for Existing {
    fn built_in(&self) -> BuiltIn {
        BuiltIn::default()
    }

    fn plan<'a>(
        &'a self,
        env: &'a Env,
        _spec: &'a Spec,
        known: Option<Record>,
    ) -> BoxFuture<'a, anyhow::Result<Record>> {
        Box::pin(async move {
            let asked = env.context.as_ref();
            if let Some(known) = known {
                if asked.is_some_and(|a| *a != known.context) {
                    return Err(anyhow!("lab `{}` is on context `{}`", known.name, known.context))
                        .hint("`--name` makes another lab")
                        .exit(Exit::Usage);
                }
                return Ok(known);
            }
            let asked = asked
                .context("no context was named")
                .hint("`--context` says which cluster")
                .exit(Exit::Usage)?;
            consent(env, "install into", asked)?;
            let mut record = Record::new(&env.name, lab::Provider::Existing, asked.clone());
            record.kubeconfig = env.kubeconfig.as_deref().map(std::path::absolute).transpose()?;
            Ok(record)
        })
    }

    fn ensure<'a>(&'a self, env: &'a Env, mut record: Record) -> BoxFuture<'a, anyhow::Result<Record>> {
        Box::pin(async move {
            let thing = format!("context `{}`", record.context);
            let ask = async {
                let client = env.client_of(&record).await?;
                let version = client.apiserver_version().await;
                let version = version
                    .with_context(|| format!("the cluster of context `{}` does not answer", record.context))
                    .exit(Exit::Prerequisite)?;
                Ok(((), format!("Kubernetes {}", version.git_version)))
            };
            env.report.run("Reaching", thing, ask).await?;
            record.made = true;
            record.save()?;
            Ok(record)
        })
    }

    fn look<'a>(&'a self, _env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<Vec<Part>>> {
        Box::pin(async move {
            let name = format!("context `{}`", record.context);
            Ok(vec![Part { name, well: true, state: "not made by meshy".to_owned(), address: None }])
        })
    }

    fn start<'a>(&'a self, _env: &'a Env, record: Record) -> BoxFuture<'a, anyhow::Result<Record>> {
        Box::pin(async move { Err(not_ours(&record, "start")) })
    }

    fn stop<'a>(&'a self, _env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<()>> {
        Box::pin(async move { Err(not_ours(record, "stop")) })
    }

    fn delete<'a>(&'a self, env: &'a Env, record: &'a Record) -> BoxFuture<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move {
            let client = env.client_of(record).await?;
            let (removed, kept) = meshy_kube::own::remove(&client, env.deadline).await?;
            for line in kept {
                env.report.say(format!("kept {line}"));
            }
            Ok(removed)
        })
    }

    fn would_delete<'a>(
        &'a self,
        env: &'a Env,
        record: &'a Record,
    ) -> BoxFuture<'a, anyhow::Result<Vec<String>>> {
        Box::pin(async move {
            let client = env.client_of(record).await?;
            let (own, _) = meshy_kube::own::list(&meshy_kube::Kinds::new(client)).await?;
            Ok(own.iter().map(meshy_kube::manifest::describe).collect())
        })
    }
}

fn not_ours(record: &Record, act: &str) -> anyhow::Error {
    let error = anyhow!("meshy did not make the cluster of lab `{}` and does not {act} it", record.name);
    Err::<(), _>(error).exit(Exit::Usage).unwrap_err()
}
