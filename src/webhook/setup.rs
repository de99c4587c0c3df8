//! What the endpoint stands on.

use kube::Client;

use crate::{
    act::kubernetes::Cluster,
    memory::{endpoint::Endpoint, identity_webhook::IdentityWebhook},
    runtime::{
        clock::Clock,
        config::{Conversion, PodIdentitiesSetup, Results},
        http::Check,
        lease::Leadership,
        metrics::Metrics,
    },
};

/// What the endpoint stands on.
pub struct EndpointSetup {
    /// The configuration.
    pub settings: Conversion,
    /// The configuration by which API servers ask for the names of the executors of pods.
    pub pod_identities: PodIdentitiesSetup,
    /// Whether they do.
    pub identity_webhook: IdentityWebhook,
    /// The operator's own namespace.
    pub namespace: String,
    /// For reads.
    pub client: Client,
    /// For writes of the Secret.
    pub cluster: Cluster,
    /// The time.
    pub clock: Clock,
    /// Where requests are counted.
    pub metrics: Metrics,
    /// Where the availability of the endpoint is recorded.
    pub endpoint: Endpoint,
    /// Who makes the certificates.
    pub leadership: Leadership,
    /// Where users read logs and outputs, with the same certificate; none if they do not.
    pub results: Results,
    /// What the cluster is called in labels of processes.
    pub cluster_id: String,
    /// Missing until it does.
    pub check: Option<Check>,
}
