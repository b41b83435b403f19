//! Deleting what was applied, in the opposite order.

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use tokio::time::Instant;

use super::kinds::absent_if_not_served;
use super::{Kinds, Object, manifest, rank, wait};

/// How many deletions are on their way at once.
const AT_ONCE: usize = 8;

/// Deletes objects, last rank first, and waits until each is gone. What is not there is passed over, as is a kind that the
/// cluster does not serve. Gives the descriptions of what was there.
///
/// # Errors
/// The API server does not respond as it should, a refusal, or an object that is not gone at the deadline (naming the finalizers that hold it).
pub async fn delete(kinds: &Kinds, objects: Vec<Object>, deadline: Instant) -> anyhow::Result<Vec<String>> {
    let mut deleted = Vec::new();
    for (_, group) in rank::groups(objects).into_iter().rev() {
        let gone: Vec<Option<String>> = stream::iter(group)
            .map(|object| one(kinds, object, deadline))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        deleted.extend(gone.into_iter().flatten());
    }
    Ok(deleted)
}

async fn one(kinds: &Kinds, object: Object, deadline: Instant) -> anyhow::Result<Option<String>> {
    let what = manifest::describe(&object);
    let Some(api) = absent_if_not_served(kinds.api(&object, "default").await)? else { return Ok(None) };
    let name = object.name_any();
    match api.delete(&name, &DeleteParams::foreground()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot delete {what}")),
    }
    wait::gone(api, &name, deadline).await?;
    Ok(Some(what))
}
