//! What opens a store: a password, and certificates to trust.

use crate::file;
use redis::TlsCertificates;
use std::io::{self, Read};
use std::path::Path;

/// The longest file with a password.
const MAX_PASSWORD_LEN: u64 = 4096;

/// The longest file with certificates.
const MAX_CA_LEN: u64 = 1 << 20;

/// What opens a store, out of files.
#[derive(Clone, Default)]
pub struct Secrets {
    pub(super) password: Option<String>,
    ca: Option<Vec<u8>>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets")
    }
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file cannot be read.
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    /// It is too long.
    #[error("it is too long")]
    TooLong,
    /// The password's file has no password.
    #[error("it must have the password as its only line")]
    NoPassword,
    /// What is encrypted needs no certificates otherwise.
    #[error("certificates are of use for an encrypted store alone: begin its address with rediss://")]
    NotEncrypted,
    /// The library does not take what it was given.
    #[error("{0}")]
    Client(String),
}

impl Secrets {
    /// Reads the password, whose file may end with a line feed.
    ///
    /// # Errors
    /// The file cannot be read, or is not one line.
    pub fn with_password(mut self, path: &Path) -> Result<Self, StoreError> {
        let text = String::from_utf8(read(path, MAX_PASSWORD_LEN)?).map_err(|_| StoreError::NoPassword)?;
        let password = text.strip_suffix('\n').unwrap_or(&text);
        let password = password.strip_suffix('\r').unwrap_or(password);
        if password.is_empty() || password.contains(['\n', '\r', '\0']) {
            return Err(StoreError::NoPassword);
        }
        self.password = Some(password.to_owned());
        Ok(self)
    }

    /// Reads the certificates of whom to trust, instead of the system's.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn with_ca(mut self, path: &Path) -> Result<Self, StoreError> {
        self.ca = Some(read(path, MAX_CA_LEN)?);
        Ok(self)
    }

    pub(super) fn has_ca(&self) -> bool {
        self.ca.is_some()
    }

    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.ca.clone().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca) })
    }
}

fn read(path: &Path, max: u64) -> Result<Vec<u8>, StoreError> {
    let (file, len) = file::open(path)?;
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if len > max || bytes.len() as u64 > max { Err(StoreError::TooLong) } else { Ok(bytes) }
}
