//! The certificates of the endpoint: an authority of the operator's own, what it signs, and when either is due again. Reads
//! and writes nothing.
//!
//! A certificate is renewed by the authority that API servers know already. An authority that comes to its end is joined by the
//! next one at one renewal, and followed by it at the renewal after that: until then every CRD names both.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::api::names::{
    AUTHORITY_CERTIFICATES_KEY, AUTHORITY_KEY, CERTIFICATE_KEY, CERTIFICATE_PRIVATE_KEY,
    CERTIFICATE_TERMS_KEY, NEXT_AUTHORITY_KEY,
};

/// How many times as long as a certificate an authority is valid: ten years for ninety days.
const AUTHORITY_TERMS: i32 = 40;
/// How many terms before the end of an authority the next one is made.
const EARLY_TERMS: i32 = 3;
/// How far clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// They cannot be made.
    #[error("failed to make certificates: {0}")]
    Make(#[from] rcgen::Error),
    /// What was kept cannot be read.
    #[error("{key}: {why}")]
    Unreadable {
        /// Key in the Secret.
        key: &'static str,
        why: String,
    },
}

/// The certificates and their keys.
#[derive(Clone)]
pub(super) struct Certificates {
    terms: Terms,
    /// Of the authority that signs.
    authority_key: Zeroizing<String>,
    /// Of the one that follows it.
    next_key: Option<Zeroizing<String>>,
    /// Of the endpoint.
    certificate: String,
    key: Zeroizing<String>,
}

/// Their public part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Terms {
    /// By which name or address the endpoint is reached.
    host: String,
    /// When the certificate of the endpoint ends, in seconds since 1970.
    ends: i64,
    /// The authorities that are trusted, the oldest first.
    authorities: Vec<Authority>,
    signing: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Authority {
    name: String,
    ends: i64,
    certificate: String,
}

/// For whom certificates are made, and for how long.
#[derive(Clone, Debug)]
pub(super) struct CertificateRequest {
    /// The name or address by which the endpoint is reached.
    pub host: String,
    /// How long a certificate is valid.
    pub lifetime: SignedDuration,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").field("terms", &self.terms).finish_non_exhaustive()
    }
}

impl Certificates {
    /// New ones, by a new authority.
    pub(super) fn make(
        certificate_request: &CertificateRequest,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let (authority, authority_key) = make_authority(certificate_request, now)?;
        let (certificate, key) = sign(&authority, &authority_key, certificate_request, now)?;
        let terms = Terms {
            host: certificate_request.host.clone(),
            ends: after(now, certificate_request.lifetime),
            authorities: vec![authority],
            signing: 0,
        };
        Ok(Self { terms, authority_key, next_key: None, certificate, key })
    }

    /// Whether it is time for another certificate: two thirds of its term have passed, or it is for another host.
    pub(super) fn are_due(&self, certificate_request: &CertificateRequest, now: Timestamp) -> bool {
        self.terms.host != certificate_request.host
            || now.as_second() >= self.terms.ends - certificate_request.lifetime.as_secs() / 3
    }

    /// When the certificate of the endpoint ends, in seconds since 1970.
    pub(super) const fn end(&self) -> i64 {
        self.terms.ends
    }

    /// Those that follow these.
    pub(super) fn renewed(
        &self,
        certificate_request: &CertificateRequest,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let mut renewed = self.clone();
        if let (Some(next_key), true) = (renewed.next_key.take(), self.next().is_some()) {
            renewed.terms.signing += 1;
            renewed.authority_key = next_key;
        }
        let Some(signing) = renewed.terms.authorities.get(renewed.terms.signing).cloned() else {
            return Self::make(certificate_request, now);
        };
        if signing.ends < after(now, certificate_request.lifetime) {
            // They were not renewed for so long that nothing else is possible.
            return Self::make(certificate_request, now);
        }
        if signing.ends < after(now, certificate_request.lifetime * EARLY_TERMS) {
            let (next, key) = make_authority(certificate_request, now)?;
            renewed.terms.authorities.truncate(renewed.terms.signing + 1);
            renewed.terms.authorities.push(next);
            renewed.next_key = Some(key);
        }
        let before = renewed.terms.authorities.len();
        renewed.terms.authorities.retain(|authority| authority.ends > now.as_second());
        renewed.terms.signing -= before - renewed.terms.authorities.len();
        (renewed.certificate, renewed.key) =
            sign(&signing, &renewed.authority_key, certificate_request, now)?;
        renewed.terms.host.clone_from(&certificate_request.host);
        renewed.terms.ends = after(now, certificate_request.lifetime);
        Ok(renewed)
    }

    fn next(&self) -> Option<&Authority> {
        self.terms.authorities.get(self.terms.signing + 1)
    }

    /// The certificates of all authorities that are trusted, in PEM.
    pub(super) fn authorities(&self) -> String {
        self.terms.authorities.iter().map(|authority| authority.certificate.as_str()).collect()
    }

    /// What a server presents.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, CertificateError> {
        let unreadable = |key: &'static str, why: String| CertificateError::Unreadable { key, why };
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unreadable(CERTIFICATE_KEY, error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| unreadable(CERTIFICATE_PRIVATE_KEY, error.to_string()))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map_err(|error| unreadable(CERTIFICATE_KEY, error.to_string()))
    }

    /// As a Secret keeps them.
    pub(super) fn to_data(&self) -> BTreeMap<String, String> {
        // What is made of texts and numbers can be written.
        let terms = serde_json::to_string(&self.terms).unwrap_or_default();
        let mut data = BTreeMap::from([
            (AUTHORITY_CERTIFICATES_KEY.to_owned(), self.authorities()),
            (AUTHORITY_KEY.to_owned(), self.authority_key.to_string()),
            (NEXT_AUTHORITY_KEY.to_owned(), String::new()),
            (CERTIFICATE_KEY.to_owned(), self.certificate.clone()),
            (CERTIFICATE_PRIVATE_KEY.to_owned(), self.key.to_string()),
            (CERTIFICATE_TERMS_KEY.to_owned(), terms),
        ]);
        if let Some(key) = &self.next_key {
            data.insert(NEXT_AUTHORITY_KEY.to_owned(), key.to_string());
        }
        data
    }

    /// From what a Secret kept.
    pub(super) fn from_data(value: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, CertificateError> {
        let text = |key: &'static str| {
            let value = value(key).and_then(|value| String::from_utf8(value).ok());
            value
                .ok_or_else(|| CertificateError::Unreadable { key, why: "is missing, or no text".to_owned() })
        };
        let terms = serde_json::from_str(&text(CERTIFICATE_TERMS_KEY)?).map_err(|error| {
            CertificateError::Unreadable { key: CERTIFICATE_TERMS_KEY, why: error.to_string() }
        })?;
        let next_key = text(NEXT_AUTHORITY_KEY).ok().filter(|key| !key.is_empty()).map(Zeroizing::new);
        let found = Self {
            terms,
            authority_key: Zeroizing::new(text(AUTHORITY_KEY)?),
            next_key,
            certificate: text(CERTIFICATE_KEY)?,
            key: Zeroizing::new(text(CERTIFICATE_PRIVATE_KEY)?),
        };
        found.certified_key()?;
        Ok(found)
    }
}

/// Seconds since 1970 of a moment some time after another.
fn after(now: Timestamp, span: SignedDuration) -> i64 {
    now.as_second().saturating_add(span.as_secs())
}

fn authority_parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

fn limit(parameters: &mut CertificateParams, now: Timestamp, ends: i64) {
    let moment = |second: i64| OffsetDateTime::from_unix_timestamp(second).ok();
    if let (Some(begin), Some(end)) = (moment(now.as_second() - SKEW.as_secs()), moment(ends)) {
        parameters.not_before = begin;
        parameters.not_after = end;
    }
}

fn make_authority(
    certificate_request: &CertificateRequest,
    now: Timestamp,
) -> Result<(Authority, Zeroizing<String>), CertificateError> {
    let ends = after(now, certificate_request.lifetime * AUTHORITY_TERMS);
    let name = format!("colonyos-operator conversions {now}");
    let key = KeyPair::generate()?;
    let mut parameters = authority_parameters(&name);
    limit(&mut parameters, now, ends);
    let certificate = parameters.self_signed(&key)?.pem();
    Ok((Authority { name, ends, certificate }, Zeroizing::new(key.serialize_pem())))
}

fn sign(
    authority: &Authority,
    authority_key: &str,
    certificate_request: &CertificateRequest,
    now: Timestamp,
) -> Result<(String, Zeroizing<String>), CertificateError> {
    let issuer = Issuer::new(authority_parameters(&authority.name), KeyPair::from_pem(authority_key)?);
    let mut parameters = CertificateParams::new(vec![certificate_request.host.clone()])?;
    parameters.distinguished_name.push(DnType::CommonName, "colonyos-operator conversions");
    parameters.use_authority_key_identifier_extension = true;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    limit(&mut parameters, now, after(now, certificate_request.lifetime).min(authority.ends));
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &issuer)?.pem();
    Ok((certificate, Zeroizing::new(key.serialize_pem())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{
        RootCertStore,
        client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
        pki_types::{ServerName, UnixTime},
    };

    use super::*;

    fn certificate_request(host: &str) -> CertificateRequest {
        CertificateRequest { host: host.to_owned(), lifetime: SignedDuration::from_hours(24) }
    }

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
    }

    /// Whether a client that trusts `authorities` takes the certificate for `host`.
    fn verifies(certificates: &Certificates, authorities: &str, host: &str, now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let key = certificates.certified_key().unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let now =
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(now.as_second().try_into().unwrap()));
        verifier.verify_server_cert(&key.cert[0], &[], &name, &[], now).is_ok()
    }

    fn kept(certificates: &Certificates) -> Certificates {
        let data = certificates.to_data();
        Certificates::from_data(|key| data.get(key).map(|text| text.clone().into_bytes())).unwrap()
    }

    #[test]
    fn what_was_kept_serves_as_before() {
        let made = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap();
        let read = kept(&made);
        assert_eq!(read.terms, made.terms);
        assert!(verifies(&read, &made.authorities(), "c.ns.svc", day(0)));
        assert!(!verifies(&read, &made.authorities(), "d.ns.svc", day(0)), "it is for one host alone");
        assert!(!verifies(&read, &made.authorities(), "c.ns.svc", day(2)), "it ends");
        let other = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap();
        assert!(!verifies(&read, &other.authorities(), "c.ns.svc", day(0)));
        let by_address = Certificates::make(&certificate_request("127.0.0.1"), day(0)).unwrap();
        assert!(verifies(&by_address, &by_address.authorities(), "127.0.0.1", day(0)));
        assert!(!format!("{made:?}").contains("PRIVATE"), "keys are never shown");
    }

    #[test]
    fn what_was_damaged_is_not_served() {
        let mut data = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap().to_data();
        let other = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap().to_data();
        data.insert(CERTIFICATE_PRIVATE_KEY.to_owned(), other[CERTIFICATE_PRIVATE_KEY].clone());
        let read = |data: &BTreeMap<String, String>| {
            Certificates::from_data(|key| data.get(key).map(|text| text.clone().into_bytes()))
        };
        assert!(read(&data).is_err(), "the key of another");
        data.remove(CERTIFICATE_TERMS_KEY);
        let error = read(&data).unwrap_err().to_string();
        assert!(error.contains(CERTIFICATE_TERMS_KEY), "{error}");
    }

    #[test]
    fn certificates_are_due_in_time_or_for_another_host() {
        let made = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap();
        let hours = |hours: i64| Timestamp::from_second(day(0).as_second() + hours * 3600).unwrap();
        assert!(
            !made.are_due(&certificate_request("c.ns.svc"), hours(15))
                && made.are_due(&certificate_request("c.ns.svc"), hours(16))
        );
        assert!(made.are_due(&certificate_request("d.ns.svc"), hours(1)));
    }

    /// Over the life of three authorities: a client that trusts the previous authority trusts the certificate served
    /// now.
    #[test]
    fn no_renewal_is_a_surprise() {
        let certificate_request = certificate_request("c.ns.svc");
        let mut now = day(0);
        let mut certificates = Certificates::make(&certificate_request, now).unwrap();
        let first = certificates.authorities();
        let mut authorities_seen = 1;
        for _ in 0..130 {
            now += SignedDuration::from_hours(16);
            assert!(certificates.are_due(&certificate_request, now));
            let renewed = kept(&certificates.renewed(&certificate_request, now).unwrap());
            assert!(
                verifies(&renewed, &certificates.authorities(), &certificate_request.host, now),
                "{:?}",
                renewed.terms
            );
            assert!(
                verifies(&certificates, &renewed.authorities(), &certificate_request.host, now),
                "other replicas go on"
            );
            assert!(renewed.terms.authorities.len() <= 3, "{:?}", renewed.terms);
            authorities_seen += i32::from(renewed.terms.signing > certificates.terms.signing);
            certificates = renewed;
        }
        assert!(authorities_seen >= 3, "{authorities_seen}");
        assert!(!certificates.authorities().contains(&first), "what has ended is not trusted any more");
    }

    #[test]
    fn what_nobody_looked_after_for_years_is_made_anew() {
        let made = Certificates::make(&certificate_request("c.ns.svc"), day(0)).unwrap();
        let renewed = made.renewed(&certificate_request("c.ns.svc"), day(60)).unwrap();
        assert!(verifies(&renewed, &renewed.authorities(), "c.ns.svc", day(60)));
    }
}
