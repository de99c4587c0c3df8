//! Who converts the objects of a CRD: API servers ask the operator, at an address that changes with the conversions, so that
//! the operator always converts as the API server expects. Pure.

use k8s_openapi::{
    ByteString,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceDefinition, ServiceReference, WebhookClientConfig, WebhookConversion,
    },
};
use kube::ResourceExt as _;

use super::super::{SpecError, conversion::Converter};
use crate::snapshot::{ConversionAddress, ConversionEndpoint, Observed};

/// Port of the Service, as clients see it.
const SERVICE_PORT: i32 = 443;

/// The path at which the objects of a kind are converted, as a certain hash of its conversions has it.
#[must_use]
pub fn conversion_path(definition: &str, hash: &str) -> String {
    format!("/convert/{definition}/{hash}")
}

/// Sets the conversion webhook in a CRD that declares conversions. While the endpoint is not known, that stays as
/// `found` has it.
///
/// # Errors
///
/// When there is no endpoint.
pub fn converted_at(
    crd: &mut CustomResourceDefinition,
    endpoint: &Observed<ConversionEndpoint>,
    found: Option<&CustomResourceDefinition>,
) -> Result<(), SpecError> {
    let Some(declared) = Converter::remembered(crd) else { return Ok(()) };
    let path = conversion_path(&crd.name_any(), &Converter::hash_of(&crd.spec.versions, declared));
    let endpoint = match endpoint {
        Observed::Known(endpoint) => endpoint.clone(),
        Observed::Unknown(why) => {
            found.and_then(endpoint_of).ok_or_else(|| SpecError::Unconverted { why: why.clone() })?
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

/// A CRD as it is, but for an endpoint that is elsewhere now, or has another authority; none if it is set already. It
/// must be current even while the definition is invalid.
#[must_use]
pub fn redirected(
    found: &CustomResourceDefinition,
    endpoint: &Observed<ConversionEndpoint>,
) -> Option<CustomResourceDefinition> {
    endpoint.known()?;
    let mut wanted = found.clone();
    converted_at(&mut wanted, endpoint, None).ok()?;
    (wanted.spec != found.spec).then_some(wanted)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{api::resource_definition::ResourceDefinition, kinds::definition::build};

    fn crd(size: &str) -> CustomResourceDefinition {
        let version = |name: &str, storage: bool| {
            json!({ "name": name, "storage": storage, "schema": { "openAPIV3Schema": { "type": "object",
                "properties": { "spec": { "type": "object", "properties": { "size": { "type": size } } } } } } })
        };
        let mut old = version("v1alpha1", false);
        old["conversion"] = json!({});
        let definition: ResourceDefinition = serde_json::from_value(json!({
            "metadata": { "name": "things.g.example.com", "generation": 1 },
            "spec": { "group": "g.example.com", "names": { "kind": "Thing", "plural": "things" },
                "versions": [version("v1", true), old],
                "handler": { "mode": "process", "executorType": "t", "functionName": "f" } },
        }))
        .unwrap();
        build(&definition).unwrap()
    }

    fn endpoint(address: ConversionAddress) -> Observed<ConversionEndpoint> {
        Observed::Known(ConversionEndpoint { address, authorities: b"PEM".to_vec() })
    }

    fn client(crd: &CustomResourceDefinition) -> &WebhookClientConfig {
        crd.spec.conversion.as_ref().unwrap().webhook.as_ref().unwrap().client_config.as_ref().unwrap()
    }

    /// A CRD with another address needs an update.
    #[test]
    fn the_address_changes_with_the_conversions() {
        let at = |size: &str, address: ConversionAddress| {
            let mut crd = crd(size);
            converted_at(&mut crd, &endpoint(address), None).unwrap();
            crd
        };
        let url = || ConversionAddress::Url("https://192.0.2.1:9443".to_owned());
        let one = at("integer", url());
        let said = client(&one).url.clone().unwrap();
        assert!(said.starts_with("https://192.0.2.1:9443/convert/things.g.example.com/"), "{said}");
        assert_eq!(client(&one), client(&at("integer", url())));
        assert_ne!(client(&one), client(&at("string", url())));
        let service = ConversionAddress::Service { name: "c".to_owned(), namespace: "ns".to_owned() };
        let by_service = at("integer", service);
        let service = client(&by_service).service.clone().unwrap();
        assert_eq!((service.name.as_str(), service.namespace.as_str(), service.port), ("c", "ns", Some(443)));
        assert!(said.ends_with(&service.path.unwrap()), "the same path at either");
    }

    #[test]
    fn a_crd_follows_its_endpoint_and_nothing_else() {
        let url = |url: &str| endpoint(ConversionAddress::Url(url.to_owned()));
        let (here, there) = (url("https://192.0.2.1"), url("https://192.0.2.2"));
        let mut found = crd("integer");
        converted_at(&mut found, &here, None).unwrap();
        assert_eq!(redirected(&found, &here), None);
        let mut expected = crd("integer");
        converted_at(&mut expected, &there, None).unwrap();
        assert_eq!(redirected(&found, &there), Some(expected));
        let mut plain = crd("integer");
        plain.metadata.annotations = None;
        assert_eq!(redirected(&plain, &there), None, "it declares nothing");
    }

    /// A restart is no news: what an endpoint was known to be, it is until something else is known.
    #[test]
    fn an_unknown_endpoint_changes_nothing_and_is_not_promised() {
        let unknown = Observed::Unknown("it is being started".to_owned());
        let error = converted_at(&mut crd("integer"), &unknown, None).unwrap_err().to_string();
        assert!(error.contains("it is being started"), "{error}");
        for address in [
            ConversionAddress::Url("https://192.0.2.1:9443".to_owned()),
            ConversionAddress::Service { name: "c".to_owned(), namespace: "ns".to_owned() },
        ] {
            let mut found = crd("integer");
            converted_at(&mut found, &endpoint(address), None).unwrap();
            let mut wanted = crd("integer");
            converted_at(&mut wanted, &unknown, Some(&found)).unwrap();
            assert_eq!(wanted, found);
            assert_eq!(redirected(&found, &unknown), None);
        }
    }
}
