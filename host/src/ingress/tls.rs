//! TLS of a listener: [`Tls`] has the certificate, shakes hands, and takes up a renewed certificate while it runs.
//!
//! Depends on `alias::secret` for reading files and the key. TLS 1.2 and 1.3 by rustls; HTTP/1.1 only.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::alias::secret::{Secret, SecretRef, SecretSource};
use crate::clock::{Clock, Timestamp};
use crate::problem::{Code, Problem};

/// How often the files are looked at. Whatever renews certificates has days for it.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A certificate that ends sooner is worth a word a day: most are renewed a month before.
const ENDS_SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const WORD_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// 9999-12-31T23:59:59Z, past which no certificate lasts (RFC 5280 section 4.1.2.5).
const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);

/// A listener's certificate and its key, as they were read last.
pub struct Tls {
    acceptor: TlsAcceptor,
    shown: Arc<Shown>,
    files: TlsFiles,
    secrets: Arc<dyn SecretSource>,
    pair: Mutex<Pair>,
}

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain in PEM, the listener's own certificate first.
    pub certificate: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: SecretRef,
}

/// Both as their files say them.
#[derive(PartialEq, Eq)]
struct Pair {
    chain: Secret,
    key: Secret,
}

/// What is shown to whoever connects.
#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// What a look at the files found.
#[derive(Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing new.
    Same,
    /// Another certificate, which is shown from now on.
    Renewed,
    /// Another one that cannot be used: the one there is goes on being shown.
    Unusable(Problem),
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// LG-4012 where one cannot be read or they do not belong together. A certificate that has ended is shown all the same, with a word
    /// in the log: nobody is served better by a host that does not start.
    pub fn load(files: TlsFiles, secrets: Arc<dyn SecretSource>, now: Timestamp) -> Result<Self, Problem> {
        let pair = files.read(&*secrets)?;
        let certified = certify(&pair).map_err(|why| files.unusable(&why))?;
        if let Err(why) = valid(&certified, now) {
            let code = Code::ListenerCertificate;
            tracing::warn!(%code, certificate = %files.certificate.display(), "{code} the listener's certificate {why}; senders will refuse it");
        }
        let shown = Arc::new(Shown(RwLock::new(Arc::new(certified))));
        let config = server_config(shown.clone()).map_err(|error| files.unusable(&error.to_string()))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), shown, files, secrets, pair: Mutex::new(pair) })
    }

    /// Shakes hands on `stream`. Whoever calls holds the deadline.
    ///
    /// # Errors
    /// Why it came to nothing, and the stream, on which the other side may have been told.
    pub async fn shake_hands(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, (io::Error, TcpStream)> {
        self.acceptor.accept(stream).into_fallible().await
    }

    /// Looks at the files again and again, and warns before a certificate ends. Has no end of its own.
    pub async fn watch(self: Arc<Self>, clock: Arc<dyn Clock>) {
        let (mut last, mut told) = (Look::Same, Look::Same);
        let mut next_word = clock.now();
        loop {
            clock.sleep(LOOK_EVERY).await;
            let look = self.look(clock.wall());
            // A certificate and its key are not replaced in one moment: only what is still so at the next look is worth a word.
            if let Look::Unusable(problem) = &look
                && look == last
                && look != told
            {
                tracing::error!(code = %problem.code, "{problem}; the certificate there was goes on being shown");
                told = Look::Unusable(problem.clone());
            }
            if look == Look::Renewed {
                tracing::info!(certificate = %self.files.certificate.display(), "a renewed certificate is shown from now on");
                (told, next_word) = (Look::Same, clock.now());
            }
            last = look;
            if clock.now() >= next_word {
                next_word = clock.now().plus(WORD_EVERY);
                self.warn_of_end(clock.wall());
            }
        }
    }

    /// Looks at the files once, and shows what is new in them if that can be used at `now`.
    pub fn look(&self, now: Timestamp) -> Look {
        let pair = match self.files.read(&*self.secrets) {
            Ok(pair) => pair,
            Err(problem) => return Look::Unusable(problem),
        };
        let mut current = self.pair.lock().unwrap_or_else(PoisonError::into_inner);
        if pair == *current {
            return Look::Same;
        }
        let usable = certify(&pair).and_then(|certified| valid(&certified, now).map(|()| certified));
        match usable {
            Ok(certified) => {
                *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
                *current = pair;
                Look::Renewed
            }
            Err(why) => Look::Unusable(self.files.unusable(&why)),
        }
    }

    fn warn_of_end(&self, now: Timestamp) {
        let end = end(&self.shown.0.read().unwrap_or_else(PoisonError::into_inner));
        let Some(end) = end.filter(|end| end.since(now) < ENDS_SOON) else { return };
        let (code, certificate) = (Code::ListenerCertificate, self.files.certificate.display());
        tracing::warn!(%code, %certificate, %end, "{code} the listener's certificate ends soon, or has ended; senders refuse one that has");
    }
}

impl TlsFiles {
    fn read(&self, secrets: &dyn SecretSource) -> Result<Pair, Problem> {
        let read = |reference: &SecretRef| secrets.read(reference).map_err(|problem| self.unusable(&problem.message));
        let chain = read(&SecretRef::file("host.tls.certificate", &self.certificate))?;
        Ok(Pair { chain, key: read(&self.key)? })
    }

    fn unusable(&self, why: &str) -> Problem {
        let message = format!("the listener's certificate cannot be used: {why}");
        let fix = format!("`[host.tls]`: a chain in PEM in {} and its private key in {}", self.certificate.display(), self.key);
        Problem::new(Code::ListenerCertificate, message).fix(fix)
    }
}

/// The provider is named because the process-wide default depends on what other crates switch on.
fn provider() -> CryptoProvider {
    rustls::crypto::ring::default_provider()
}

fn server_config(shown: Arc<Shown>) -> Result<ServerConfig, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(shown);
    // What the listener speaks (RFC 7301). Who wants something else is told so in the handshake.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A chain and its key, if they belong together. An error is for people.
fn certify(pair: &Pair) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_slice_iter(pair.chain.expose()).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the chain is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the chain holds no certificate".to_owned());
    }
    // What the parser says of a key might be of the key.
    let key = PrivateKeyDer::from_pem_slice(pair.key.expose()).map_err(|_| "there is no private key in PEM".to_owned())?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => "the private key belongs to another certificate".to_owned(),
        Error::InvalidCertificate(error) => format!("the first certificate of the chain: {error}"),
        _ => "the private key is of a kind that is not supported".to_owned(),
    })
}

/// What stands in the way of a chain at `now`: one that has ended, or has not begun.
fn valid(certified: &CertifiedKey, now: Timestamp) -> Result<(), String> {
    let now = Duration::from_millis(u64::try_from(now.0).unwrap_or_default());
    let verdicts = certified.cert.iter().map(|certificate| verdict(certificate, now));
    match verdicts.flatten().next() {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Err(format!("has ended on {}", timestamp(not_after))),
        Some(CertificateError::NotValidYetContext { not_before, .. }) => Err(format!("begins on {}", timestamp(not_before))),
        _ => Ok(()),
    }
}

/// When the first of a chain ends.
fn end(certified: &CertifiedKey) -> Option<Timestamp> {
    let ends = certified.cert.iter().filter_map(|certificate| match verdict(certificate, LAST_SECOND) {
        Some(CertificateError::ExpiredContext { not_after, .. }) => Some(timestamp(not_after)),
        _ => None,
    });
    ends.min()
}

/// What rustls would say of a certificate at `time`, in seconds since 1970. It looks at the times first, so that who signed it does not
/// matter here.
fn verdict(certificate: &CertificateDer<'_>, time: Duration) -> Option<CertificateError> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let (roots, algorithms) = (RootCertStore::empty(), provider().signature_verification_algorithms.all);
    match verify_server_cert_signed_by_trust_anchor(&parsed, &roots, &[], UnixTime::since_unix_epoch(time), algorithms) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

fn timestamp(time: UnixTime) -> Timestamp {
    Timestamp(i64::try_from(time.as_secs()).unwrap_or(i64::MAX).saturating_mul(1000))
}
