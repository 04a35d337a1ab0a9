//! Signatures on plugins: Ed25519 (RFC 8032, pure) over the whole file, 64 bytes in a file of their own beside it: `<file>.sig`.
//!
//! That is what `openssl pkeyutl -sign -rawin` writes, so that whoever signs needs no tool of ours. Depends on ring, which refuses an
//! `S` that is not below the group's order, and so a second signature made of a first one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use zeroize::Zeroizing;

use crate::alias::secret::Secret;
use crate::config::workspace::require_file;
use crate::problem::{Code, Problem};
use crate::random::Random;

const KEY_BYTES: usize = 32;
const SIGNATURE_BYTES: usize = 64;
/// What stands before the key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the key in a `OneAsymmetricKey` of version 1 (RFC 8410, section 7), which every OpenSSL reads.
const PRIVATE_PREFIX: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The `y` of every point of small order on edwards25519, little-endian, the sign of `x` left out (the list of libsodium's
/// `ge25519_has_small_order`). Anybody can sign for a key that is one.
const SMALL_ORDER: [[u8; KEY_BYTES]; 7] = [
    edge(0x00, 0x00, 0x00),
    edge(0x01, 0x00, 0x00),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
        0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
        0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    edge(0xec, 0xff, 0x7f),
    edge(0xed, 0xff, 0x7f),
    edge(0xee, 0xff, 0x7f),
];

const fn edge(first: u8, between: u8, last: u8) -> [u8; KEY_BYTES] {
    let mut bytes = [between; KEY_BYTES];
    bytes[0] = first;
    bytes[KEY_BYTES - 1] = last;
    bytes
}

/// Who may sign.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl std::fmt::Display for PublicKey {
    /// As `openssl pkey -pubout` has it between its first line and its last.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&STANDARD.encode([&PUBLIC_PREFIX[..], &self.0].concat()))
    }
}

impl PublicKey {
    /// Reads what [`Display`](std::fmt::Display) writes, or the bare 32 bytes in base64.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text).map_err(|_| "is not base64: give the line that `openssl pkey -pubout` prints".to_owned())?;
        let bare = bytes.strip_prefix(&PUBLIC_PREFIX).unwrap_or(&bytes);
        let key: [u8; KEY_BYTES] = bare.try_into().map_err(|_| "is no Ed25519 public key, which has 32 bytes".to_owned())?;
        let mut unsigned = key;
        unsigned[KEY_BYTES - 1] &= 0x7f;
        if SMALL_ORDER.contains(&unsigned) {
            return Err("is a key that anybody can sign for".to_owned());
        }
        Ok(Self(key))
    }

    /// Whether `signature` is this key's over all of `bytes`.
    pub fn has_signed(&self, bytes: &[u8], signature: &Signature) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(bytes, &signature.0).is_ok()
    }
}

/// A signature. Whether it is anybody's, [`PublicKey::has_signed`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature([u8; SIGNATURE_BYTES]);

impl Signature {
    /// Where the signature of the file at `path` is.
    pub fn path_of(path: &Path) -> PathBuf {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".sig");
        beside.into()
    }

    /// The signature beside the file at `path`; none if there is none.
    ///
    /// # Errors
    /// LG-1001 if it cannot be read, LG-2021 if it is no signature.
    pub fn beside(path: &Path) -> Result<Option<Self>, Problem> {
        let path = Self::path_of(path);
        let read = || -> std::io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            require_file(&path)?;
            File::open(&path)?.take(SIGNATURE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Self::of(&bytes).map(Some).ok_or_else(|| {
                let size = if bytes.len() > SIGNATURE_BYTES { "more than 64 bytes".to_owned() } else { format!("{} bytes", bytes.len()) };
                let message = format!("{} has {size}; an Ed25519 signature has 64", path.display());
                Problem::new(Code::Unsigned, message).fix("sign the component again: `lockgate sign`, or `openssl pkeyutl -sign -rawin`")
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Problem::new(Code::FileUnreadable, format!("{}: {error}", path.display()))
                .fix("put the signature there as a file that can be read, or remove it")),
        }
    }

    /// The 64 bytes of one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What stands in its file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}

impl SigningKey {
    /// A new key's file: PKCS #8 as PEM, as `openssl genpkey -algorithm ed25519` makes it.
    pub fn new_pem(random: &dyn Random) -> Zeroizing<String> {
        let mut der = Zeroizing::new([&PRIVATE_PREFIX[..], &[0; KEY_BYTES]].concat());
        random.fill(&mut der[PRIVATE_PREFIX.len()..]);
        let base64 = Zeroizing::new(STANDARD.encode(&*der));
        Zeroizing::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", *base64))
    }

    /// The key in a PEM file; none if there is no Ed25519 key in it.
    pub fn from_pem(pem: &Secret) -> Option<Self> {
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(pem.expose()).ok()? else { return None };
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok().map(Self)
    }

    /// What belongs into `trusted-keys`.
    pub fn public(&self) -> PublicKey {
        PublicKey(std::array::from_fn(|index| self.0.public_key().as_ref().get(index).copied().unwrap_or_default()))
    }

    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let signature = self.0.sign(bytes);
        Signature(std::array::from_fn(|index| signature.as_ref().get(index).copied().unwrap_or_default()))
    }
}

#[cfg(test)]
#[path = "signature_tests.rs"]
pub mod tests;
