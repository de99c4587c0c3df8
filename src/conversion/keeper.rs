//! Keeps the certificates of the endpoint in a Secret, presents them, and tells that the endpoint serves once it does.
//!
//! The replica that leads makes and renews them. Another does so when that has not happened for a while: each needs them
//! before it can serve, and in an update a new one must serve before the old leader goes, which may know nothing of them.
//! Two that do so at once are told apart by the API server: a name is created once, and a change names the version that it
//! was made from. Whoever comes second takes what is there.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::{Api, Client, ResourceExt as _, api::ObjectMeta};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{
    Grounds,
    certificates::{Certificates, Wish},
    server::Presented,
};
use crate::{
    act::{kubernetes::Cluster, outcome::FailureKind},
    api::names::{APP_MANAGED_BY_LABEL, OPERATOR},
    memory::endpoint::Endpoint,
    runtime::{
        clock::Clock,
        config::Conversion,
        http::Check,
        kubernetes::{CALL_TIME_LIMIT, call},
        lease::Leadership,
    },
    watch::snapshot::{ConversionAddress, ConversionEndpoint},
};

/// Longest time until the Secret is looked at again: another replica may have renewed what is in it.
const LOOK: Duration = Duration::from_hours(1);
/// How soon it is tried again when something failed.
const RETRY: Duration = Duration::from_secs(1);
/// How long a replica that does not lead leaves it to the one that does.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time limit for the look whether the endpoint serves.
const PROBE: Duration = Duration::from_secs(5);
/// Port of the Service, as clients see it.
const SERVICE_PORT: u16 = 443;

/// Keeps the certificates.
pub(super) struct Keeper {
    settings: Conversion,
    namespace: String,
    client: Client,
    cluster: Cluster,
    clock: Clock,
    address: ConversionAddress,
    presented: Presented,
    endpoint: Endpoint,
    check: Option<Check>,
    leadership: Leadership,
    /// Since when something is to be written.
    due_since: Option<Instant>,
    wish: Wish,
    /// As they were last presented.
    kept: Option<Certificates>,
    /// What was last seen to serve.
    told: Option<ConversionEndpoint>,
}

impl Keeper {
    pub(super) fn new(grounds: Grounds, address: ConversionAddress, presented: Presented) -> Self {
        let Grounds { settings, namespace, client, cluster, clock, endpoint, leadership, check } = grounds;
        let lifetime = SignedDuration::from_secs(settings.certificate_seconds.into());
        let wish = Wish { host: host(&address), lifetime };
        Self {
            settings,
            namespace,
            client,
            cluster,
            clock,
            address,
            presented,
            endpoint,
            check,
            leadership,
            due_since: None,
            wish,
            kept: None,
            told: None,
        }
    }

    /// Keeps them for ever.
    pub(super) async fn run(mut self) {
        let mut reported = String::new();
        loop {
            let pause = match self.pass().await {
                Ok(()) => {
                    reported.clear();
                    self.until_next_look()
                }
                Err(why) => {
                    if why != reported {
                        tracing::warn!("conversions are not served yet, or not by new certificates: {why}");
                        reported.clone_from(&why);
                    }
                    if let (Some(check), None) = (&self.check, &self.kept) {
                        check.missing(why.clone());
                    }
                    self.endpoint.fails(why);
                    RETRY
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn until_next_look(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.certificate_seconds) / 12).clamp(RETRY, LOOK)
    }

    async fn pass(&mut self) -> Result<(), String> {
        let certificates = self.certificates().await?;
        let key = certificates.certified_key().map_err(|error| error.to_string())?;
        let authorities = certificates.authorities().into_bytes();
        if self.kept.as_ref().is_none_or(|kept| kept.end() != certificates.end()) {
            tracing::info!(host = self.wish.host, ends = certificates.end(), "presenting a certificate");
        }
        self.presented.set(key);
        self.kept = Some(certificates);
        if let Some(check) = &self.check {
            check.met();
        }
        let now = ConversionEndpoint { address: self.address.clone(), authorities };
        if self.told.as_ref() != Some(&now) {
            self.probe(&now).await?;
            self.endpoint.serves(now.clone());
            self.told = Some(now);
        }
        Ok(())
    }

    /// What the Secret has; made or renewed if that is due.
    async fn certificates(&mut self) -> Result<Certificates, String> {
        let name = &self.settings.secret_name.clone();
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let found = call(CALL_TIME_LIMIT, secrets.get_opt(name))
            .await
            .map_err(|error| error.explain(&format!("get Secret {name}")))?;
        let now = self.clock.now();
        let Some(found) = found else {
            if !self.is_its_turn() {
                return Err("the replica that leads has not made certificates yet".to_owned());
            }
            // One that somebody has taken away comes back as it was: CRDs name its authorities.
            let made = match &self.kept {
                Some(kept) => kept.clone(),
                None => Certificates::make(&self.wish, now).map_err(|error| error.to_string())?,
            };
            return match self.cluster.create(&self.namespace, &secret(name, &made)).await {
                Ok(()) => {
                    tracing::info!(secret = name, "made certificates for conversions");
                    Ok(made)
                }
                Err(failure) => Err(failure.message),
            };
        };
        if found.labels().get(APP_MANAGED_BY_LABEL).is_none_or(|manager| manager != OPERATOR) {
            return Err(format!(
                "Secret {name} is not the operator's: give conversion.secretName another name, or delete it"
            ));
        }
        let read = Certificates::from_data(|key| Some(found.data.as_ref()?.get(key)?.0.clone()));
        if let Ok(read) = &read
            && !read.are_due(&self.wish, now)
        {
            self.due_since = None;
            return Ok(read.clone());
        }
        if !self.is_its_turn() {
            return read.map_err(|error| error.to_string());
        }
        let renewed = match (read, &self.kept) {
            (Ok(read), _) => read.renewed(&self.wish, now),
            (Err(error), kept) => {
                tracing::warn!(secret = name, %error, "the certificates for conversions cannot be used and are made anew");
                match kept {
                    Some(kept) => kept.renewed(&self.wish, now),
                    None => Certificates::make(&self.wish, now),
                }
            }
        };
        let renewed = renewed.map_err(|error| error.to_string())?;
        let version = found.resource_version().unwrap_or_default();
        match self.cluster.renew_secret(&self.namespace, name, &version, &renewed.to_data()).await {
            Ok(()) => {
                tracing::info!(secret = name, "renewed the certificates for conversions");
                Ok(renewed)
            }
            Err(failure) if failure.kind == FailureKind::Conflict => {
                Err("another replica renews the certificates".to_owned())
            }
            Err(failure) => Err(failure.message),
        }
    }

    /// Whether this replica is to write what is due.
    fn is_its_turn(&mut self) -> bool {
        let now = self.clock.instant();
        let since = *self.due_since.get_or_insert(now);
        self.leadership.is_leader() || now.saturating_duration_since(since) >= PATIENCE
    }

    /// Whether the endpoint answers where API servers will ask, with a certificate that they will trust.
    async fn probe(&self, endpoint: &ConversionEndpoint) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&endpoint.authorities) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(PROBE).no_proxy();
        let url = match &endpoint.address {
            ConversionAddress::Url(url) => format!("{url}/healthz"),
            ConversionAddress::Service { name, namespace } => {
                let place = self.address_of(name, namespace).await?;
                client = client.resolve(&self.wish.host, place);
                format!("https://{}:{SERVICE_PORT}/healthz", self.wish.host)
            }
        };
        let client = client.build().map_err(|error| error.to_string())?;
        let unanswered = |why: String| format!("{url} does not answer yet: {why}");
        let answer = client.get(&url).send().await.map_err(|error| unanswered(explain(&error)))?;
        if answer.status().is_success() { Ok(()) } else { Err(unanswered(answer.status().to_string())) }
    }

    /// Where a Service is, as API servers reach it: without asking for a name that only the cluster knows.
    async fn address_of(&self, name: &str, namespace: &str) -> Result<SocketAddr, String> {
        let services = Api::<Service>::namespaced(self.client.clone(), namespace);
        let found = call(CALL_TIME_LIMIT, services.get(name))
            .await
            .map_err(|error| error.explain(&format!("get Service {name}")))?;
        let address = found.spec.and_then(|spec| spec.cluster_ip).unwrap_or_default();
        let address = address.parse().map_err(|_| {
            format!("Service {name} has no address: {address:?}: give it type ClusterIP with one")
        })?;
        Ok(SocketAddr::new(address, SERVICE_PORT))
    }
}

/// The name or address that the certificate must be for.
fn host(address: &ConversionAddress) -> String {
    match address {
        ConversionAddress::Service { name, namespace } => format!("{name}.{namespace}.svc"),
        ConversionAddress::Url(url) => {
            let authority = url.strip_prefix("https://").unwrap_or(url);
            let parsed = authority.parse::<http::uri::Authority>();
            let host = parsed.as_ref().map_or(authority, http::uri::Authority::host);
            host.trim_start_matches('[').trim_end_matches(']').to_owned()
        }
    }
}

fn secret(name: &str, certificates: &Certificates) -> Secret {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        labels: Some([(APP_MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned())].into()),
        ..ObjectMeta::default()
    };
    Secret {
        metadata,
        string_data: Some(certificates.to_data()),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

/// An error with what caused it: what reqwest says by itself tells only that there was one.
fn explain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_clients_check_the_certificate_for() {
        let of = |url: &str| host(&ConversionAddress::Url(url.to_owned()));
        assert_eq!(of("https://192.0.2.1:9443"), "192.0.2.1");
        assert_eq!(of("https://[2001:db8::1]:9443"), "2001:db8::1");
        assert_eq!(of("https://ops.example.com"), "ops.example.com");
        let service = ConversionAddress::Service { name: "c".to_owned(), namespace: "ns".to_owned() };
        assert_eq!(host(&service), "c.ns.svc");
    }
}
