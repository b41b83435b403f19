use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::Response;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::*;
use crate::image::Arch;

/// A registry in memory that takes what it is given and remembers what it was asked.
#[derive(Default)]
struct Fake {
    asked: Vec<String>,
    blobs: HashMap<String, Vec<u8>>,
    manifests: HashMap<String, Vec<u8>>,
    upload: Vec<u8>,
    /// Answers to paths with such an end, before anything else is looked at.
    refusals: Vec<(&'static str, u16, &'static str)>,
}

impl Fake {
    fn answer(
        &mut self,
        method: &str,
        path: &str,
        range: Option<&str>,
        body: Vec<u8>,
    ) -> (u16, String, Vec<u8>) {
        self.asked.push(format!("{method} {}", path.split("/v2/app/").last().unwrap_or(path)));
        if let Some((_, status, said)) = self.refusals.iter().find(|(end, ..)| path.ends_with(end)) {
            return (*status, String::new(), said.as_bytes().to_vec());
        }
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        match (method, path) {
            ("HEAD", _) => {
                (if self.blobs.contains_key(&last) { 200 } else { 404 }, String::new(), Vec::new())
            }
            // As a registry answers that knows itself by another name.
            ("POST", _) => {
                (202, "http://elsewhere:1/v2/app/blobs/uploads/1?state=a%3D".to_owned(), Vec::new())
            }
            ("PATCH", _) => {
                let expected = format!("{}-{}", self.upload.len(), self.upload.len() + body.len() - 1);
                assert_eq!(range, Some(&*expected));
                self.upload.extend(body);
                (202, "/v2/app/blobs/uploads/1?state=b".to_owned(), Vec::new())
            }
            ("PUT", path) if path.contains("/manifests/") => {
                let digest = Digest::of(&body).to_string();
                self.manifests.insert(last, body.clone());
                self.manifests.insert(digest.clone(), body);
                (201, digest, Vec::new())
            }
            ("PUT", path) => {
                let mut whole = std::mem::take(&mut self.upload);
                whole.extend(body);
                let named = path.rsplit("digest=").next().unwrap_or_default();
                assert_eq!(Digest::of(&whole).as_str(), named);
                self.blobs.insert(named.to_owned(), whole);
                (201, String::new(), Vec::new())
            }
            (_, "/v2/") => (200, String::new(), Vec::new()),
            (_, path) => {
                let kept = if path.contains("/manifests/") { &self.manifests } else { &self.blobs };
                kept.get(&last)
                    .map_or((404, String::new(), Vec::new()), |kept| (200, String::new(), kept.clone()))
            }
        }
    }
}

async fn fake() -> (Client, Arc<Mutex<Fake>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(listener.local_addr().unwrap().to_string());
    let fake = Arc::new(Mutex::new(Fake::default()));
    let shared = fake.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = shared.clone();
            let respond = service_fn(move |request: http::Request<Incoming>| {
                let shared = shared.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes().to_vec();
                    let range =
                        head.headers.get("content-range").map(|range| range.to_str().unwrap().to_owned());
                    let path = head.uri.path_and_query().unwrap().as_str();
                    let (status, word, body) =
                        shared.lock().unwrap().answer(head.method.as_str(), path, range.as_deref(), body);
                    let header =
                        if word.starts_with("sha256") { "docker-content-digest" } else { "location" };
                    let answer = Response::builder().status(status).header(header, word);
                    Ok::<_, Infallible>(answer.body(Full::new(Bytes::from(body))).unwrap())
                }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), respond));
        }
    });
    (client, fake)
}

fn image(program: &[u8]) -> Image {
    Image::for_service(program, Arch::Amd64)
}

#[tokio::test]
async fn a_push_sends_each_part_once_and_confirms_the_digest() {
    let (client, fake) = fake().await;
    let image = image(b"program");
    let pushed = client.push(&image, "app", "v1").await.unwrap();
    assert_eq!(pushed, Pushed { digest: image.digest().clone(), sent: image.size() });
    assert_eq!(client.digest("app", "v1").await.unwrap().as_ref(), Some(image.digest()));
    assert_eq!(client.prove("app", "v1").await.unwrap(), *image.digest());
    assert_eq!(client.prove("app", image.digest().as_str()).await.unwrap(), *image.digest());

    fake.lock().unwrap().asked.clear();
    let again = client.push(&image, "app", "v1").await.unwrap();
    assert_eq!(again.sent, image.manifest.size);
    let (layer, config) = (&image.layers[0].digest, &image.config.digest);
    let looks =
        [format!("HEAD blobs/{layer}"), format!("HEAD blobs/{config}"), "PUT manifests/v1".to_owned()];
    assert_eq!(fake.lock().unwrap().asked, looks);
}

#[tokio::test]
async fn a_large_blob_goes_in_pieces() {
    let (client, fake) = fake().await;
    let large = Blob::new("application/octet-stream", vec![7; (2 * PIECE + 5) as usize]);
    let whole = Image::assemble(image(b"").config, vec![large.clone()]);
    client.push(&whole, "app", "v1").await.unwrap();
    let fake = fake.lock().unwrap();
    assert_eq!(fake.asked.iter().filter(|asked| asked.starts_with("PATCH")).count(), 3);
    assert_eq!(fake.blobs[large.digest.as_str()].len() as u64, large.size);
}

#[tokio::test]
async fn a_refusal_has_the_registrys_own_words() {
    let (client, fake) = fake().await;
    let words = r#"{"errors":[{"code":"UNSUPPORTED","message":"read-only"}]}"#;
    fake.lock().unwrap().refusals.push(("uploads/", 405, words));
    let program = image(b"program");
    let error = client.push(&program, "app", "v1").await.unwrap_err().to_string();
    let act = format!("push {}", program.layers[0].digest);
    assert_eq!(
        error,
        format!("{act}: the registry responded with 405 Method Not Allowed: read-only (UNSUPPORTED)")
    );
}

#[tokio::test]
async fn changed_bytes_are_found_by_the_proof() {
    let (client, fake) = fake().await;
    let image = image(b"program");
    client.push(&image, "app", "v1").await.unwrap();
    fake.lock().unwrap().blobs.get_mut(image.layers[0].digest.as_str()).unwrap().push(0);
    let error = client.prove("app", "v1").await.unwrap_err();
    assert!(
        matches!(&error, RegistryError::Digest { expected, .. } if *expected == image.layers[0].digest),
        "{error}"
    );
}

#[tokio::test]
async fn no_registry_and_no_tag_are_distinguished() {
    let (client, _fake) = fake().await;
    client.ping().await.unwrap();
    assert_eq!(client.digest("app", "v9").await.unwrap(), None);
    assert!(client.prove("app", "v9").await.unwrap_err().to_string().contains("responded with 404"));

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Client::new(free.to_string()).ping().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("ask the registry at {free}: Connection refused")), "{error}");
}
