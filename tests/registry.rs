//! Images and the real registry program, as far as it is there: `MESHY_TESTBED=FOLDER cargo test --test registry`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use meshy_lab::image::registry::Client;
use meshy_lab::image::{Arch, Blob, Image};

/// A registry process with a folder and a separate port.
struct Registry {
    process: Child,
    client: Client,
    // Removed when dropped.
    _folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one.
    fn start() -> Self {
        let testbed = std::env::var_os("MESHY_TESTBED").expect("tests/testbed.sh sets MESHY_TESTBED");
        let unpack =
            Command::new(PathBuf::from(testbed).join("unpack")).output().expect("run the testbed's unpack");
        let programs = String::from_utf8(unpack.stdout).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nhttp: {{addr: '127.0.0.1:0'}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n",
            folder.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let mut process = Command::new(PathBuf::from(programs.trim()).join("registry"))
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("start the testbed's registry");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines
            .find_map(|line| {
                let line = line.unwrap();
                let (_, behind) = line.split_once("listening on ")?;
                Some(
                    behind
                        .split(|sign: char| !sign.is_ascii_digit() && sign != '.' && sign != ':')
                        .next()?
                        .to_owned(),
                )
            })
            .expect("the registry says where it listens");
        // Read on: a full pipe would stop the registry.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, client: Client::new(address), _folder: folder }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn an_image_is_pushed_pulled_and_not_sent_twice() {
    let registry = Registry::start();
    let client = &registry.client;
    client.ping().await.unwrap();
    let image = Image::for_service(b"a program", Arch::Amd64);
    assert_eq!(client.digest("minimal-service", "v1.0.0").await.unwrap(), None);
    let pushed = client.push(&image, "minimal-service", "v1.0.0").await.unwrap();
    assert_eq!(&pushed.digest, image.digest());
    assert_eq!(pushed.sent, image.size());
    assert_eq!(client.prove("minimal-service", "v1.0.0").await.unwrap(), pushed.digest);
    assert_eq!(client.prove("minimal-service", pushed.digest.as_str()).await.unwrap(), pushed.digest);
    let again = client.push(&image, "minimal-service", "v1.0.0").await.unwrap();
    assert_eq!(again.sent, image.manifest.size);
}

#[tokio::test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn a_layer_of_many_pieces_arrives_whole() {
    let registry = Registry::start();
    let small = Image::for_service(b"a program", Arch::Amd64);
    // Bytes that differ from piece to piece, so that a swapped one would show.
    let bytes: Vec<u8> = (0..5_000_000u32).flat_map(u32::to_le_bytes).collect();
    let layer = Blob::new("application/vnd.oci.image.layer.v1.tar", bytes);
    let image = Image::assemble(small.config, vec![layer]);
    let pushed = registry.client.push(&image, "large", "v1").await.unwrap();
    let proof = tokio::time::timeout(Duration::from_secs(60), registry.client.prove("large", "v1"));
    assert_eq!(proof.await.unwrap().unwrap(), pushed.digest);
}

#[tokio::test]
#[ignore = "needs the testbed: tests/testbed.sh FOLDER"]
async fn a_name_that_is_none_is_refused_in_the_registrys_words() {
    let registry = Registry::start();
    let image = Image::for_service(b"a program", Arch::Amd64);
    let error = registry.client.push(&image, "No/Name", "v1").await.unwrap_err().to_string();
    assert!(error.contains("the registry responded with 4"), "{error}");
}
