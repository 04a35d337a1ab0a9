//! Sealing: what is secret becomes bytes that only the holder of the key can open, and that nobody can change or put in another's
//! place unnoticed. Pure, but for the chance it is given.
//!
//! Each seal has a key of its own, derived from the store's key and a random salt (HKDF, RFC 5869), so that no nonce is ever used
//! twice however many are made; under it ChaCha20-Poly1305 (RFC 8439), with kind and name as what must stay with it.

use hmac::{Hmac, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::alias::secret::Secret;
use crate::random::Random;

/// Bytes of a store's key.
pub const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const ID_BYTES: usize = 8;
const SALT_BYTES: usize = 32;
const HEAD_BYTES: usize = 1 + ID_BYTES + SALT_BYTES;

/// The key of a secrets store. Does not print.
pub struct SealKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    id: [u8; ID_BYTES],
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// Why a seal cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    #[error("another key sealed it")]
    AnotherKey,
    #[error("it was changed, or damaged")]
    Damaged,
}

impl SealKey {
    pub fn new(key: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut id = [0; ID_BYTES];
        // HMAC takes keys of any length.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&*key) {
            mac.update(b"lockgate: which key sealed this");
            id.copy_from_slice(&mac.finalize().into_bytes()[..ID_BYTES]);
        }
        Self { key, id }
    }

    /// `content`, sealed as the `name` of `kind`. None only where the cipher takes no content of that size.
    pub fn seal(&self, (kind, name): (&str, &str), content: &Secret, random: &dyn Random) -> Option<Vec<u8>> {
        let mut head = vec![VERSION];
        head.extend(self.id);
        let mut salt = [0; SALT_BYTES];
        random.fill(&mut salt);
        head.extend(salt);
        // With room for the tag: what grows leaves a copy of the content behind.
        let mut sealed = Zeroizing::new(Vec::with_capacity(content.expose().len() + CHACHA20_POLY1305.tag_len()));
        sealed.extend_from_slice(content.expose());
        self.one_time(&salt)?.seal_in_place_append_tag(nonce(), belonging(kind, name), &mut *sealed).ok()?;
        head.extend_from_slice(&sealed);
        Some(head)
    }

    /// What was sealed as the `name` of `kind`.
    pub fn open(&self, (kind, name): (&str, &str), sealed: &[u8]) -> Result<Secret, Unopened> {
        let (head, body) = sealed.split_at_checked(HEAD_BYTES).ok_or(Unopened::Damaged)?;
        if head[0] != VERSION {
            return Err(Unopened::Damaged);
        }
        if head[1..=ID_BYTES] != self.id {
            return Err(Unopened::AnotherKey);
        }
        let key = self.one_time(&head[1 + ID_BYTES..]).ok_or(Unopened::Damaged)?;
        let mut body = Zeroizing::new(body.to_vec());
        let content = key.open_in_place(nonce(), belonging(kind, name), &mut body).map_err(|_| Unopened::Damaged)?;
        Ok(Secret::new(&*content))
    }

    fn one_time(&self, salt: &[u8]) -> Option<LessSafeKey> {
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&*self.key);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        derived.expand(&[b"lockgate sealed"], &CHACHA20_POLY1305).ok()?.fill(&mut *key).ok()?;
        UnboundKey::new(&CHACHA20_POLY1305, &*key).ok().map(LessSafeKey::new)
    }
}

/// The one nonce of a key that seals once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

fn belonging(kind: &str, name: &str) -> Aad<Vec<u8>> {
    Aad::from([kind.as_bytes(), b"\0", name.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn key(byte: u8) -> SealKey {
        SealKey::new(Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn what_was_changed_moved_or_sealed_by_another_is_not_opened() {
        let random = SeededRandom::new(1);
        let sealed = key(1).seal(("secret", "crm.password"), &Secret::new("hunter2"), &random).unwrap();
        assert_eq!(key(2).open(("secret", "crm.password"), &sealed), Err(Unopened::AnotherKey));
        assert_eq!(key(1).open(("secret", "erp.password"), &sealed), Err(Unopened::Damaged), "one name's is not another's");
        assert_eq!(key(1).open(("token", "crm.password"), &sealed), Err(Unopened::Damaged));
        for at in 0..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert!(key(1).open(("secret", "crm.password"), &bent).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(("secret", "crm.password"), &sealed[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn opens_to_what_was_sealed_and_shows_nothing_of_it() {
        let random = SeededRandom::new(1);
        for content in ["", "x", "hunter2", &"long ".repeat(10_000)] {
            let sealed = key(1).seal(("secret", "a"), &Secret::new(content), &random).unwrap();
            assert_eq!(key(1).open(("secret", "a"), &sealed), Ok(Secret::new(content)));
            assert!(content.len() < 4 || !sealed.windows(content.len()).any(|window| window == content.as_bytes()));
        }
        let twice = || key(1).seal(("secret", "a"), &Secret::new("hunter2"), &random).unwrap();
        assert_ne!(twice(), twice(), "the same secret does not look the same");
        assert_eq!(format!("{:?}", key(1)), "SealKey(…)");
    }
}
