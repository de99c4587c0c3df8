//! Whether API servers ask the operator for the names of the executors of pods, for fleets with `identity: PerPod`.

use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;

use super::{cluster::reason, finding::Finding};
use crate::{
    api::names::IDENTITY_WEBHOOK,
    runtime::{
        config::PodIdentitiesSetup,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
    },
};

const CHECK: &str = "names of executors of pods";
const INSTALL: &str = "upgrade the chart with podIdentities.enabled";

/// Nothing if the operator is not set up for it: fleets that need it say so.
pub(super) async fn names(kubernetes: &Kubernetes, settings: &PodIdentitiesSetup) -> Option<Finding> {
    let name = settings.webhook_configuration.as_ref()?;
    let configurations = Api::<MutatingWebhookConfiguration>::all(kubernetes.calls.clone());
    let found = call(CALL_TIME_LIMIT, configurations.get_opt(name)).await;
    Some(match found {
        Ok(found) => judge(name, found.as_ref()),
        Err(error) => Finding::warning(
            CHECK,
            format!("MutatingWebhookConfiguration {name} cannot be read: {}", reason(&error)),
            "run doctor with credentials that may, such as those of the operator",
        ),
    })
}

fn judge(name: &str, found: Option<&MutatingWebhookConfiguration>) -> Finding {
    let what = format!("MutatingWebhookConfiguration {name}");
    let Some(found) = found else {
        return Finding::failure(CHECK, format!("{what} is not there"), INSTALL);
    };
    let mut webhooks = found.webhooks.iter().flatten();
    let Some(webhook) = webhooks.find(|webhook| webhook.name == IDENTITY_WEBHOOK) else {
        return Finding::failure(CHECK, format!("{what} lacks {IDENTITY_WEBHOOK}"), INSTALL);
    };
    let authorities = webhook.client_config.ca_bundle.as_ref();
    if authorities.is_none_or(|authorities| authorities.0.is_empty()) {
        let remedy = "the operator adds them while it runs: see whether it does, and its log";
        return Finding::failure(CHECK, format!("{what} has no authorities of certificates"), remedy);
    }
    Finding::ok(CHECK, format!("API servers ask the operator for them, by {what}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::doctor::finding::Verdict;

    #[test]
    fn a_webhook_that_nothing_can_call_is_told() {
        let of = |webhooks: &Value| {
            let found = json!({ "metadata": { "name": "w" }, "webhooks": webhooks });
            let found: MutatingWebhookConfiguration = serde_json::from_value(found).unwrap();
            judge("w", Some(&found))
        };
        let webhook = |name: &str, bundle: &Value| json!([{ "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": { "caBundle": bundle } }]);
        assert_eq!(of(&webhook(IDENTITY_WEBHOOK, &json!("YQ=="))).verdict, Verdict::Ok);
        for (found, says) in [
            (of(&webhook(IDENTITY_WEBHOOK, &Value::Null)), "no authorities"),
            (of(&webhook("other.example.com", &json!("YQ=="))), "lacks"),
            (judge("w", None), "is not there"),
        ] {
            assert!(found.verdict == Verdict::Failure && found.seen.contains(says), "{found:?}");
        }
    }
}
