//! How the way to a server is guarded.
//!
//! The configuration is built here, with its own provider of cryptography and its own roots of trust: it
//! needs no CA bundle in the image and no global state.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::error::Error;

/// How the way to a server is guarded. ColonyOS itself speaks plain HTTP: TLS ends at a proxy in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP. Anyone on the network path can read everything and replay each call: for the same machine only.
    Insecure,
    /// HTTPS, with a certificate by an authority that the web trusts (the list is compiled in).
    Webpki,
    /// HTTPS, with a certificate by one of these authorities (PEM) and no other.
    CustomCa(Vec<u8>),
}

impl Tls {
    /// The scheme of URLs.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        match self {
            Self::Insecure => "http",
            Self::Webpki | Self::CustomCa(_) => "https",
        }
    }

    /// The configuration. Plain HTTP gets one too: the HTTP client wants a provider even if it never uses it.
    ///
    /// # Errors
    /// [`Error::Configuration`], when the CA holds no certificate.
    pub fn configuration(&self) -> Result<ClientConfig, Error> {
        let refuse = |detail: &str| Error::Configuration(detail.to_owned());
        let mut roots = RootCertStore::empty();
        match self {
            Self::Insecure => {}
            Self::Webpki => {
                roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
            }
            Self::CustomCa(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|_| refuse("the CA is no PEM certificate"))?;
                    roots.add(certificate).map_err(|_| refuse("the CA is no certificate of an authority"))?;
                }
                if roots.is_empty() {
                    return Err(refuse("the CA holds no certificate: give one or more in PEM form"));
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|_| refuse("this build has no version of TLS"))?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

#[cfg(test)]
mod tests {
    use super::Tls;

    #[test]
    fn the_compiled_in_authorities_are_there() {
        assert!(Tls::Webpki.configuration().is_ok());
        assert!(Tls::Insecure.configuration().is_ok());
        assert!(webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() > 50);
    }

    #[test]
    fn a_ca_without_certificates_is_refused() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no PEM", broken] {
            assert!(Tls::CustomCa(pem.into()).configuration().is_err(), "{pem}");
        }
    }
}
