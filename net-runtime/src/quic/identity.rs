//! Who a shard is: a key pair and a self-signed certificate of its own. Others know it by the certificate's hash.

use crate::proto::Hash;
use crate::proto::rendezvous::Secret;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A key pair and its certificate.
pub struct Identity {
    pub(super) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", crate::proto::short(&self.pin()))
    }
}

/// Why a file with a key or a secret is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Others may read it.
    #[error("{} can be read by others (mode {mode:04o}); `chmod 600` it", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It holds no key.
    #[error("{} holds no key with a certificate, as `tidelock shard keygen` writes", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
}

impl Identity {
    /// A fresh one.
    ///
    /// # Panics
    /// If the system has no randomness.
    #[must_use]
    pub fn fresh() -> Self {
        let key = KeyPair::generate().expect("the system has randomness");
        let parameters = CertificateParams::new(vec![super::SERVER_NAME.to_owned()]).expect("the name is one");
        let certificate = parameters.self_signed(&key).expect("a key signs itself");
        Self { certificate: certificate.der().clone(), key: key.serialize_der() }
    }

    /// Hash of the certificate.
    #[must_use]
    pub fn pin(&self) -> Hash {
        pin(&self.certificate)
    }

    /// A secret that nobody else knows.
    #[must_use]
    pub fn secret() -> Secret {
        Secret::new(&Self::fresh().key)
    }

    /// The same as a line of text, for a file.
    #[must_use]
    pub fn secret_text() -> String {
        blake3::derive_key("tidelock 2026 text of a secret", &Self::fresh().key)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }

    /// Writes it to a new file that nobody else can read.
    ///
    /// # Errors
    /// [`KeyError::File`], also if the file exists.
    pub fn save(&self, path: &Path) -> Result<(), KeyError> {
        let bytes = postcard::to_stdvec(&(self.certificate.as_ref(), &self.key)).expect("plain data has a form");
        write_private(path, &bytes)
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// [`KeyError`], also if others may read the file.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let bytes = read_private(path)?;
        let no_key = || KeyError::NoKey { path: path.to_owned() };
        let (certificate, key): (Vec<u8>, Vec<u8>) = postcard::from_bytes(&bytes).map_err(|_| no_key())?;
        KeyPair::try_from(key.as_slice()).map_err(|_| no_key())?;
        Ok(Self { certificate: certificate.into(), key })
    }
}

/// Writes a new file that nobody else can read.
///
/// # Errors
/// [`KeyError::File`], also if the file exists.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes));
    written.map_err(|error| KeyError::File { path: path.to_owned(), error })
}

/// Reads a file that nobody else may read.
///
/// # Errors
/// [`KeyError::File`], [`KeyError::Open`].
pub fn read_private(path: &Path) -> Result<Vec<u8>, KeyError> {
    let error = |error| KeyError::File { path: path.to_owned(), error };
    let mode = std::fs::metadata(path).map_err(error)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    std::fs::read(path).map_err(error)
}

/// Hash of a certificate.
pub(super) fn pin(certificate: &CertificateDer<'_>) -> Hash {
    *blake3::hash(certificate).as_bytes()
}
