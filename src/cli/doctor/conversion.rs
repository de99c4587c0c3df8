//! Checks of the endpoint where objects of users' kinds are converted between versions: its certificates, whether it
//! answers, whether CRDs name it as it is, and whether API servers get their objects converted. Nothing is reported
//! if no kind needs it.

use k8s_openapi::{
    api::core::v1::Secret, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, ResourceExt as _, api::ListParams, core::PartialObjectMeta};

use super::{cluster::reason, finding::Finding};
use crate::{
    act::kinds::WritableKind as _,
    api::{
        instance::{AcceptedHandler, Instance, InstanceKind},
        resource_definition::ResourceDefinition,
    },
    kinds::{conversion::Converter, definition::redirected},
    runtime::{
        clock::Clock,
        config::Conversion,
        kubernetes::{CALL_TIME_LIMIT, CallError, Kubernetes, call},
    },
    snapshot::{ConversionAddress, ConversionEndpoint, Observed},
    webhook::{self, NO_ADDRESS, probe},
};

/// The check of the endpoint itself.
const ENDPOINT: &str = "conversion endpoint";
/// What to do about what the operator keeps in order as long as it runs.
const SEE_OPERATOR: &str = "the operator puts it right while it runs: see whether it does, and its log";

/// Findings about the endpoint, and about each kind whose objects are converted.
pub(super) async fn conversions(
    kubernetes: &Kubernetes,
    settings: &Conversion,
    clock: &Clock,
) -> Vec<Finding> {
    let definitions: Api<ResourceDefinition> = Api::all(kubernetes.calls.clone());
    // Unreadable definitions were reported already.
    let listed = call(CALL_TIME_LIMIT, definitions.list(&ListParams::default())).await;
    let converted: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter(|definition| Converter::declared(&definition.spec).is_some())
        .map(|definition| definition.name_any())
        .collect();
    if converted.is_empty() {
        return Vec::new();
    }
    let (endpoint, finding) = endpoint(kubernetes, settings, clock).await;
    let mut findings = vec![finding];
    for name in converted {
        findings.extend(of_kind(kubernetes, &name, endpoint.as_ref()).await);
    }
    findings
}

/// The endpoint as CRDs should name it, if that is known, and whether it serves.
async fn endpoint(
    kubernetes: &Kubernetes,
    settings: &Conversion,
    clock: &Clock,
) -> (Option<ConversionEndpoint>, Finding) {
    let Some(address) = webhook::address_of(settings, &kubernetes.namespace) else {
        let remedy = format!(
            "give doctor the operator's own configuration by --config; if that has none, {NO_ADDRESS}"
        );
        return (None, Finding::warning(ENDPOINT, "the configuration has no address for it", remedy));
    };
    let secrets: Api<Secret> = Api::namespaced(kubernetes.calls.clone(), &kubernetes.namespace);
    let name = format!("Secret {}/{}", kubernetes.namespace, settings.secret_name);
    let secret = match call(CALL_TIME_LIMIT, secrets.get_opt(&settings.secret_name)).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return (None, Finding::failure(ENDPOINT, format!("{name} is not there"), SEE_OPERATOR));
        }
        Err(error) => {
            let seen = format!("{name} cannot be read: {}", reason(&error));
            return (
                None,
                Finding::warning(
                    ENDPOINT,
                    seen,
                    "run doctor with credentials that may, such as those of the operator",
                ),
            );
        }
    };
    let presented = match webhook::presentable(&secret) {
        Ok(presented) => presented,
        Err(why) => {
            return (None, Finding::failure(ENDPOINT, format!("{name} cannot be used: {why}"), SEE_OPERATOR));
        }
    };
    let endpoint = ConversionEndpoint { address, authorities: presented.authorities };
    let finding = if presented.ends <= clock.now() {
        Finding::failure(
            ENDPOINT,
            format!("the certificate in {name} ended at {}", presented.ends),
            SEE_OPERATOR,
        )
    } else {
        let ok = format!("{} answers; its certificate ends at {}", shown(&endpoint.address), presented.ends);
        reached(kubernetes, &endpoint).await.unwrap_or_else(|| Finding::ok(ENDPOINT, ok))
    };
    (Some(endpoint), finding)
}

/// Why an endpoint is not reached; none if it is.
async fn reached(kubernetes: &Kubernetes, endpoint: &ConversionEndpoint) -> Option<Finding> {
    match &endpoint.address {
        ConversionAddress::Url(_) => {
            let why = probe::answers_at(endpoint, None).await.err()?;
            let remedy =
                "see whether the operator runs, and whether conversion.url of its configuration leads to it";
            Some(Finding::failure(ENDPOINT, why, remedy))
        }
        ConversionAddress::Service { name, namespace } => {
            let place = match probe::service(&kubernetes.calls, namespace, name).await {
                Ok(place) => place,
                Err(why) => {
                    let remedy = "install the chart with userKinds.groups, which brings the Service";
                    return Some(Finding::failure(ENDPOINT, why, remedy));
                }
            };
            let why = probe::answers_at(endpoint, Some(place)).await.err()?;
            // From outside of the cluster, a Service cannot be reached.
            let remedy = "see whether a pod of the operator is ready; outside of the cluster, run doctor in one: kubectl exec deploy/NAME -- colonyos-operator doctor";
            Some(Finding::warning(ENDPOINT, why, remedy))
        }
    }
}

fn shown(address: &ConversionAddress) -> String {
    match address {
        ConversionAddress::Service { name, namespace } => format!("Service {namespace}/{name}"),
        ConversionAddress::Url(url) => url.clone(),
    }
}

/// Whether the CRD of a kind names the endpoint, and the API server gets its objects converted. For a kind that is
/// not converted yet, its definition reports why.
async fn of_kind(
    kubernetes: &Kubernetes,
    name: &str,
    endpoint: Option<&ConversionEndpoint>,
) -> Option<Finding> {
    let check = format!("ResourceDefinition {name}: conversion");
    let crds: Api<CustomResourceDefinition> = Api::all(kubernetes.calls.clone());
    let crd = match call(CALL_TIME_LIMIT, crds.get_opt(name)).await {
        Ok(crd) => crd?,
        Err(error) => {
            let seen = format!("its CRD cannot be read: {}", reason(&error));
            return Some(Finding::warning(
                check,
                seen,
                "run doctor with credentials that may, such as those of the operator",
            ));
        }
    };
    Converter::remembered(&crd)?;
    if let Some(difference) = endpoint.and_then(|endpoint| differs(&crd, endpoint)) {
        return Some(Finding::failure(check, difference, SEE_OPERATOR));
    }
    let kind = InstanceKind::of(&crd, AcceptedHandler::default(), false)?;
    Some(match read(kubernetes, &crd, &kind).await {
        Ok(()) => Finding::ok(check, "the API server has objects converted by the operator"),
        Err((true, why)) => Finding::warning(
            check,
            why,
            "run doctor with credentials that may, such as those of the operator",
        ),
        Err((_, why)) => {
            let remedy = "if it names an object, change that; otherwise see whether a replica of the operator runs and API servers reach it";
            Finding::failure(check, why, remedy)
        }
    })
}

/// Reads an object in every version, in whichever it is stored: what lists show may have been converted long ago. Fails with whether
/// the credentials lack the permission, and the reason.
async fn read(
    kubernetes: &Kubernetes,
    crd: &CustomResourceDefinition,
    kind: &InstanceKind,
) -> Result<(), (bool, String)> {
    let all = Api::<PartialObjectMeta<Instance>>::all_with(kubernetes.calls.clone(), kind);
    let failed = |version: &str, error: &CallError| {
        (error.is_forbidden(), format!("objects cannot be read in {version}: {}", reason(error)))
    };
    let listed = call(CALL_TIME_LIMIT, all.list_metadata(&ListParams::default().limit(1))).await;
    let listed = listed.map_err(|error| failed(&kind.terms().resource.version, &error))?;
    let Some(first) = listed.items.first() else { return Ok(()) };
    let namespace = first.namespace().unwrap_or_default();
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let api = Instance::api(kubernetes.calls.clone(), &namespace, &kind.in_version(&version.name));
        match call(CALL_TIME_LIMIT, api.get_metadata_opt(&first.name_any())).await {
            Ok(_) => {}
            Err(error) => return Err(failed(&version.name, &error)),
        }
    }
    Ok(())
}

/// A difference between the endpoint and its address in a CRD.
fn differs(crd: &CustomResourceDefinition, endpoint: &ConversionEndpoint) -> Option<String> {
    let wanted = redirected(crd, &Observed::Known(endpoint.clone()))?;
    let authorities = |crd: &CustomResourceDefinition| {
        let client = crd.spec.conversion.as_ref()?.webhook.as_ref()?.client_config.clone()?;
        client.ca_bundle.map(|bundle| bundle.0)
    };
    Some(if authorities(crd) == authorities(&wanted) {
        format!("its CRD names another address than {}", shown(&endpoint.address))
    } else {
        "its CRD names another authority (caBundle) than the one that signs the endpoint's certificate"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::definition::{build, converted_at};

    fn endpoint(url: &str, authorities: &str) -> ConversionEndpoint {
        ConversionEndpoint {
            address: ConversionAddress::Url(url.to_owned()),
            authorities: authorities.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_crd_is_held_against_the_endpoint() {
        let version = |name: &str, storage: bool| json!({ "name": name, "storage": storage, "schema": { "openAPIV3Schema": { "type": "object" } } });
        let mut old = version("v1alpha1", false);
        old["conversion"] = json!({});
        let definition: ResourceDefinition = serde_json::from_value(json!({
            "metadata": { "name": "things.g.example.com", "generation": 1 },
            "spec": { "group": "g.example.com", "names": { "kind": "Thing", "plural": "things" },
                "versions": [version("v1", true), old],
                "handler": { "mode": "process", "executorType": "t", "functionName": "f" } },
        }))
        .unwrap();
        let mut crd = build(&definition).unwrap();
        let here = endpoint("https://192.0.2.1", "PEM");
        converted_at(&mut crd, &Observed::Known(here.clone()), None).unwrap();
        assert_eq!(differs(&crd, &here), None);
        let elsewhere = differs(&crd, &endpoint("https://192.0.2.2", "PEM")).unwrap();
        assert!(elsewhere.contains("another address than https://192.0.2.2"), "{elsewhere}");
        let renewed = differs(&crd, &endpoint("https://192.0.2.1", "OTHER")).unwrap();
        assert!(renewed.contains("caBundle"), "{renewed}");
    }
}
