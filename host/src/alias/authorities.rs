//! [`Authorities`]: who vouches for the servers of an alias beside those the machine trusts. Pure; knows PEM and certificates.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A company has a few; the bundles of whole systems belong to the system.
const CERTIFICATES_MAX: usize = 64;

/// The certificates of a `ca-file`.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads PEM.
    ///
    /// # Errors
    /// For people, what is wrong with it.
    pub fn parse(pem: &[u8]) -> Result<Self, String> {
        let certificates = CertificateDer::pem_slice_iter(pem).take(CERTIFICATES_MAX + 1).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.map_err(|error| format!("it is not PEM: {error}"))?;
        match certificates.len() {
            0 => return Err("it holds no certificate in PEM".to_owned()),
            1..=CERTIFICATES_MAX => {}
            _ => return Err(format!("it holds more than {CERTIFICATES_MAX} certificates")),
        }
        let authorities = Self(certificates);
        authorities.add_to(&mut RootCertStore::empty()).map_err(|error| format!("a certificate in it cannot be used: {error}"))?;
        Ok(authorities)
    }

    /// Makes `roots` trust them, too.
    pub fn add_to(&self, roots: &mut RootCertStore) -> Result<(), rustls::Error> {
        self.0.iter().try_for_each(|certificate| roots.add(certificate.clone()))
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities({})", self.0.len())
    }
}
