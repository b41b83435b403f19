//! The changes of one run: captured, journalled, and restored at its end.

use anyhow::{Context as _, anyhow};
use kube::api::ListParams;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::capture::Captured;
use super::change::{Options, Outcome, PolicyChange, Temporary, route_place};
use super::journal::{Held, Journal};
use super::namespace;
use super::owners::RETRY_PREFIX;
use super::revert::{Reverted, revert};
use crate::services;
use crate::test_service::{self, FaultChange};
use meshy_base::Report;
use meshy_base::error::{Advise, Exit};
use meshy_kube::Kinds;
use meshy_metrics::routes::Service;

/// The end of the run was requested.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the run was ended")]
pub struct Stopped;

/// The policies and faults that a run has changed. End it with [`Session::restore`]; what a killed run leaves, the next one
/// or [`restore_left`] restores.
#[derive(Debug)]
pub struct Session {
    kinds: Kinds,
    options: Options,
    stop: watch::Receiver<bool>,
    journal: Option<Journal>,
    held: Held,
}

impl Session {
    /// Begins a run that changes a lab: first what an earlier run left is restored.
    ///
    /// # Errors
    /// Another run changes this cluster at present; what was left cannot be restored; the journal cannot be written.
    pub async fn begin(
        kinds: &Kinds,
        command: &str,
        (force, deadline): (bool, Instant),
        stop: watch::Receiver<bool>,
        report: &Report,
    ) -> anyhow::Result<Self> {
        let mut journal = Journal::open(kinds.client()).await?;
        recover(kinds, &journal, report).await?;
        journal.begin(command)?;
        Ok(Self { journal: Some(journal), ..Self::unrestored(kinds, (force, deadline), stop) })
    }

    /// Begins a run on a cluster that ends with the run: nothing is restored.
    pub fn unrestored(
        kinds: &Kinds,
        (force, deadline): (bool, Instant),
        stop: watch::Receiver<bool>,
    ) -> Self {
        let options = Options { force, dry_run: false, deadline };
        Self { kinds: kinds.clone(), options, stop, journal: None, held: Held::default() }
    }

    /// Waits for something that changes nothing, and so may be ended at any time.
    ///
    /// # Errors
    /// [`Stopped`] once the run shall end; the work's own.
    pub async fn wait<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let mut stop = self.stop.clone();
        tokio::select! {
            biased;
            Ok(_) = stop.wait_for(|stop| *stop) => Err(Stopped.into()),
            done = work => done,
        }
    }

    /// Captures what these changes concern, without changing it.
    ///
    /// # Errors
    /// Another field manager holds a field that one of them changes; an object cannot be read.
    pub async fn hold(&mut self, changes: &[PolicyChange]) -> anyhow::Result<()> {
        for change in changes {
            let number = self.captured(change).await?;
            let check = change.check(&self.held.objects[number], self.options.force, Temporary);
            check.hint("`--force` takes the fields over for the run and gives them back at its end")?;
        }
        Ok(())
    }

    /// Makes a change, until the end of the run.
    ///
    /// # Errors
    /// As [`Session::hold`]; another tool has changed the object since the run began; the API server refuses.
    pub async fn apply(&mut self, change: &PolicyChange) -> anyhow::Result<Outcome> {
        self.hold(std::slice::from_ref(change)).await?;
        let number = self.captured(change).await?;
        let captured = &self.held.objects[number];
        self.undisturbed(captured).await?;
        let plan = change.plan(captured, Temporary);
        let wanted = change.place().state(plan.as_ref());
        if let Some(journal) = &mut self.journal {
            journal.writes(number, &wanted)?;
        }
        self.held.objects[number].writes(wanted);
        let written =
            change.write(&self.kinds, &self.held.objects[number], plan, &self.options, Temporary).await;
        let (outcome, state) = written?;
        if let Some(journal) = &mut self.journal {
            journal.stored(number, &state)?;
        }
        self.held.objects[number].stored(state);
        Ok(outcome)
    }

    /// The number of the captured object that a change concerns.
    async fn captured(&mut self, change: &PolicyChange) -> anyhow::Result<usize> {
        if let Some(number) = self.held.objects.iter().position(|held| held.place == *change.place()) {
            return Ok(number);
        }
        let captured = Captured::of(self.kinds.client(), change.place().clone()).await?;
        if let Some(journal) = &mut self.journal {
            journal.object(&captured)?;
        }
        self.held.objects.push(captured);
        Ok(self.held.objects.len() - 1)
    }

    /// Refuses to overwrite a change that another tool made during the run.
    async fn undisturbed(&self, captured: &Captured) -> anyhow::Result<()> {
        let now = captured.place.state(captured.place.read(self.kinds.client()).await?.as_ref());
        if now == captured.place.state(captured.before.as_ref()) || captured.wrote(&now) {
            return Ok(());
        }
        Err(anyhow!("the {} was changed by another tool during the run", captured.place.describe()))
            .exit(Exit::Failed)
    }

    /// Removes the retries of a service: its profile, its annotations and those of its HTTPRoutes.
    ///
    /// # Errors
    /// As [`Session::apply`].
    pub async fn without_retries(&mut self, service: &Service) -> anyhow::Result<()> {
        self.without(service, PolicyChange::retries(service, &Default::default())).await
    }

    /// As [`Session::without_retries`], where the run changes timeouts and circuit breakers, too.
    ///
    /// # Errors
    /// As [`Session::apply`].
    pub async fn without_policies(&mut self, service: &Service) -> anyhow::Result<()> {
        self.without(service, PolicyChange::annotations(service, &Default::default())).await
    }

    async fn without(&mut self, service: &Service, annotations: PolicyChange) -> anyhow::Result<()> {
        let profile = super::profile_name(service);
        let mut changes = vec![PolicyChange::no_profile(&profile, &service.namespace), annotations];
        for route in retried_routes(self.kinds.client(), service).await? {
            changes.push(PolicyChange::no_retries_of_route(&service.namespace, &route));
        }
        self.hold(&changes).await?;
        for change in &changes {
            self.apply(change).await?;
        }
        Ok(())
    }

    /// Restores an object now, as it was before the run.
    ///
    /// # Errors
    /// Another tool has changed the object since the run began; the API server refuses.
    pub async fn undo(&mut self, change: &PolicyChange) -> anyhow::Result<()> {
        let number = self.captured(change).await?;
        let captured = &self.held.objects[number];
        match revert(self.kinds.client(), captured).await? {
            Reverted::Restored | Reverted::Unchanged => {}
            Reverted::LeftAlone(why) => return Err(anyhow!("{why}")).exit(Exit::Failed),
        }
        let state = captured.place.state(captured.before.as_ref());
        if let Some(journal) = &mut self.journal {
            journal.writes(number, &state)?;
            journal.stored(number, &state)?;
        }
        self.held.objects[number].writes(state.clone());
        self.held.objects[number].stored(state);
        Ok(())
    }

    /// Notes a namespace that the run creates; it is deleted at the end of the run.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub fn namespace(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.namespace(name)?;
        }
        self.held.namespaces.push(name.to_owned());
        Ok(())
    }

    /// Leaves the namespaces that the run created as they are; everything else is still restored.
    pub fn keep_namespaces(&mut self) {
        let kept = std::mem::take(&mut self.held.namespaces);
        self.held.objects.retain(|object| !kept.contains(&object.place.namespace));
        self.held.faults.retain(|fault| !kept.contains(&fault.namespace));
    }

    /// Changes the faults of a test service, of `count` of its pods or of all, until the end of the run.
    ///
    /// # Errors
    /// The service has no running pod; a pod cannot be reached, or belongs to no test service.
    pub async fn fault(
        &mut self,
        service: &Service,
        count: Option<usize>,
        change: &FaultChange,
    ) -> anyhow::Result<()> {
        let client = self.kinds.client();
        let mut pods = services::pods(client, &service.namespace, &service.name).await?;
        pods.truncate(count.unwrap_or(pods.len()));
        let held = |pod: &&meshy_metrics::Pod| {
            self.held.faults.iter().any(|fault| fault.pod == pod.name && fault.namespace == pod.namespace)
        };
        let fresh: Vec<_> = pods.iter().filter(|pod| !held(pod)).cloned().collect();
        for fault in test_service::pod_faults(client, &fresh).await? {
            if let Some(journal) = &mut self.journal {
                journal.fault(&fault)?;
            }
            self.held.faults.push(fault);
        }
        test_service::change_fault(self.kinds.client(), &pods, change).await.map(drop)
    }

    /// Restores everything that this run has changed, except what other tools have changed since.
    ///
    /// # Errors
    /// Something cannot be restored; the journal stays, so that a later command can.
    pub async fn restore(self, report: &Report) -> anyhow::Result<()> {
        let Some(journal) = self.journal else { return Ok(()) };
        if !self.held.is_empty() {
            give_back(&self.kinds, &journal, &self.held, report).await?;
        }
        journal.finish()
    }
}

/// Restores what a killed run left on this cluster; returns false where there is nothing.
///
/// # Errors
/// As [`Session::begin`].
pub async fn restore_left(kinds: &Kinds, report: &Report) -> anyhow::Result<bool> {
    let Some(journal) = Journal::left(kinds.client()).await? else { return Ok(false) };
    let restored = recover(kinds, &journal, report).await?;
    journal.finish()?;
    Ok(restored)
}

async fn recover(kinds: &Kinds, journal: &Journal, report: &Report) -> anyhow::Result<bool> {
    let (held, by) = journal.read()?;
    if held.is_empty() {
        return Ok(false);
    }
    report.say(format!("`{by}` was ended before it could restore policies and faults"));
    give_back(kinds, journal, &held, report).await?;
    Ok(true)
}

async fn give_back(kinds: &Kinds, journal: &Journal, held: &Held, report: &Report) -> anyhow::Result<()> {
    let step = report.step("Restoring", "the earlier policies and faults");
    let restored = restored(kinds, journal, held, report).await;
    let restored =
        step.ended(
            restored,
            |count| if *count == 1 { "1 restored".to_owned() } else { format!("{count} restored") },
        );
    restored.map(drop).context("cannot restore the policies and faults of before the run").hint(
        "`meshy run --restore` restores them later; so do the next `run`, `demo`, `sweep`, `sp`, `retry` and `split`",
    )
}

/// Restores all that can be restored; returns how much that was, or the first error.
async fn restored(kinds: &Kinds, journal: &Journal, held: &Held, report: &Report) -> anyhow::Result<usize> {
    let (mut count, mut failed) = (0, None);
    let gone = |namespace: &String| held.namespaces.contains(namespace);
    for captured in held.objects.iter().rev().filter(|object| !gone(&object.place.namespace)) {
        match revert(kinds.client(), captured).await {
            Ok(Reverted::Restored) => count += 1,
            Ok(Reverted::Unchanged) => {}
            Ok(Reverted::LeftAlone(why)) => {
                let kept = match journal.keep(captured) {
                    Ok(None) => String::new(),
                    Ok(Some(file)) => format!(" (its state before the run: {})", file.display()),
                    Err(error) => {
                        failed = failed.or(Some(error));
                        String::new()
                    }
                };
                report.warn(format!("{why}; it is left as it is{kept}"));
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    for fault in held.faults.iter().filter(|fault| !gone(&fault.namespace)) {
        match test_service::restore_fault(kinds.client(), fault).await {
            Ok(changed) => count += usize::from(changed),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    // All at once: on a real cluster each takes as long as its slowest pod, and a run has a namespace for each variant.
    let deletions = held.namespaces.iter().map(|namespace| namespace::delete(kinds.client(), namespace));
    for deleted in futures::future::join_all(deletions).await {
        match deleted {
            Ok(deleted) => count += usize::from(deleted),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(count), Err)
}

/// The HTTPRoutes of a service that carry retry annotations; none where the cluster serves no HTTPRoutes.
async fn retried_routes(client: &kube::Client, service: &Service) -> anyhow::Result<Vec<String>> {
    let api = route_place("", &service.namespace).api(client);
    let routes = match api.list(&ListParams::default()).await {
        Ok(routes) => routes.items,
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error).context("cannot list the HTTPRoutes"),
    };
    let ours = routes.into_iter().filter(|route| {
        let annotations = route.metadata.annotations.iter().flatten();
        let retried = annotations.into_iter().any(|(key, _)| key.starts_with(RETRY_PREFIX));
        let read = meshy_linkerd::httproute::HttpRoute::from_value(&json!(route));
        let of = (service.name.as_str(), service.namespace.as_str());
        retried && read.is_ok_and(|route| route.services().any(|found| found == of))
    });
    Ok(ours.filter_map(|route| route.metadata.name).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// A session whose journal is this file.
    pub(in crate::policy) fn with_journal(kinds: &Kinds, force: bool, path: &Path) -> Session {
        let mut journal = Journal::lock(path.to_owned()).unwrap();
        journal.begin("test").unwrap();
        let (_, stop) = watch::channel(false);
        let deadline = Instant::now() + Duration::from_secs(30);
        Session { journal: Some(journal), ..Session::unrestored(kinds, (force, deadline), stop) }
    }

    /// Restores what a journal holds, as a later command does.
    pub(in crate::policy) async fn recovered(kinds: &Kinds, path: &Path, report: &Report) {
        let journal = Journal::lock(path.to_owned()).unwrap();
        assert!(recover(kinds, &journal, report).await.unwrap());
        journal.finish().unwrap();
    }
}
