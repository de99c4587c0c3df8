//! Keeps the certificates of the endpoint in a Secret, serves with them, and reports when the endpoint is available.
//!
//! The replica that leads makes and renews them. Another does so when that has not happened for a while: each needs
//! them before it can serve, and in an update a new one must serve before the old leader goes, which may know nothing
//! of them. The API server serializes concurrent writes: a name is created once, and a change names the version that
//! it was made from. The second writer uses what the first stored.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _, api::ObjectMeta};

use super::{
    certificates::{CertificateRequest, Certificates},
    identities::IdentityNames,
    probe::{self, host},
    server::ServedCertificate,
    setup::EndpointSetup,
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
    snapshot::{ConversionAddress, ConversionEndpoint},
};

/// Longest time until the Secret is looked at again: another replica may have renewed what is in it.
const LOOK: Duration = Duration::from_hours(1);
/// How soon it is tried again when something failed.
const RETRY: Duration = Duration::from_secs(1);
/// How soon a webhook is looked for again that is configured and not there: a release may create it last.
const LOOK_FOR_WEBHOOK: Duration = Duration::from_secs(5);
/// How long a replica that does not lead leaves it to the one that does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the certificates.
pub(super) struct Keeper {
    settings: Conversion,
    namespace: String,
    client: Client,
    cluster: Cluster,
    clock: Clock,
    address: ConversionAddress,
    presented: ServedCertificate,
    endpoint: Endpoint,
    identities: IdentityNames,
    check: Option<Check>,
    leadership: Leadership,
    /// Since when something is to be written.
    due_since: Option<Instant>,
    certificate_request: CertificateRequest,
    /// As they were last presented.
    kept: Option<Certificates>,
    /// What was last seen to serve.
    told: Option<ConversionEndpoint>,
}

impl Keeper {
    pub(super) fn new(
        grounds: EndpointSetup,
        address: ConversionAddress,
        presented: ServedCertificate,
    ) -> Self {
        let EndpointSetup {
            settings,
            pod_identities,
            identity_webhook,
            namespace,
            client,
            cluster,
            clock,
            endpoint,
            leadership,
            check,
            ..
        } = grounds;
        let identities = IdentityNames {
            configuration: pod_identities.webhook_configuration,
            webhook: identity_webhook,
            client: client.clone(),
            cluster: cluster.clone(),
            leadership: leadership.clone(),
            clock: clock.clone(),
        };
        let lifetime = SignedDuration::from_secs(settings.certificate_seconds.into());
        let certificate_request = CertificateRequest { host: host(&address), lifetime };
        Self {
            settings,
            namespace,
            client,
            cluster,
            clock,
            address,
            presented,
            endpoint,
            identities,
            check,
            leadership,
            due_since: None,
            certificate_request,
            kept: None,
            told: None,
        }
    }

    /// Keeps them for ever.
    pub(super) async fn run(mut self) {
        let mut reported = String::new();
        loop {
            let pause = match self.pass().await {
                Ok(again_soon) => {
                    reported.clear();
                    let delay = self.next_check_delay();
                    if again_soon { delay.min(LOOK_FOR_WEBHOOK) } else { delay }
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
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.identities.webhook.doubted() => {}
            }
        }
    }

    fn next_check_delay(&self) -> Duration {
        Duration::from_secs(u64::from(self.settings.certificate_seconds) / 12).clamp(RETRY, LOOK)
    }

    /// One look at everything; whether another is due soon.
    async fn pass(&mut self) -> Result<bool, String> {
        let certificates = self.certificates().await?;
        let key = certificates.certified_key().map_err(|error| error.to_string())?;
        let authorities = certificates.authorities().into_bytes();
        if self.kept.as_ref().is_none_or(|kept| kept.end() != certificates.end()) {
            tracing::info!(
                host = self.certificate_request.host,
                ends = certificates.end(),
                "presenting a certificate"
            );
        }
        self.presented.set(key);
        self.kept = Some(certificates);
        if let Some(check) = &self.check {
            check.met();
        }
        let now = ConversionEndpoint { address: self.address.clone(), authorities };
        if self.told.as_ref() != Some(&now) {
            probe::answers(&self.client, &now).await?;
            self.endpoint.serves(now.clone());
            self.told = Some(now.clone());
        }
        Ok(self.identities.set_up(&now.authorities).await)
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
            if !self.may_renew() {
                return Err("the replica that leads has not made certificates yet".to_owned());
            }
            // A deleted one is restored unchanged: CRDs name its authorities.
            let made = match &self.kept {
                Some(kept) => kept.clone(),
                None => {
                    Certificates::make(&self.certificate_request, now).map_err(|error| error.to_string())?
                }
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
            && !read.are_due(&self.certificate_request, now)
        {
            self.due_since = None;
            return Ok(read.clone());
        }
        if !self.may_renew() {
            return read.map_err(|error| error.to_string());
        }
        let renewed = match (read, &self.kept) {
            (Ok(read), _) => read.renewed(&self.certificate_request, now),
            (Err(error), kept) => {
                tracing::warn!(secret = name, %error, "the certificates of the conversion endpoint cannot be used and are replaced");
                match kept {
                    Some(kept) => kept.renewed(&self.certificate_request, now),
                    None => Certificates::make(&self.certificate_request, now),
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
    fn may_renew(&mut self) -> bool {
        let now = self.clock.instant();
        let since = *self.due_since.get_or_insert(now);
        self.leadership.is_leader() || now.saturating_duration_since(since) >= PATIENCE
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
