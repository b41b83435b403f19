//! The `Authorization` header of a user, and where a new one comes from when it expires.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock, Weak};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};

use super::exec::Plugin;
use super::load::{AuthProvider, Found, User, shown};
use super::paths::relative_to;
use crate::cluster::kubeconfig::read;
use meshy_base::error::{Advise, Exit};

/// How long before its end a credential is renewed.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// How often a token file is read again; kubelet and client-go do it once a minute too.
const FILE_PERIOD: SignedDuration = SignedDuration::from_secs(60);

/// How often the end of a credential is compared with the clock, which also runs while the machine sleeps.
const TICK: Duration = Duration::from_secs(10);

/// A credential for requests.
#[derive(Default)]
pub(super) struct Credential {
    /// The header, if the user has one.
    pub(super) header: Option<HeaderValue>,
    /// Client certificate and private key in PEM, if a program issued them.
    pub(super) certificate: Option<(String, String)>,
    /// What issues the next header, and when it is needed.
    renewal: Option<(Source, Timestamp)>,
}

/// What can issue a header again.
enum Source {
    File(PathBuf),
    Plugin(Box<Plugin>),
}

/// The current header, renewed until it is dropped.
pub(super) type Current = Arc<RwLock<HeaderValue>>;

impl Credential {
    /// Returns the credential of a user. `plugin` is the program that its entry names.
    ///
    /// # Errors
    /// A file cannot be read, the program fails, or a token has characters that a header cannot hold.
    pub(super) async fn of(user: &Found<User>, plugin: Option<Plugin>) -> anyhow::Result<Self> {
        let content = &user.content;
        let fixed = |header| Ok(Self { header: Some(header), ..Self::default() });
        let named = || format!("user `{}` of {}", shown(&user.name), user.file.display());
        if let Some(provider) = &content.auth_provider {
            let token = provider_token(provider)
                .with_context(|| format!("cannot use {}", named()))
                .exit(Exit::Usage)?;
            return fixed(bearer(&token).with_context(|| format!("cannot use {}", named()))?);
        }
        if let (Some(name), Some(password)) = (&content.username, &content.password) {
            return fixed(header(&format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))?);
        }
        if let Some(token) = content.token.as_ref().filter(|token| !token.is_empty()) {
            return fixed(bearer(token).with_context(|| format!("cannot use {}", named()))?);
        }
        if let Some(file) = content.token_file.as_ref().filter(|file| !file.is_empty()) {
            let file = relative_to(&user.file, file);
            let header =
                from_file(&file).with_context(|| format!("cannot use {}", named())).exit(Exit::Usage)?;
            let renewal = Some((Source::File(file), Timestamp::now() + FILE_PERIOD));
            return Ok(Self { header: Some(header), renewal, certificate: None });
        }
        let Some(plugin) = plugin else { return Ok(Self::default()) };
        let issued = plugin.run().await.with_context(|| format!("cannot use {}", named()))?;
        let header = issued
            .token
            .as_deref()
            .map(bearer)
            .transpose()
            .with_context(|| format!("cannot use {}", named()))?;
        let end = issued.expires.filter(|_| header.is_some());
        Ok(Self {
            header,
            certificate: issued.certificate,
            renewal: end.map(|end| (Source::Plugin(Box::new(plugin)), end - AHEAD)),
        })
    }

    /// Starts renewing the header. Returns the current one, or `None` if there is no header or it never expires.
    pub(super) fn renewed(self) -> Option<Current> {
        let (source, due) = self.renewal?;
        let current = Arc::new(RwLock::new(self.header?));
        tokio::spawn(renew(Arc::downgrade(&current), source, due));
        Some(current)
    }

    /// Whether the header is renewed.
    pub(super) fn expires(&self) -> bool {
        self.renewal.is_some()
    }
}

/// Replaces the header whenever it is due, until no process uses it any more.
async fn renew(current: Weak<RwLock<HeaderValue>>, source: Source, mut due: Timestamp) {
    loop {
        tokio::time::sleep(TICK).await;
        let now = Timestamp::now();
        if current.strong_count() == 0 {
            return;
        }
        if now < due {
            continue;
        }
        let next = source.next().await;
        let Some(current) = current.upgrade() else { return };
        match next {
            Ok((header, end)) => {
                *current.write().expect("no panic while held") = header;
                due = end;
            }
            // Requests fail with 401 when the old one has expired; until then they work.
            Err(error) => {
                tracing::warn!("cannot renew the credential: {error:#}");
                due = now + AHEAD;
            }
        }
    }
}

impl Source {
    async fn next(&self) -> anyhow::Result<(HeaderValue, Timestamp)> {
        match self {
            Self::File(file) => Ok((from_file(file)?, Timestamp::now() + FILE_PERIOD)),
            Self::Plugin(plugin) => {
                let issued = plugin.run().await?;
                let token = issued.token.context("the response has no token")?;
                let end = issued.expires.map_or(Timestamp::MAX, |end| end - AHEAD);
                Ok((bearer(&token)?, end))
            }
        }
    }
}

fn from_file(file: &Path) -> anyhow::Result<HeaderValue> {
    let text =
        read::text(file)?.ok_or_else(|| anyhow!("cannot read {}: there is no such file", file.display()))?;
    bearer(text.trim()).with_context(|| format!("cannot use the token in {}", file.display()))
}

fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    header(&format!("Bearer {token}"))
}

fn header(value: &str) -> anyhow::Result<HeaderValue> {
    let header = HeaderValue::from_str(value);
    let mut header = header
        .map_err(|_| anyhow!("the token has a line break or another character that a header cannot hold"))
        .exit(Exit::Usage)?;
    header.set_sensitive(true);
    Ok(header)
}

/// The token that another tool has put into the kubeconfig, as far as kubectl still supports such providers.
fn provider_token(provider: &AuthProvider) -> anyhow::Result<String> {
    let config = provider.config.as_ref();
    let value = |key: &str| config.and_then(|config| config.get(key)).filter(|value| !value.is_empty());
    if matches!(provider.name.as_str(), "oidc" | "gcp") {
        if let Some(token) = value("id-token") {
            return Ok(token.clone());
        }
        let end = value("expiry").and_then(|end| end.parse::<Timestamp>().ok());
        if let (Some(token), Some(end)) = (value("access-token"), end)
            && end > Timestamp::now()
        {
            return Ok(token.clone());
        }
    }
    Err(anyhow!("auth provider `{}` is not supported or has no valid token", shown(&provider.name)))
        .hint("Kubernetes 1.26 removed auth providers; use an exec plugin")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    async fn credential(content: User) -> anyhow::Result<Credential> {
        let user = Found { file: PathBuf::from("/home/config"), name: "u".to_owned(), content };
        Credential::of(&user, None).await
    }

    fn text(error: &anyhow::Error) -> String {
        format!("{error:#}")
    }

    #[tokio::test]
    async fn a_token_with_a_line_break_is_refused_and_not_shown() {
        let provider = |name: &str, key: &str| AuthProvider {
            name: name.to_owned(),
            config: Some(HashMap::from([
                (key.to_owned(), "SECRET\ntwo".to_owned()),
                ("expiry".to_owned(), "2999-01-01T00:00:00Z".to_owned()),
            ])),
        };
        for user in [
            User { token: Some("SECRET\n".to_owned()), ..User::default() },
            User { token: Some("SECRET\0".to_owned()), ..User::default() },
            User { auth_provider: Some(provider("gcp", "id-token")), ..User::default() },
            User { auth_provider: Some(provider("gcp", "access-token")), ..User::default() },
            User { auth_provider: Some(provider("oidc", "id-token")), ..User::default() },
        ] {
            let error = credential(user).await.err().unwrap();
            let expected = "cannot use user `u` of /home/config: the token has a line break or another character that a header cannot hold";
            assert_eq!(text(&error), expected);
            assert_eq!(meshy_base::error::exit_of(&error), Exit::Usage);
        }
    }

    #[tokio::test]
    async fn a_token_file_is_read_without_its_line_break_and_named_in_errors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let user = || User { token_file: Some(file.display().to_string()), ..User::default() };
        assert!(text(&credential(user()).await.err().unwrap()).ends_with("token: there is no such file"));
        std::fs::write(&file, "abc\n").unwrap();
        let found = credential(user()).await.unwrap();
        assert!(found.expires());
        assert_eq!(found.header.unwrap(), "Bearer abc");
        std::fs::write(&file, "SECRET\nb").unwrap();
        let error = text(&credential(user()).await.err().unwrap());
        assert!(
            error.contains(&format!("the token in {}", file.display())) && !error.contains("SECRET"),
            "{error}"
        );
        let user = User { token_file: Some("/dev/zero".to_owned()), ..User::default() };
        assert!(text(&credential(user).await.err().unwrap()).contains("/dev/zero: expected a regular file"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_that_changes_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "two").unwrap();
        let current = Arc::new(RwLock::new(HeaderValue::from_static("Bearer one")));
        let task = tokio::spawn(renew(Arc::downgrade(&current), Source::File(file), Timestamp::now()));
        tokio::time::sleep(TICK * 2).await;
        assert_eq!(*current.read().unwrap(), "Bearer two");
        drop(current);
        tokio::time::sleep(TICK * 2).await;
        assert!(task.is_finished());
    }

    #[tokio::test]
    async fn a_name_and_password_may_hold_any_character() {
        let user =
            User { username: Some("a\n".to_owned()), password: Some("b".to_owned()), ..User::default() };
        assert_eq!(credential(user).await.unwrap().header.unwrap(), "Basic YQo6Yg==");
        assert!(credential(User::default()).await.unwrap().header.is_none());
    }
}
