//! The state that outlives the process: keys, and the objects at the last clean stop.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use meshy_apiserver::{CertificateAuthority, Server, Token};
use serde::{Deserialize, Serialize};

use super::error::Error;

/// The file with the objects at the last clean stop.
const SNAPSHOT: &str = "snapshot.json";
/// The file with the certificate authority and the token of the API.
const KEYS: &str = "keys.json";

/// The largest file that is read: several times the size of the snapshot of 2,000 pods, the most that a cluster runs.
const LARGEST: u64 = 256 << 20;

/// The credentials of the API.
pub(super) struct Keys {
    pub(super) authority: CertificateAuthority,
    pub(super) token: Token,
}

/// The format of the keys file.
#[derive(Serialize, Deserialize)]
struct StoredKeys {
    certificate: String,
    key: String,
    token: String,
}

impl Keys {
    /// Reads the keys of a state folder; generates and stores new ones if there are none or they are unreadable.
    pub(super) fn load_or_create(folder: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = folder else { return Self::generate() };
        let file = folder.join(KEYS);
        if let Some(bytes) = read(&file)? {
            if let Ok(stored) = serde_json::from_slice::<StoredKeys>(&bytes)
                && let Ok(authority) = CertificateAuthority::from_pem(&stored.certificate, &stored.key)
            {
                return Ok(Self { authority, token: Token::new(&stored.token) });
            }
            tracing::warn!(file = %file.display(), "unreadable keys, generating new ones");
        }
        let keys = Self::generate()?;
        let stored = StoredKeys {
            certificate: keys.authority.certificate_pem().to_owned(),
            key: keys.authority.key_pem(),
            token: keys.token.secret().to_owned(),
        };
        let json = serde_json::to_vec(&stored).map_err(|error| Error::write(&file, error.into()))?;
        write(&file, &json)?;
        Ok(keys)
    }

    fn generate() -> Result<Self, Error> {
        Ok(Self { authority: CertificateAuthority::new()?, token: Token::random() })
    }
}

/// Returns a server with the objects of the snapshot, or a new one if there is no snapshot.
///
/// The snapshot is removed: after a `kill -9` it would be older than what clients have seen.
pub(super) fn restore(folder: Option<&Path>, options: meshy_apiserver::Options) -> Result<Server, Error> {
    let Some(file) = folder.map(|folder| folder.join(SNAPSHOT)) else { return Ok(Server::new(options)) };
    let Some(bytes) = read(&file)? else { return Ok(Server::new(options)) };
    let server = Server::restore(options, &bytes)
        .map_err(|error| Error::Snapshot { file: file.clone(), reason: error.to_string() })?;
    fs::remove_file(&file).map_err(|source| Error::State { action: "remove", file, source })?;
    Ok(server)
}

/// Writes the snapshot of a server.
pub(super) fn save(folder: &Path, server: &Server) -> Result<(), Error> {
    write(&folder.join(SNAPSHOT), &server.snapshot())
}

/// The file's bytes, if it is there. Never waits, as reading a FIFO would, and follows no link out of the folder.
fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    let read = || {
        let there = fs::symlink_metadata(file)?;
        if !there.is_file() || there.len() > LARGEST {
            let expected = format!("it is not a regular file of at most {LARGEST} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, expected));
        }
        fs::read(file)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::State { action: "read", file: file.to_owned(), source }),
    }
}

/// Writes a file atomically, readable by the user only.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    write_atomically(file, bytes).map_err(|source| Error::write(file, source))
}

fn write_atomically(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension("new");
    if let Some(folder) = file.parent() {
        create_folder(folder)?;
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut new = options.open(&temporary)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    fs::rename(&temporary, file)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}
