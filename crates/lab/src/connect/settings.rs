//! From the entries of a context to the settings of a client. Files are read here, bounded, and never by the client.

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::credential::Credential;
use super::exec::Plugin;
use super::load::{Cluster, Context, Found, Loaded, User, shown};
use super::paths::relative_to;
use super::proxy;
use crate::cluster::kubeconfig::read;
use meshy_base::error::{Advise, Exit};

/// The extension of a cluster's entry that is meant for exec plugins.
const FOR_PLUGINS: &str = "client.authentication.k8s.io/exec";

/// Returns a client's settings for a context, and the credential that goes with them.
///
/// # Errors
/// An entry or a file that it names is absent or invalid; an exec plugin fails.
pub(super) async fn of(
    loaded: &Loaded,
    context: &Found<Context>,
) -> anyhow::Result<(kube::Config, Credential)> {
    let cluster = loaded.cluster(context)?;
    let user = loaded.user(context)?;
    let name = format!("cluster `{}` of {}", shown(&cluster.name), cluster.file.display());
    let (mut config, plugin) =
        settings(&cluster, &user).with_context(|| format!("cannot use {name}")).exit(Exit::Usage)?;
    if let Some(namespace) = context.content.namespace.clone().filter(|namespace| !namespace.is_empty()) {
        config.default_namespace = namespace;
    }
    let credential = Credential::of(&user, plugin).await?;
    let identity = match &credential.certificate {
        Some((certificate, key)) => Some((certificate.clone().into_bytes(), key.clone().into_bytes())),
        None => identity(&user)?,
    };
    if let Some((certificate, key)) = identity {
        config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
        config.auth_info.client_key_data = Some(STANDARD.encode(key).into());
    }
    if let Some(header) = credential.header.clone().filter(|_| !credential.expires()) {
        config.headers.push((http::header::AUTHORIZATION, header));
    }
    Ok((config, credential))
}

fn settings(cluster: &Found<Cluster>, user: &Found<User>) -> anyhow::Result<(kube::Config, Option<Plugin>)> {
    let content = &cluster.content;
    let server = content.server.as_deref().filter(|server| !server.is_empty()).context("it has no server")?;
    let data = data(
        cluster.file.as_path(),
        content.certificate_authority_data.as_deref(),
        content.certificate_authority.as_deref(),
    );
    let authority = data.context("cannot read the certificate authority")?;
    let insecure = content.insecure_skip_tls_verify.unwrap_or_default();
    let with_tls = authority.is_some()
        || insecure
        || user.content.client_certificate.is_some()
        || user.content.client_certificate_data.is_some();
    let url = url(server, with_tls)?;
    let mut config = kube::Config::new(url);
    config.root_cert = authority.as_deref().map(certificates).transpose()?;
    config.accept_invalid_certs = insecure;
    config.tls_server_name = content.tls_server_name.clone().filter(|name| !name.is_empty());
    config.disable_compression = content.disable_compression.unwrap_or_default();
    let variable = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    config.proxy_url = proxy::choose(&config.cluster_url, content.proxy_url.as_deref(), variable)?;
    config.auth_info.impersonate.clone_from(&user.content.impersonate);
    config.auth_info.impersonate_uid.clone_from(&user.content.as_uid);
    config.auth_info.impersonate_groups.clone_from(&user.content.as_groups);
    config.auth_info.impersonate_user_extra.clone_from(&user.content.as_user_extra);
    let plugin = Plugin::of(user, &for_plugin(content, authority.as_deref()));
    Ok((config, plugin))
}

/// The URL of a server, as kubectl reads it: without a scheme it is HTTPS if TLS is set up, else HTTP.
fn url(server: &str, with_tls: bool) -> anyhow::Result<Uri> {
    let invalid =
        || anyhow!("invalid server `{}`, expected a URL such as `https://HOST:PORT`", shown(server));
    let scheme = if with_tls { "https" } else { "http" };
    let text = if server.contains("://") { server.to_owned() } else { format!("{scheme}://{server}") };
    let uri: Uri = text.parse().map_err(|_| invalid())?;
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().ok_or_else(invalid)?;
    // A port that is not a port would silently be the default one.
    let rest = authority.as_str().rsplit('@').next().unwrap_or_default().strip_prefix(authority.host());
    let port = rest.is_some_and(|rest| rest.is_empty() || authority.port_u16().is_some_and(|port| port > 0));
    if http && port && !authority.host().is_empty() { Ok(uri) } else { Err(invalid()) }
}

fn certificates(pem: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let all: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|found| found.map(|one| one.as_ref().to_vec())).collect();
    let all = all.map_err(|_| anyhow!("the certificate authority is not valid PEM"))?;
    anyhow::ensure!(!all.is_empty(), "the certificate authority has no certificate");
    Ok(all)
}

/// Client certificate and private key in PEM.
fn identity(user: &Found<User>) -> anyhow::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let content = &user.content;
    let read = || {
        let certificate = data(
            &user.file,
            content.client_certificate_data.as_deref(),
            content.client_certificate.as_deref(),
        );
        let key = data(&user.file, content.client_key_data.as_deref(), content.client_key.as_deref());
        match (
            certificate.context("cannot read the client certificate")?,
            key.context("cannot read the client key")?,
        ) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(anyhow!("it has a client certificate without a key")),
            (None, Some(_)) => Err(anyhow!("it has a client key without a certificate")),
        }
    };
    read()
        .with_context(|| format!("cannot use user `{}` of {}", shown(&user.name), user.file.display()))
        .exit(Exit::Usage)
}

/// Reads base64 data, or else the file that an entry names.
fn data(
    kubeconfig: &std::path::Path,
    inline: Option<&str>,
    file: Option<&str>,
) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(inline) = inline.filter(|data| !data.is_empty()) {
        let data = STANDARD.decode(inline.split_ascii_whitespace().collect::<String>());
        return data.map(Some).map_err(|_| anyhow!("the data is not valid base64"));
    }
    let Some(file) = file.filter(|file| !file.is_empty()) else { return Ok(None) };
    let file = relative_to(kubeconfig, file);
    let bytes = read::bytes(&file)?
        .ok_or_else(|| anyhow!("cannot read {}: there is no such file", file.display()))?;
    Ok(Some(bytes))
}

/// What an exec plugin gets about the cluster.
fn for_plugin(cluster: &Cluster, authority: Option<&[u8]>) -> Value {
    let mut text = json!({ "server": cluster.server });
    let mut set = |key: &str, value: Value| {
        if !value.is_null() {
            text[key] = value;
        }
    };
    set("tls-server-name", json!(cluster.tls_server_name));
    set("insecure-skip-tls-verify", json!(cluster.insecure_skip_tls_verify));
    set("proxy-url", json!(cluster.proxy_url));
    set("disable-compression", json!(cluster.disable_compression));
    set("certificate-authority-data", json!(authority.map(|authority| STANDARD.encode(authority))));
    let extensions = cluster.extensions.as_ref().and_then(Value::as_array);
    let config = extensions.into_iter().flatten().find(|one| one["name"] == FOR_PLUGINS);
    set("config", config.map_or(Value::Null, |one| one["extension"].clone()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_kubectl_reads_them() {
        for (server, with_tls, expected) in [
            ("https://h:6443", false, "https://h:6443/"),
            ("http://h/base", true, "http://h/base"),
            ("h:6443", true, "https://h:6443/"),
            ("localhost:8080", false, "http://localhost:8080/"),
            ("https://u:p@h:1", false, "https://u:p@h:1/"),
            ("https://[::1]:6443", false, "https://[::1]:6443/"),
        ] {
            assert_eq!(url(server, with_tls).unwrap().to_string(), expected);
        }
        for server in [
            "https://",
            "ftp://h",
            "https://h:99999",
            "https://h:",
            "https://h:0",
            "https://h:x",
            "h h",
            "/a",
            "https:// h",
            "\n",
        ] {
            let error = url(server, true).map(|uri| uri.to_string()).unwrap_err().to_string();
            assert!(error.starts_with("invalid server `"), "{error}");
        }
    }
}
