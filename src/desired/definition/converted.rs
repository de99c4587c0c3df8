//! Who converts the objects of a CRD: API servers ask the operator, at an address that changes with the conversions, so that
//! the operator always converts as the API server expects. Pure.

use k8s_openapi::{
    ByteString,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, ServiceReference, WebhookClientConfig, WebhookConversion,
    },
};
use kube::ResourceExt as _;

use super::super::{Error, conversion::Converter};
use crate::watch::snapshot::{ConversionAddress, ConversionEndpoint, Observed};

/// Port of the Service, as clients see it.
const SERVICE_PORT: i32 = 443;

/// The path at which the objects of a kind are converted, as a certain hash of its conversions has it.
#[must_use]
pub fn conversion_path(definition: &str, hash: &str) -> String {
    format!("/convert/{definition}/{hash}")
}

/// Says in a CRD that declares conversions who converts. While the endpoint is not known, that stays as `found` has it.
///
/// # Errors
///
/// When there is no endpoint.
pub fn converted_at(
    crd: &mut CustomResourceDefinition,
    endpoint: &Observed<ConversionEndpoint>,
    found: Option<&CustomResourceDefinition>,
) -> Result<(), Error> {
    let Some(declared) = Converter::remembered(crd) else { return Ok(()) };
    let path = conversion_path(&crd.name_any(), &Converter::hash_of(&crd.spec.versions, declared));
    let endpoint = match endpoint {
        Observed::Known(endpoint) => endpoint.clone(),
        Observed::Unknown(why) => {
            found.and_then(endpoint_of).ok_or_else(|| Error::Unconverted { why: why.clone() })?
        }
    };
    let (service, url) = match endpoint.address {
        ConversionAddress::Service { name, namespace } => {
            let service = ServiceReference { name, namespace, path: Some(path), port: Some(SERVICE_PORT) };
            (Some(service), None)
        }
        ConversionAddress::Url(base) => (None, Some(format!("{}{path}", base.trim_end_matches('/')))),
    };
    let client_config =
        WebhookClientConfig { ca_bundle: Some(ByteString(endpoint.authorities)), service, url };
    if let Some(conversion) = &mut crd.spec.conversion {
        conversion.webhook = Some(WebhookConversion {
            client_config: Some(client_config),
            conversion_review_versions: vec!["v1".to_owned()],
        });
    }
    Ok(())
}

/// The endpoint that a CRD names, if it names one.
fn endpoint_of(crd: &CustomResourceDefinition) -> Option<ConversionEndpoint> {
    let client = crd.spec.conversion.as_ref()?.webhook.as_ref()?.client_config.as_ref()?;
    let address = match (&client.service, &client.url) {
        (Some(service), _) => {
            ConversionAddress::Service { name: service.name.clone(), namespace: service.namespace.clone() }
        }
        (None, Some(url)) => ConversionAddress::Url(url.split_once("/convert/")?.0.to_owned()),
        (None, None) => return None,
    };
    Some(ConversionEndpoint { address, authorities: client.ca_bundle.clone()?.0 })
}
