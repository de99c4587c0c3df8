//! The endpoint where API servers have objects of users' kinds converted from one version to another. Beside the
//! flow: every replica serves, leader or not; what is converted how is decided by
//! [`desired::conversion`](crate::kinds::conversion).
//!
//! ```text
//! Secret ──keeper──▶ certificate ──▶ server ◀── API servers
//!                 └─▶ memory::endpoint ──▶ the CRDs of kinds that declare conversions (once it serves)
//! ```
//!
//! With the same certificate, users read logs and outputs of their objects at another port ([`results`]).

mod certificates;
mod converters;
mod identities;
mod keeper;
mod pods;
pub mod probe;
mod results;
mod review;
mod server;
mod setup;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use tokio::{net::TcpListener, task::JoinHandle};

pub use setup::EndpointSetup;

use crate::{
    runtime::{config::Conversion, shutdown::Shutdown},
    snapshot::ConversionAddress,
};
use certificates::Certificates;
use converters::Converters;
use keeper::Keeper;
use results::ResultsSetup;
use server::ServedCertificate;

/// How long the endpoint keeps serving behind a Service at shutdown: until then API servers may still be sent to it.
/// Of the 30 s after which a pod is killed.
const ENDPOINT_GRACE_PERIOD: Duration = Duration::from_secs(5);
/// Pause before an address that is taken is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// A running endpoint.
pub struct Serving {
    stop: Shutdown,
    lingers: bool,
    task: JoinHandle<()>,
}

/// What is to be done where the configuration has no address for the endpoint.
pub const NO_ADDRESS: &str =
    "set conversion.url in its configuration, or install it by its chart with userKinds.groups";

/// Whether API servers can reach an endpoint as it is configured.
#[must_use]
pub fn is_reachable(settings: &Conversion) -> bool {
    settings.service_name.is_some() || settings.url.is_some()
}

/// Where API servers reach an endpoint as it is configured, in the operator's namespace; none if they cannot.
#[must_use]
pub fn address_of(settings: &Conversion, namespace: &str) -> Option<ConversionAddress> {
    match (&settings.service_name, &settings.url) {
        (Some(name), _) => {
            Some(ConversionAddress::Service { name: name.clone(), namespace: namespace.to_owned() })
        }
        (None, Some(url)) => Some(ConversionAddress::Url(url.trim_end_matches('/').to_owned())),
        (None, None) => None,
    }
}

/// The Secret of the endpoint, without its keys.
#[derive(Clone, Debug)]
pub struct PublicCertificates {
    /// Certificates of the authorities for the CRDs, in PEM.
    pub authorities: Vec<u8>,
    /// When the certificate of the endpoint ends.
    pub ends: Timestamp,
}

/// Reads the Secret of the endpoint.
///
/// # Errors
///
/// When what it holds cannot be used; which part, for a person.
pub fn presentable(secret: &Secret) -> Result<PublicCertificates, String> {
    let value = |key: &str| Some(secret.data.as_ref()?.get(key)?.0.clone());
    let kept = Certificates::from_data(value).map_err(|error| error.to_string())?;
    let ends = Timestamp::from_second(kept.end()).map_err(|error| error.to_string())?;
    Ok(PublicCertificates { authorities: kept.authorities().into_bytes(), ends })
}

/// Starts the endpoint, if API servers could reach it.
#[must_use]
pub fn start(grounds: EndpointSetup) -> Option<Serving> {
    let settings = &grounds.settings;
    let Some(address) = address_of(settings, &grounds.namespace) else {
        grounds.endpoint.fails(format!("the operator has no address for it: {NO_ADDRESS}"));
        grounds.identity_webhook.is_not_offered(identities::NOT_SET_UP.to_owned());
        return None;
    };
    let stop = Shutdown::default();
    let lingers = settings.service_name.is_some();
    let task = tokio::spawn(run(grounds, address, stop.clone()));
    Some(Serving { stop, lingers, task })
}

impl Serving {
    /// Ends the endpoint, after a while if API servers may still be sent to it.
    pub async fn end(self) {
        if self.lingers {
            tokio::time::sleep(ENDPOINT_GRACE_PERIOD).await;
        }
        self.stop.request();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the endpoint of conversions ended by itself");
        }
    }
}

async fn run(grounds: EndpointSetup, address: ConversionAddress, stop: Shutdown) {
    let presented = ServedCertificate::default();
    let bound = grounds.settings.bind_address;
    let fails = |why| grounds.endpoint.fails(why);
    let Some(listener) = listen(bound, "conversion.bindAddress", fails, &stop).await else { return };
    let converters = Arc::new(Converters::new(grounds.client.clone()));
    let counting = (grounds.metrics.clone(), grounds.clock.clone());
    let serving = server::serve(listener, presented.clone(), converters, counting, stop.clone());
    let results = serve_results(&grounds, presented.clone(), stop.clone());
    let keeper = Keeper::new(grounds, address, presented);
    // Both end at the shutdown alone.
    let serving = async { tokio::join!(serving, results).0 };
    tokio::select! {
        result = serving => {
            if let Err(error) = result {
                tracing::error!(%error, "conversions are not served any more");
            }
        }
        () = keeper.run() => {}
    }
}

/// Serves logs and outputs, if the configuration says where. Nothing else depends on it.
fn serve_results(
    grounds: &EndpointSetup,
    presented: ServedCertificate,
    stop: Shutdown,
) -> impl Future<Output = ()> + use<> {
    let setup = ResultsSetup {
        client: grounds.client.clone(),
        namespace: grounds.namespace.clone(),
        cluster: grounds.cluster_id.clone(),
        clock: grounds.clock.clone(),
    };
    let address = grounds.results.bind_address;
    async move {
        let Some(address) = address else { return };
        let Some(listener) = listen(address, "results.bindAddress", drop, &stop).await else { return };
        if let Err(error) = results::serve(listener, presented, setup, stop).await {
            tracing::error!(%error, "logs and outputs are not served any more");
        }
    }
}

/// Listens, as soon as the address is free.
async fn listen(
    address: SocketAddr,
    setting: &str,
    fails: impl Fn(String),
    stop: &Shutdown,
) -> Option<TcpListener> {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return Some(listener),
            Err(error) => {
                let why =
                    format!("the operator cannot listen on {address}: {error}: set {setting} to a free one");
                tracing::warn!("{why}");
                fails(why);
            }
        }
        tokio::select! {
            () = stop.requested() => return None,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}
