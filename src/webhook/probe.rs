//! Whether the endpoint answers where API servers ask, with a certificate that they trust.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use crate::{
    runtime::{
        causes,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{ConversionAddress, ConversionEndpoint},
};

/// Time limit for an answer.
const LIMIT: Duration = Duration::from_secs(5);
/// Port of the Service, as clients see it.
const SERVICE_PORT: u16 = 443;

/// Whether an endpoint answers; a Service is looked up first.
///
/// # Errors
///
/// Why it does not, for a person.
pub async fn answers(client: &Client, endpoint: &ConversionEndpoint) -> Result<(), String> {
    let place = match &endpoint.address {
        ConversionAddress::Url(_) => None,
        ConversionAddress::Service { name, namespace } => Some(service(client, namespace, name).await?),
    };
    answers_at(endpoint, place).await
}

/// Whether an endpoint answers at a place, which its name stands for; where its name leads if none is given.
///
/// # Errors
///
/// Why it does not, for a person.
pub async fn answers_at(endpoint: &ConversionEndpoint, place: Option<SocketAddr>) -> Result<(), String> {
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
    let mut client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(LIMIT).no_proxy();
    let host = host(&endpoint.address);
    if let Some(place) = place {
        client = client.resolve(&host, place);
    }
    let url = match &endpoint.address {
        ConversionAddress::Url(url) => format!("{url}/healthz"),
        ConversionAddress::Service { .. } => format!("https://{host}:{SERVICE_PORT}/healthz"),
    };
    let client = client.build().map_err(|error| error.to_string())?;
    let unanswered = |why: String| format!("{url} does not answer yet: {why}");
    let answer = client.get(&url).send().await.map_err(|error| unanswered(causes::explain(&error)))?;
    if answer.status().is_success() { Ok(()) } else { Err(unanswered(answer.status().to_string())) }
}

/// Where a Service is, as API servers reach it: without asking for a name that only the cluster knows.
///
/// # Errors
///
/// When there is none, or it has no address.
pub async fn service(client: &Client, namespace: &str, name: &str) -> Result<SocketAddr, String> {
    let services = Api::<Service>::namespaced(client.clone(), namespace);
    let found = call(CALL_TIME_LIMIT, services.get(name))
        .await
        .map_err(|error| error.explain(&format!("get Service {name}")))?;
    let address = found.spec.and_then(|spec| spec.cluster_ip).unwrap_or_default();
    let address = address.parse().map_err(|_| {
        format!("Service {name} has no address: {address:?}: give it type ClusterIP with one")
    })?;
    Ok(SocketAddr::new(address, SERVICE_PORT))
}

/// The name or address that the certificate must be for.
pub(super) fn host(address: &ConversionAddress) -> String {
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
