//! A registry's HTTP API (OCI distribution 1.1), as far as images are put there and looked at.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION};
use http::{Method, StatusCode, Uri};
use thiserror::Error;

use super::manifest::{Descriptor, MANIFEST, Manifest};
use super::{Blob, Digest, Digester, Image};

mod exchange;

use exchange::{Reply, Request};

/// Blobs up to this size go in one request; larger ones in pieces of it, so that memory stays bounded.
const PIECE: u64 = 8 << 20;

/// What is given to one request: generous for 8 MiB over loopback to a registry whose disk is slow.
const DEADLINE: Duration = Duration::from_secs(60);

/// The largest manifest that is read, as the distribution project's registry has it.
const LARGEST_MANIFEST: u64 = 4 << 20;

/// A registry with plain HTTP: one on this machine.
#[derive(Clone, Debug)]
pub struct Client {
    authority: String,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest, as the registry confirmed it.
    pub digest: Digest,
    /// Bytes that had to be sent; unchanged layers are not among them.
    pub sent: u64,
}

/// Why a request to a registry failed.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// Nothing answered, or not HTTP.
    #[error("ask the registry at {authority}: {reason}")]
    Unreachable {
        /// Its address.
        authority: String,
        /// What went wrong.
        reason: String,
    },
    /// It responded, but not as requested.
    #[error("{act}: the registry responded with {status}{said}")]
    Refused {
        /// What was requested.
        act: String,
        /// Its status.
        status: StatusCode,
        /// Its own words, behind a colon.
        said: String,
    },
    /// It answered something that the API does not have.
    #[error("{act}: {reason}")]
    Strange {
        /// What was requested.
        act: String,
        /// What was strange.
        reason: String,
    },
    /// Bytes that do not have the digest they go by.
    #[error("check {expected}: its bytes have the digest {found}")]
    Digest {
        /// The name.
        expected: Digest,
        /// The name that the bytes have.
        found: Digest,
    },
    /// An archive's file could not be read any more.
    #[error("read {digest} for the push: {error}")]
    Read {
        /// The blob.
        digest: Digest,
        /// What went wrong.
        error: std::io::Error,
    },
}

impl Client {
    /// The registry at `HOST:PORT`. Connects with the first request.
    pub fn new(authority: impl Into<String>) -> Self {
        Self { authority: authority.into() }
    }

    /// Whether a registry responds there.
    ///
    /// # Errors
    /// When no process does, or something that is not a registry.
    pub async fn ping(&self) -> Result<(), RegistryError> {
        let request = Request::new(Method::GET, "/v2/".to_owned(), "look for a registry".to_owned());
        self.ask(request, &[StatusCode::OK]).await.map(drop)
    }

    /// Puts an image there under a name and a tag; what is there already is not sent again.
    ///
    /// # Errors
    /// When the registry cannot be reached, refuses, or confirms another digest.
    pub async fn push(&self, image: &Image, name: &str, tag: &str) -> Result<Pushed, RegistryError> {
        let mut sent = 0;
        for blob in image.layers.iter().chain([&image.config]) {
            if self.has_blob(name, &blob.digest).await? {
                continue;
            }
            self.push_blob(name, blob).await?;
            sent += blob.size;
        }
        let act = format!("push {name}:{tag}");
        let mut request = Request::new(Method::PUT, format!("/v2/{name}/manifests/{tag}"), act.clone());
        request.headers.push((CONTENT_TYPE, image.manifest.media_type.clone()));
        request.body = read(&image.manifest, 0, image.manifest.size).await?;
        let reply = self.ask(request, &[StatusCode::CREATED]).await?;
        let expected = image.digest();
        if let Some(found) = reply.header("docker-content-digest").filter(|found| *found != expected.as_str())
        {
            return Err(RegistryError::Strange {
                act,
                reason: format!("pushed {expected}, confirmed {found}"),
            });
        }
        Ok(Pushed { digest: expected.clone(), sent: sent + image.manifest.size })
    }

    /// The digest that a tag has now; nothing if there is no such tag.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub async fn digest(&self, name: &str, tag: &str) -> Result<Option<Digest>, RegistryError> {
        Ok(self.manifest(name, tag).await?.map(|(digest, _)| digest))
    }

    /// Pulls an image by tag or digest, to throw it away: proves that a node could.
    ///
    /// # Errors
    /// When a part is not there or does not have its digest.
    pub async fn prove(&self, name: &str, reference: &str) -> Result<Digest, RegistryError> {
        let act = format!("pull {name}:{reference}");
        let Some((digest, manifest)) = self.manifest(name, reference).await? else {
            return Err(RegistryError::Refused { act, status: StatusCode::NOT_FOUND, said: String::new() });
        };
        if let Some(asked) = Digest::parse(reference).filter(|asked| *asked != digest) {
            return Err(RegistryError::Digest { expected: asked, found: digest });
        }
        let manifest: Manifest = serde_json::from_slice(&manifest)
            .map_err(|error| RegistryError::Strange { act, reason: format!("read its manifest: {error}") })?;
        for part in manifest.layers.iter().chain([&manifest.config]) {
            self.prove_blob(name, part).await?;
        }
        Ok(digest)
    }

    async fn manifest(&self, name: &str, reference: &str) -> Result<Option<(Digest, Bytes)>, RegistryError> {
        let act = format!("read the manifest of {name}:{reference}");
        let mut request = Request::new(Method::GET, format!("/v2/{name}/manifests/{reference}"), act);
        request.headers.push((http::header::ACCEPT, MANIFEST.to_owned()));
        request.headers.push((http::header::ACCEPT, super::manifest::DOCKER_MANIFEST.to_owned()));
        request.largest = LARGEST_MANIFEST;
        let reply = self.ask(request, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        Ok((reply.status == StatusCode::OK).then(|| (Digest::of(&reply.body), reply.body)))
    }

    async fn prove_blob(&self, name: &str, part: &Descriptor) -> Result<(), RegistryError> {
        let act = format!("pull {}", part.digest);
        let request = Request::new(Method::GET, format!("/v2/{name}/blobs/{}", part.digest), act);
        let mut digester = Digester::default();
        exchange::stream(&self.authority, request, |piece| digester.update(piece)).await?;
        let found = digester.finish();
        if found != part.digest {
            return Err(RegistryError::Digest { expected: part.digest.clone(), found });
        }
        Ok(())
    }

    async fn has_blob(&self, name: &str, digest: &Digest) -> Result<bool, RegistryError> {
        let act = format!("look for {digest}");
        let request = Request::new(Method::HEAD, format!("/v2/{name}/blobs/{digest}"), act);
        let reply = self.ask(request, &[StatusCode::OK, StatusCode::NOT_FOUND]).await?;
        Ok(reply.status == StatusCode::OK)
    }

    async fn push_blob(&self, name: &str, blob: &Blob) -> Result<(), RegistryError> {
        let act = format!("push {}", blob.digest);
        let begin = Request::new(Method::POST, format!("/v2/{name}/blobs/uploads/"), act.clone());
        let mut place = self.place(self.ask(begin, &[StatusCode::ACCEPTED]).await?, &act)?;
        let mut from = 0;
        if blob.size > PIECE {
            while from < blob.size {
                let piece = read(blob, from, PIECE).await?;
                let end = from + piece.len() as u64;
                let mut request = Request::new(Method::PATCH, place, act.clone());
                request.headers.push((CONTENT_TYPE, "application/octet-stream".to_owned()));
                request.headers.push((CONTENT_RANGE, format!("{from}-{}", end - 1)));
                request.body = piece;
                place = self.place(self.ask(request, &[StatusCode::ACCEPTED]).await?, &act)?;
                from = end;
            }
        }
        let sign = if place.contains('?') { '&' } else { '?' };
        let mut end = Request::new(Method::PUT, format!("{place}{sign}digest={}", blob.digest), act);
        end.headers.push((CONTENT_TYPE, "application/octet-stream".to_owned()));
        end.body = read(blob, from, blob.size - from).await?;
        self.ask(end, &[StatusCode::CREATED]).await.map(drop)
    }

    /// Where an upload goes on. Only its path counts: a registry behind a port mapping may use for itself
    /// another name than it is reached by.
    fn place(&self, reply: Reply, act: &str) -> Result<String, RegistryError> {
        let place = reply.header(LOCATION.as_str()).and_then(|place| place.parse::<Uri>().ok());
        let path = place.and_then(|place| Some(place.path_and_query()?.to_string()));
        path.filter(|path| path.starts_with('/')).ok_or_else(|| RegistryError::Strange {
            act: act.to_owned(),
            reason: "the registry named no place to upload to".to_owned(),
        })
    }

    async fn ask(&self, request: Request, expected: &[StatusCode]) -> Result<Reply, RegistryError> {
        let act = request.act.clone();
        let reply = exchange::whole(&self.authority, request).await?;
        if expected.contains(&reply.status) {
            return Ok(reply);
        }
        let (status, said) = (reply.status, exchange::said(&reply.body));
        Err(RegistryError::Refused { act, status, said })
    }
}

async fn read(blob: &Blob, from: u64, most: u64) -> Result<Bytes, RegistryError> {
    let owned = blob.clone();
    let piece =
        tokio::task::spawn_blocking(move || owned.read(from, most)).await.expect("reading does not panic");
    piece.map_err(|error| RegistryError::Read { digest: blob.digest.clone(), error })
}

#[cfg(test)]
mod tests;
