//! What the background process writes to its stdout, in one line of JSON: that its cluster is ready, or why not.

use anyhow::anyhow;
use serde::{Deserialize, Serialize};

use meshy_base::error::{self, AdviseError};

/// The line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Started {
    /// The cluster is ready.
    Ready(Ready),
    /// It did not start.
    Failed(Failed),
}

/// A cluster that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// A kubeconfig for the cluster.
    pub(crate) kubeconfig: String,
    /// Where its ingress listens.
    pub(crate) ingress_port: u16,
}

/// Why a cluster did not start: an error that crosses the pipe with its causes and hints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failed {
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Failed {
    /// Takes an error apart.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let causes = error.chain().map(ToString::to_string).collect();
        Self { causes, hints: error::hints(error).into_iter().map(str::to_owned).collect() }
    }

    /// Puts it together again.
    pub(crate) fn into_error(self) -> anyhow::Error {
        let mut causes = self.causes.into_iter().rev();
        let first = anyhow!("{}", causes.next().unwrap_or_else(|| "no reason is known".to_owned()));
        let error = causes.fold(first, anyhow::Error::context);
        self.hints.into_iter().rev().fold(error, |error, hint| error.hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use meshy_base::error::Advise;

    use super::*;

    #[test]
    fn an_error_keeps_its_causes_and_hints_over_the_pipe() {
        let error =
            Err::<(), _>(anyhow!("disk full")).hint("free some space").context("cannot write").hint("again");
        let line = serde_json::to_string(&Started::Failed(Failed::of(&error.unwrap_err()))).unwrap();
        let Started::Failed(failed) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        let error = failed.into_error();
        assert_eq!(meshy_kube::failure::texts(&error), ["cannot write", "disk full"]);
        assert_eq!(error::hints(&error), ["again", "free some space"]);
    }
}
