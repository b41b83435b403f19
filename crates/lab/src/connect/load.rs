//! Reading one context of the kubeconfigs, as kubectl merges them: the first file that has an entry wins, and files that do
//! not exist are skipped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cluster::kubeconfig::{lab_in, read};
use meshy_base::error::{Advise, AdviseError, Exit};

/// How many names an error lists.
const SHOWN: usize = 10;

/// The kubeconfigs, with each document's file.
pub(super) struct Loaded {
    files: Vec<PathBuf>,
    documents: Vec<(PathBuf, Value)>,
}

/// An entry and the file that it is in; relative paths in the entry start at the file's folder.
pub(super) struct Found<T> {
    pub(super) file: PathBuf,
    pub(super) name: String,
    pub(super) content: T,
}

/// What a context refers to.
#[derive(Deserialize)]
pub(super) struct Context {
    pub(super) cluster: Option<String>,
    pub(super) user: Option<String>,
    pub(super) namespace: Option<String>,
    extensions: Option<Value>,
}

impl Found<Context> {
    /// The id of the lab that created the context.
    pub(super) fn lab(&self) -> Option<&str> {
        lab_in(self.content.extensions.as_ref()?)
    }
}

/// How a cluster is reached.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    pub(super) server: Option<String>,
    pub(super) insecure_skip_tls_verify: Option<bool>,
    pub(super) certificate_authority: Option<String>,
    pub(super) certificate_authority_data: Option<String>,
    pub(super) proxy_url: Option<String>,
    pub(super) tls_server_name: Option<String>,
    pub(super) disable_compression: Option<bool>,
    pub(super) extensions: Option<Value>,
}

/// Who a request is from. Not `Debug`: it holds secrets.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct User {
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) token: Option<String>,
    #[serde(rename = "tokenFile")]
    pub(super) token_file: Option<String>,
    pub(super) client_certificate: Option<String>,
    pub(super) client_certificate_data: Option<String>,
    pub(super) client_key: Option<String>,
    pub(super) client_key_data: Option<String>,
    #[serde(rename = "as")]
    pub(super) impersonate: Option<String>,
    pub(super) as_uid: Option<String>,
    pub(super) as_groups: Option<Vec<String>>,
    pub(super) as_user_extra: Option<HashMap<String, Vec<String>>>,
    pub(super) auth_provider: Option<AuthProvider>,
    pub(super) exec: Option<Exec>,
}

/// A credential that another tool has put into the kubeconfig.
#[derive(Deserialize)]
pub(super) struct AuthProvider {
    pub(super) name: String,
    pub(super) config: Option<HashMap<String, String>>,
}

/// A program that issues a credential.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    pub(super) api_version: Option<String>,
    pub(super) command: String,
    pub(super) args: Option<Vec<String>>,
    pub(super) env: Option<Vec<Variable>>,
    pub(super) install_hint: Option<String>,
    pub(super) interactive_mode: Option<String>,
    #[serde(default)]
    pub(super) provide_cluster_info: bool,
}

/// A variable of the environment of that program.
#[derive(Clone, Deserialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

impl Loaded {
    /// Reads kubeconfigs.
    ///
    /// # Errors
    /// A file cannot be read or is not a kubeconfig.
    pub(super) fn read(files: Vec<PathBuf>) -> anyhow::Result<Self> {
        let mut documents = Vec::new();
        for file in &files {
            let Some(text) = read::text(file).exit(Exit::Usage)? else { continue };
            documents.extend(parse(file, &text).exit(Exit::Usage)?);
        }
        Ok(Self { files, documents })
    }

    /// Reads a kubeconfig's text.
    ///
    /// # Errors
    /// The text is not a kubeconfig.
    pub(super) fn of_text(file: &Path, text: &str) -> anyhow::Result<Self> {
        Ok(Self { files: vec![file.to_owned()], documents: parse(file, text)? })
    }

    /// Removes the exec plugins of all users.
    pub(super) fn forget_plugins(&mut self) {
        for (_, document) in &mut self.documents {
            let users = document.get_mut("users").and_then(Value::as_array_mut);
            for user in users.into_iter().flatten() {
                if let Some(user) = user.get_mut("user").and_then(Value::as_object_mut) {
                    user.remove("exec");
                }
            }
        }
    }

    /// Returns a context.
    ///
    /// # Errors
    /// There is none of that name: the error lists those that there are, the most similar ones first.
    pub(super) fn context(&self, name: &str) -> anyhow::Result<Found<Context>> {
        self.entry("contexts", "context", name)?.ok_or_else(|| self.absent(name))
    }

    /// Returns the cluster of a context.
    ///
    /// # Errors
    /// The context names no cluster, or one that no kubeconfig has.
    pub(super) fn cluster(&self, context: &Found<Context>) -> anyhow::Result<Found<Cluster>> {
        let of = format!("context `{}` of {}", shown(&context.name), context.file.display());
        let Some(name) = &context.content.cluster else { return Err(anyhow!("{of} has no cluster")) };
        let found = self.entry("clusters", "cluster", name)?;
        found.ok_or_else(|| anyhow!("{of} refers to cluster `{}`, which no kubeconfig has", shown(name)))
    }

    /// Returns the user of a context. As for kubectl, a context without one, or with one that does not exist, is anonymous.
    ///
    /// # Errors
    /// The user's entry has a field of another type.
    pub(super) fn user(&self, context: &Found<Context>) -> anyhow::Result<Found<User>> {
        let name = context.content.user.clone().unwrap_or_default();
        let anonymous = || Found { file: context.file.clone(), name: name.clone(), content: User::default() };
        Ok(self.entry("users", "user", &name)?.unwrap_or_else(anonymous))
    }

    fn entry<T: DeserializeOwned>(
        &self,
        section: &str,
        key: &str,
        name: &str,
    ) -> anyhow::Result<Option<Found<T>>> {
        let all = self.documents.iter().flat_map(|(file, document)| {
            let entries = document[section].as_array().into_iter().flatten();
            entries.map(move |entry| (file, entry))
        });
        let Some((file, entry)) = all.into_iter().find(|(_, entry)| entry["name"] == name) else {
            return Ok(None);
        };
        match serde_json::from_value(entry[key].clone()) {
            Ok(content) => Ok(Some(Found { file: file.clone(), name: name.to_owned(), content })),
            // The cause would show the value, which may be a secret.
            Err(_) => {
                let name = shown(name);
                Err(anyhow!("cannot read {}: {key} `{name}` has a field of a wrong type", file.display()))
                    .exit(Exit::Usage)
            }
        }
    }

    fn absent(&self, name: &str) -> anyhow::Error {
        let contexts = self.documents.iter().filter_map(|(_, document)| document["contexts"].as_array());
        let mut names: Vec<&str> =
            contexts.flatten().filter_map(|context| context["name"].as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // Long names would take minutes and could not be a typing error.
        let distance = |other: &str| {
            if other.len() > 256 { usize::MAX } else { strsim::damerau_levenshtein(name, other) }
        };
        if name.len() <= 256 {
            names.sort_by_cached_key(|other| distance(other));
        }
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let mut listed: Vec<String> = names.into_iter().map(|name| format!("`{}`", shown(name))).collect();
        if more > 0 {
            listed.push(format!("and {more} more"));
        }
        let there = if listed.is_empty() {
            "there are none".to_owned()
        } else {
            format!("there are {}", listed.join(", "))
        };
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let error = anyhow!("no context `{}` in kubeconfig {}; {there}", shown(name), files.join(", "));
        error.id("context-absent").exit(Exit::Usage)
    }
}

/// A name without control characters, which a terminal would obey.
pub(super) fn shown(name: &str) -> String {
    name.chars()
        .take(256)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

fn parse(file: &Path, text: &str) -> anyhow::Result<Vec<(PathBuf, Value)>> {
    let wrong = |cause: anyhow::Error| cause.context(format!("cannot read {}", file.display()));
    let documents = read::documents(text).map_err(wrong)?;
    let mut found = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(_) => found.push((file.to_owned(), document)),
            _ => return Err(wrong(anyhow!("expected a kubeconfig, found another value"))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn loaded(texts: &[Option<&str>]) -> (tempfile::TempDir, Loaded) {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..texts.len()).map(|i| folder.path().join(i.to_string())).collect();
        for (file, text) in files.iter().zip(texts) {
            if let Some(text) = text {
                fs::write(file, text).unwrap();
            }
        }
        let loaded = Loaded::read(files).unwrap();
        (folder, loaded)
    }

    #[test]
    fn the_first_file_wins_and_missing_ones_are_skipped() {
        let (_folder, loaded) = loaded(&[
            None,
            Some("contexts: [{name: a, context: {cluster: c, user: u}}]\n"),
            Some(
                "contexts: [{name: a, context: {cluster: no}}]\nclusters: [{name: c, cluster: {server: 'https://h'}}]\n",
            ),
        ]);
        let context = loaded.context("a").unwrap();
        let cluster = loaded.cluster(&context).unwrap();
        assert_eq!(cluster.content.server.as_deref(), Some("https://h"));
        assert!(cluster.file.ends_with("2"));
        assert!(loaded.user(&context).unwrap().content.token.is_none());
    }

    #[test]
    fn an_absent_context_is_reported_with_the_nearest_names_first() {
        let names: Vec<String> = (0..20).map(|i| format!("{{name: other-{i:02}}}")).collect();
        let text = format!("contexts: [{}, {{name: prod}}, {{name: \"prud\\e[2J\"}}]\n", names.join(", "));
        let (folder, loaded) = loaded(&[Some(&text), None]);
        let error = loaded.context("prd").err().unwrap();
        let (first, second) = (folder.path().join("0"), folder.path().join("1"));
        let files = format!("{}, {}", first.display(), second.display());
        let there = "there are `prod`, `prud\\u{1b}[2J`, `other-00`, `other-01`";
        let begin = format!("no context `prd` in kubeconfig {files}; {there}");
        assert!(error.to_string().starts_with(&begin), "{error}");
        assert!(error.to_string().ends_with(", and 12 more"), "{error}");
        assert_eq!(meshy_base::error::exit_of(&error), Exit::Usage);
        let error = loaded.context("prud").err().unwrap();
        assert!(error.to_string().contains("`prod`, `prud\\u{1b}[2J`"), "{error}");
        let (_folder, loaded) = self::loaded(&[None]);
        assert!(loaded.context("a").err().unwrap().to_string().ends_with("; there are none"));
    }

    #[test]
    fn an_entry_of_a_wrong_type_is_reported_without_its_value() {
        let (_folder, loaded) = loaded(&[Some(
            "contexts: [{name: a, context: {user: u}}]\nusers: [{name: u, user: {token: [SECRET]}}]\n",
        )]);
        let context = loaded.context("a").unwrap();
        let error = loaded.user(&context).err().unwrap().to_string();
        assert!(
            error.ends_with("user `u` has a field of a wrong type") && !error.contains("SECRET"),
            "{error}"
        );
        assert!(loaded.cluster(&context).err().unwrap().to_string().ends_with("has no cluster"));
    }
}
