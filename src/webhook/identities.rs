//! Has API servers ask the operator for the names of the executors of new pods: keeps the authorities of its certificates in the
//! configuration of the webhook.

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use kube::{Api, Client};

use crate::{
    act::kubernetes::Cluster,
    api::names::IDENTITY_WEBHOOK,
    memory::identity_webhook::IdentityWebhook,
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
        lease::Leadership,
    },
};

/// Why nothing asks where nothing is to.
pub(super) const NOT_SET_UP: &str = "the operator is not set up to name the executors of pods";

/// The webhook that names the executors of pods.
pub(super) struct IdentityNames {
    /// Name of its configuration, if it is to be there.
    pub configuration: Option<String>,
    /// Where it is noted whether API servers ask.
    pub webhook: IdentityWebhook,
    pub client: Client,
    pub cluster: Cluster,
    /// Who writes.
    pub leadership: Leadership,
    pub clock: Clock,
}

impl IdentityNames {
    /// Sets the webhook up, or notes why it cannot be; whether it is to be tried again soon.
    pub async fn set_up(&self, authorities: &[u8]) -> bool {
        let Some(name) = &self.configuration else {
            self.webhook.is_not_offered(NOT_SET_UP.to_owned());
            return false;
        };
        match self.try_set_up(name, authorities).await {
            Ok(()) => {
                self.webhook.is_set_up(self.clock.now());
                false
            }
            Err(why) => {
                self.webhook.fails(why);
                true
            }
        }
    }

    async fn try_set_up(&self, name: &str, authorities: &[u8]) -> Result<(), String> {
        let configurations = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        let found = call(CALL_TIME_LIMIT, configurations.get_opt(name))
            .await
            .map_err(|error| error.explain(&format!("get MutatingWebhookConfiguration {name}")))?;
        let webhooks = found.and_then(|found| found.webhooks).unwrap_or_default();
        let is_it = |webhook: &MutatingWebhook| webhook.name == IDENTITY_WEBHOOK;
        let Some(index) = webhooks.iter().position(is_it) else {
            return Err(format!(
                "MutatingWebhookConfiguration {name} does not exist or lacks {IDENTITY_WEBHOOK}"
            ));
        };
        let known = webhooks[index].client_config.ca_bundle.as_ref();
        if known.is_some_and(|known| known.0 == authorities) {
            return Ok(());
        }
        if !self.leadership.is_leader() {
            return Err("the replica that leads has not set the webhook up yet".to_owned());
        }
        let written = self.cluster.write_ca_bundle(name, (index, IDENTITY_WEBHOOK), authorities).await;
        written.map_err(|failure| failure.message)?;
        tracing::info!(configuration = name, "API servers ask for the names of the executors of new pods");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use colonyos_fake::{ApiServer, cluster::Place};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        memory::{identities::Identities, kinds::ServedKinds, writes::Writes},
        runtime::metrics::Metrics,
        snapshot::Observed,
    };

    fn names(server: &ApiServer, leadership: Leadership, clock: &Clock) -> IdentityNames {
        let client = server.client();
        let cluster = Cluster::new(
            client.clone(),
            Writes::default(),
            ServedKinds::default(),
            Identities::default(),
            Metrics::new().unwrap(),
            clock.clone(),
            "operators".to_owned(),
        );
        IdentityNames {
            configuration: Some("identities".to_owned()),
            webhook: IdentityWebhook::default(),
            client,
            cluster,
            leadership,
            clock: clock.clone(),
        }
    }

    fn bundle(server: &ApiServer) -> Option<Value> {
        let resource = "mutatingwebhookconfigurations.admissionregistration.k8s.io";
        let found = server.get(Place { resource, namespace: "", name: "identities" }).unwrap();
        found.pointer("/webhooks/0/clientConfig/caBundle").cloned()
    }

    /// Two replicas that have not the same authorities yet would write in turn.
    #[tokio::test]
    async fn the_replica_that_leads_alone_writes_its_authorities() {
        let server = ApiServer::new(|| Timestamp::UNIX_EPOCH);
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": { "name": "identities" },
            "webhooks": [{
                "name": IDENTITY_WEBHOOK, "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": { "service": { "name": "operator", "namespace": "operators" } },
            }],
        });
        server.create(&configuration).unwrap();
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let follower = names(&server, Leadership::limited(&clock, Duration::ZERO), &clock);
        assert!(follower.set_up(b"theirs").await, "it is looked at again soon");
        assert_eq!(bundle(&server), None);
        assert!(
            matches!(follower.webhook.known(), Observed::Unknown(why) if why.contains("the replica that leads"))
        );

        let leader = names(&server, Leadership::always(&clock), &clock);
        assert!(!leader.set_up(b"ours").await);
        assert_eq!(bundle(&server), Some(json!("b3Vycw==")));
        // Both have the same by now.
        assert!(!follower.set_up(b"ours").await);
        assert_eq!(follower.webhook.known(), Observed::Known(Timestamp::UNIX_EPOCH));
    }
}
