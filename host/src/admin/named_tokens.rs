//! [`Tokens`]: the named tokens that are good, in memory, found by their hashes.
//!
//! A token is 256 random bits, so that its plain SHA-256 tells nobody what it is, and finding it by that hash takes no time that says
//! anything of it. The file token of the data folder is `token`'s.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::role::Role;
use super::who::Who;
use crate::alias::secret::Secret;
use crate::clock::Timestamp;
use crate::message_store::sqlite::TokenRow;
use crate::random::Random;

/// More are not kept, expired ones counted.
pub const TOKENS_MAX: usize = 1000;
/// So that a token that lies about is known for what it is, by people and by scanners.
pub const PREFIX: &str = "lockgate_";
const RANDOM_BYTES: usize = 32;
/// Longer ones are none of ours, and are not hashed.
const TOKEN_BYTES_MAX: usize = 4096;

type Hash = [u8; 32];

/// The named tokens of a host.
pub struct Tokens {
    random: Arc<dyn Random>,
    known: RwLock<HashMap<Hash, Known>>,
    /// Held while a token is made or revoked, on disk and here.
    pub(super) changing: tokio::sync::Mutex<()>,
}

struct Known {
    who: Who,
    created_at: Timestamp,
}

/// A token, without what opens anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    pub name: String,
    pub role: Role,
    pub created_at: Timestamp,
    /// None: never.
    pub expires_at: Option<Timestamp>,
}

impl Tokens {
    /// Those that are kept. One whose role this program does not know is good for nothing.
    pub fn new(kept: Vec<TokenRow>, random: Arc<dyn Random>) -> Self {
        let tokens = Self { random, known: RwLock::default(), changing: tokio::sync::Mutex::default() };
        kept.into_iter().for_each(|row| tokens.add(row));
        tokens
    }

    /// A token nobody has yet.
    pub(super) fn make(&self) -> Secret {
        let mut bytes = Zeroizing::new([0; RANDOM_BYTES]);
        self.random.fill(bytes.as_mut());
        let text = Zeroizing::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes.as_ref())));
        Secret::new(text.as_bytes())
    }

    /// Who has the token `given`, if it is good at `now`.
    pub fn find(&self, given: &[u8], now: Timestamp) -> Option<Who> {
        if given.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let known = self.read();
        known.get(&hash(given)).map(|known| known.who.clone()).filter(|who| who.lasts(now))
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<KnownToken> {
        let mut all: Vec<KnownToken> = self.read().values().map(Known::shown).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    pub(super) fn add(&self, row: TokenRow) {
        let TokenRow { name, role, hash, created_at, expires_at } = row;
        let Some(role) = Role::parse(&role) else {
            tracing::warn!(token = name, role, "a token has a role that this version does not know: it opens nothing");
            return;
        };
        self.write().insert(hash, Known { who: Who::named(&name, role, expires_at), created_at });
    }

    /// It is good for nothing from now on, and what was begun with it ends.
    pub(super) fn remove(&self, name: &str) {
        self.write().retain(|_, known| {
            let is_other = known.who.name() != name;
            if !is_other {
                known.who.revoke();
            }
            is_other
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Hash, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<Hash, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn shown(&self) -> KnownToken {
        let Self { who, created_at } = self;
        KnownToken { name: who.name().to_owned(), role: who.role(), created_at: *created_at, expires_at: who.expires_at() }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("known", &self.read().len()).finish_non_exhaustive()
    }
}

/// What is kept of a token.
pub fn hash(token: &[u8]) -> Hash {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;

    fn row(name: &str, role: &str, token: &[u8], expires_at: Option<Timestamp>) -> TokenRow {
        TokenRow { name: name.into(), role: role.into(), hash: hash(token), created_at: Timestamp(0), expires_at }
    }

    fn tokens(rows: Vec<TokenRow>) -> Tokens {
        Tokens::new(rows, Arc::new(SeededRandom::new(1)))
    }

    #[test]
    fn a_token_that_is_unknown_expired_revoked_or_of_an_unknown_role_is_good_for_nothing() {
        let rows = vec![row("ci", "operator", b"one", Some(Timestamp(10))), row("next", "emperor", b"two", None)];
        let tokens = tokens(rows);
        assert!(tokens.find(b"one", Timestamp(9)).is_some());
        for (given, at) in [(&b"one"[..], 10), (b"One", 0), (b"", 0), (b"two", 0), (&[b'x'; 5000], 0), (&hash(b"one"), 0)] {
            assert!(tokens.find(given, Timestamp(at)).is_none(), "{given:?}");
        }
        let who = tokens.find(b"one", Timestamp(0)).unwrap();
        tokens.remove("ci");
        assert!(tokens.find(b"one", Timestamp(0)).is_none());
        assert!(!who.lasts(Timestamp(0)), "who was let in before, too");
    }

    #[test]
    fn revoking_one_leaves_the_others() {
        let tokens = tokens(vec![row("a", "viewer", b"a", None), row("b", "viewer", b"b", None)]);
        tokens.remove("a");
        assert_eq!(tokens.find(b"b", Timestamp(i64::MAX)).unwrap().name(), "b");
    }

    #[test]
    fn a_token_is_256_random_bits_and_known_for_what_it_is() {
        let tokens = tokens(Vec::new());
        let (one, other) = (tokens.make(), tokens.make());
        assert!(one != other && one.expose().starts_with(PREFIX.as_bytes()));
        assert_eq!(one.expose().len(), PREFIX.len() + 43);
    }
}
