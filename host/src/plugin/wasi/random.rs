//! Random bytes that follow from the host's key and the place of the call: a retry sees the same ones.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};

use super::Wasi;
use crate::alias::secret::Secret;
use crate::plugin::Call;
use crate::plugin::fault::Stop;

/// What the bytes of a call follow from.
type Seed = [u8; 32];

/// The most bytes of one request.
const BYTES_MAX: u64 = 1024 * 1024;

/// HMAC-SHA256 under the host's key over message, integration, replay number and place.
fn seed(host_key: &Secret, call: &Call) -> Seed {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(host_key.expose()) else { return Seed::default() };
    for part in [call.message.id.0.as_bytes().as_slice(), call.integration.as_bytes(), &call.replay.to_be_bytes(), call.place.as_bytes()] {
        mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// A generator that is set up when it is first asked: most calls never ask.
#[derive(Debug)]
pub struct CallRandom {
    host_key: Arc<Secret>,
    generator: Option<ChaCha20Rng>,
}

impl CallRandom {
    pub fn new(host_key: Arc<Secret>) -> Self {
        Self { host_key, generator: None }
    }

    fn generator(&mut self, call: &Call) -> &mut ChaCha20Rng {
        self.generator.get_or_insert_with(|| ChaCha20Rng::from_seed(seed(&self.host_key, call)))
    }
}

impl Wasi {
    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.shared.meter.host_call()?;
        let too_long = Stop::RandomTooLong { asked: len, limit: BYTES_MAX };
        let len = usize::try_from(len).ok().filter(|_| len <= BYTES_MAX).ok_or(too_long)?;
        let mut bytes = vec![0; len];
        self.random.generator(&self.shared.call).fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_u64(&mut self) -> wasmtime::Result<u64> {
        self.shared.meter.host_call()?;
        Ok(self.random.generator(&self.shared.call).next_u64())
    }
}

impl random::Host for Wasi {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure::Host for Wasi {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure_seed::Host for Wasi {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_u64()?, self.random_u64()?))
    }
}
