//! Assertions for the JWT bearer grant (RFC 7523): a JWT (RFC 7519), signed with the alias's private key.
//!
//! Depends on `secret`, `clock` and `random`. What is done with one is `token`'s business.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::secret::Secret;
use super::{JwtAlgorithm, JwtClaims};
use crate::clock::Timestamp;
use crate::random::Random;

/// How long an assertion holds: Salesforce takes no more than five minutes, and clocks differ.
const HOLDS: Duration = Duration::from_secs(3 * 60);

/// Why there is no assertion. Says nothing about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsigned {
    #[error("the private key is not PEM text with a PRIVATE KEY or an RSA PRIVATE KEY in it")]
    NoPem,
    #[error("the private key is of a form that is not taken; make it PKCS #8: openssl pkcs8 -topk8 -nocrypt")]
    Form,
    #[error("the private key is no RSA key of 2048 to 4096 bits, which RS256 needs")]
    NoRsa,
    #[error("the private key is no key on the curve P-256, which ES256 needs")]
    NoP256,
}

/// Who signs, and how.
#[derive(Debug)]
pub struct Signing<'a> {
    pub claims: &'a JwtClaims,
    pub algorithm: JwtAlgorithm,
    pub key_id: Option<&'a str>,
    pub private_key: &'a Secret,
}

impl Signing<'_> {
    /// An assertion that holds from `now` on for three minutes, and is another one each time.
    pub fn assertion(&self, now: Timestamp, random: &dyn Random) -> Result<Zeroizing<String>, Unsigned> {
        let signed = format!("{}.{}", encoded(self.header()), encoded(self.payload(now, random)));
        let signature = sign(self.private_key, self.algorithm, signed.as_bytes())?;
        Ok(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }

    fn header(&self) -> Map<String, Value> {
        let name = match self.algorithm {
            JwtAlgorithm::Rs256 => "RS256",
            JwtAlgorithm::Es256 => "ES256",
        };
        let mut header = texts([("alg", Some(name)), ("typ", Some("JWT")), ("kid", self.key_id)]);
        header.retain(|_, value| !value.is_null());
        header
    }

    /// RFC 7523 section 3; `scope` stands here because Google looks for it here.
    fn payload(&self, now: Timestamp, random: &dyn Random) -> Map<String, Value> {
        let JwtClaims { issuer, subject, audience, scope } = self.claims;
        let mut id = [0; 16];
        random.fill(&mut id);
        let id = hex::encode(id);
        let mut payload = texts([
            ("iss", Some(issuer)),
            ("sub", subject.as_deref()),
            ("aud", Some(audience)),
            ("scope", scope.as_deref()),
            ("jti", Some(&id)),
        ]);
        payload.insert("iat".to_owned(), (now.0 / 1000).into());
        payload.insert("exp".to_owned(), (now.plus(HOLDS).0 / 1000).into());
        payload
    }
}

fn texts<const N: usize>(entries: [(&str, Option<&str>); N]) -> Map<String, Value> {
    entries.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Value::from(text?)))).collect()
}

fn encoded(object: Map<String, Value>) -> String {
    URL_SAFE_NO_PAD.encode(Value::Object(object).to_string())
}

fn sign(private_key: &Secret, algorithm: JwtAlgorithm, signed: &[u8]) -> Result<Vec<u8>, Unsigned> {
    let key = PrivateKeyDer::from_pem_slice(private_key.expose()).map_err(|_| Unsigned::NoPem)?;
    // What blinds a signature is not seen in it, and never part of a history.
    let chance = SystemRandom::new();
    match (algorithm, &key) {
        (JwtAlgorithm::Rs256, PrivateKeyDer::Pkcs8(der)) => rsa(rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()), &chance, signed),
        (JwtAlgorithm::Rs256, PrivateKeyDer::Pkcs1(der)) => rsa(rsa::KeyPair::from_der(der.secret_pkcs1_der()), &chance, signed),
        (JwtAlgorithm::Es256, PrivateKeyDer::Pkcs8(der)) => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &chance);
            let key = key.map_err(|_| Unsigned::NoP256)?;
            key.sign(&chance, signed).map(|signature| signature.as_ref().to_vec()).map_err(|_| Unsigned::NoP256)
        }
        (JwtAlgorithm::Rs256, _) => Err(Unsigned::NoRsa),
        (JwtAlgorithm::Es256, PrivateKeyDer::Pkcs1(_)) => Err(Unsigned::NoP256),
        (JwtAlgorithm::Es256, _) => Err(Unsigned::Form),
    }
}

fn rsa(key: Result<rsa::KeyPair, ring::error::KeyRejected>, chance: &SystemRandom, signed: &[u8]) -> Result<Vec<u8>, Unsigned> {
    let key = key.map_err(|_| Unsigned::NoRsa)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, chance, signed, &mut signature).map_err(|_| Unsigned::NoRsa)?;
    Ok(signature)
}

#[cfg(test)]
pub mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;
    use crate::random::SeededRandom;

    /// Made for these tests: `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048`.
    const RSA: &str = include_str!("test_keys/rsa.pem");
    /// The same key as PKCS #1: `openssl rsa -traditional`.
    const RSA_PKCS1: &str = include_str!("test_keys/rsa_pkcs1.pem");
    /// `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`.
    const P256: &str = include_str!("test_keys/p256.pem");
    /// The same key as SEC1: `openssl ec`.
    const P256_SEC1: &str = include_str!("test_keys/p256_sec1.pem");

    fn claims() -> JwtClaims {
        let (issuer, audience) = ("client".to_owned(), "https://login.example".to_owned());
        JwtClaims { issuer, subject: Some("ops@acme.example".to_owned()), audience, scope: None }
    }

    fn made(key: &str, algorithm: JwtAlgorithm) -> Result<String, Unsigned> {
        let (claims, private_key) = (claims(), Secret::new(key));
        let signing = Signing { claims: &claims, algorithm, key_id: Some("k1"), private_key: &private_key };
        signing.assertion(Timestamp(1_767_323_045_123), &SeededRandom::new(1)).map(|assertion| assertion.to_string())
    }

    fn part(assertion: &str, index: usize) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(assertion.split('.').nth(index).unwrap()).unwrap()
    }

    #[test]
    fn a_key_that_does_not_fit_is_named_and_not_shown() {
        use JwtAlgorithm::{Es256, Rs256};
        assert_eq!(made("hunter2", Rs256), Err(Unsigned::NoPem));
        assert_eq!(made("", Es256), Err(Unsigned::NoPem));
        assert_eq!(made("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", Rs256), Err(Unsigned::NoRsa));
        assert_eq!(made(P256, Rs256), Err(Unsigned::NoRsa));
        assert_eq!(made(RSA, Es256), Err(Unsigned::NoP256));
        assert_eq!(made(RSA_PKCS1, Es256), Err(Unsigned::NoP256));
        assert_eq!(made(P256_SEC1, Es256), Err(Unsigned::Form));
    }

    #[test]
    fn says_who_asks_whom_and_until_when() {
        let assertion = made(P256, JwtAlgorithm::Es256).unwrap();
        let header: Value = serde_json::from_slice(&part(&assertion, 0)).unwrap();
        assert_eq!(header, serde_json::json!({ "alg": "ES256", "typ": "JWT", "kid": "k1" }));
        let mut payload: Value = serde_json::from_slice(&part(&assertion, 1)).unwrap();
        assert_eq!(payload.as_object_mut().unwrap().remove("jti").unwrap().as_str().unwrap().len(), 32);
        let expected = serde_json::json!({
            "iss": "client", "sub": "ops@acme.example", "aud": "https://login.example", "iat": 1_767_323_045, "exp": 1_767_323_225,
        });
        assert_eq!(payload, expected);
    }

    #[test]
    fn is_signed_as_its_header_says() {
        let chance = SystemRandom::new();
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(P256.as_bytes()).unwrap() else { panic!("no PKCS #8") };
        let p256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &chance).unwrap();
        let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(RSA.as_bytes()).unwrap() else { panic!("no PKCS #8") };
        let rsa = rsa::KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let signed = |assertion: &str| assertion.rsplit_once('.').unwrap().0.to_owned();
        let assertion = made(P256, JwtAlgorithm::Es256).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, p256.public_key().as_ref());
        public.verify(signed(&assertion).as_bytes(), &part(&assertion, 2)).unwrap();
        for key in [RSA, RSA_PKCS1] {
            let assertion = made(key, JwtAlgorithm::Rs256).unwrap();
            let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, rsa.public().as_ref());
            public.verify(signed(&assertion).as_bytes(), &part(&assertion, 2)).unwrap();
        }
    }
}
