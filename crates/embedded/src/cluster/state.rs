//! What outlives the process: keys, and the objects at a clean stop.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use meshy_apiserver::{CertificateAuthority, Server, Token};
use serde_json::{Value, json};

use super::Error;

/// The objects at the last clean stop.
const SNAPSHOT: &str = "snapshot.json";
/// The API's certificate authority and token.
const KEYS: &str = "keys.json";

/// What clients know the API by.
pub(super) struct Keys {
    pub(super) authority: CertificateAuthority,
    pub(super) token: Token,
}

impl Keys {
    /// The folder's keys, new ones when it has none.
    pub(super) fn of(folder: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = folder else { return Self::fresh() };
        let file = folder.join(KEYS);
        if let Some(bytes) = read(&file)? {
            let kept: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let text = |field: &str| kept[field].as_str().unwrap_or_default();
            if let Ok(authority) = CertificateAuthority::from_pem(text("certificate"), text("key")) {
                return Ok(Self { authority, token: Token::new(text("token")) });
            }
            tracing::warn!(file = %file.display(), "the keys cannot be read; new ones are made");
        }
        let keys = Self::fresh()?;
        let kept = json!({
            "certificate": keys.authority.certificate_pem(), "key": keys.authority.key_pem(), "token": keys.token.secret(),
        });
        write(&file, kept.to_string().as_bytes())?;
        Ok(keys)
    }

    fn fresh() -> Result<Self, Error> {
        Ok(Self { authority: CertificateAuthority::new()?, token: Token::random() })
    }
}

/// A server that goes on where the folder's snapshot stopped, else a new one.
///
/// The snapshot is taken away: after a `kill -9` it would be older than what was seen since.
pub(super) fn server(folder: Option<&Path>, options: meshy_apiserver::Options) -> Result<Server, Error> {
    let Some(file) = folder.map(|folder| folder.join(SNAPSHOT)) else { return Ok(Server::new(options)) };
    let Some(bytes) = read(&file)? else { return Ok(Server::new(options)) };
    let server = Server::restore(options, &bytes)?;
    fs::remove_file(&file).map_err(|source| Error::State { act: "remove", file, source })?;
    Ok(server)
}

/// Writes the snapshot.
pub(super) fn keep(folder: &Path, server: &Server) -> Result<(), Error> {
    write(&folder.join(SNAPSHOT), &server.snapshot())
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::State { act: "read", file: file.to_owned(), source }),
    }
}

/// Writes a file that only the user can read, whole or not at all.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let half = file.with_extension("new");
    let done = (|| {
        if let Some(folder) = file.parent() {
            make_folder(folder)?;
        }
        let mut open = fs::OpenOptions::new();
        open.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
        let mut new = open.open(&half)?;
        new.write_all(bytes)?;
        new.sync_all()?;
        fs::rename(&half, file)
    })();
    done.map_err(|source| Error::State { act: "write", file: PathBuf::from(file), source })
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut make = fs::DirBuilder::new();
    make.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.create(folder)
}
