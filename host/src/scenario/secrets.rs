//! Secrets that nobody has: made up where an environment refers to one, so that a scenario needs none.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use crate::alias::secret::{Secret, SecretRef, SecretSource};
use crate::alias::{Auth, Environment, JwtAlgorithm};
use crate::problem::{Code, Problem};

/// How the names of private keys end.
const PRIVATE_KEY: &str = ".private-key";

/// A text for every secret, a key for every private key.
pub struct MadeUp {
    private_key: Option<Secret>,
}

impl std::fmt::Debug for MadeUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeUp")
    }
}

impl MadeUp {
    /// All that `environment` refers to. An assertion is signed with a key made here, which is one for ES256: whoever answers does not check.
    ///
    /// # Errors
    /// LG-7999 if no key can be made.
    pub fn of(environment: &mut Environment) -> Result<Self, Problem> {
        let mut signs = false;
        for alias in environment.aliases.values_mut() {
            if let Auth::OAuth2JwtBearer { algorithm, .. } = &mut alias.auth {
                *algorithm = JwtAlgorithm::Es256;
                signs = true;
            }
        }
        Ok(Self { private_key: if signs { Some(private_key()?) } else { None } })
    }
}

impl SecretSource for MadeUp {
    fn read(&self, reference: &SecretRef) -> Result<Secret, Problem> {
        match &self.private_key {
            Some(key) if reference.name.ends_with(PRIVATE_KEY) => Ok(key.clone()),
            _ => Ok(Secret::new(format!("made-up-{}", reference.name))),
        }
    }
}

fn private_key() -> Result<Secret, Problem> {
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    let key = made.map_err(|_| Problem::new(Code::Internal, "no key could be made for a scenario"))?;
    Ok(Secret::new(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key.as_ref()))))
}
