//! The way to the server: TLS that ends at a proxy in front of it, certificates of unknown authorities, lost
//! replies.

use std::time::Duration;

use colonyos_operator::colony::{Client, Error, ErrorKind, PrivateKey, Server, Session, Timeouts, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::rustls::{
    self,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    relay::{Relay, Replies},
    stage::Stage,
};

/// An authority that signs for one host.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn pem(&self) -> Vec<u8> {
        self.issuer.pem().into_bytes()
    }

    fn server_configuration(&self, host: &str) -> rustls::ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap()
    }
}

/// The stage's user, by way of a relay.
async fn user_by(stage: &Stage, host: &str, relay: &Relay, tls: Tls, timeouts: Timeouts) -> Session {
    let key = PrivateKey::generate().unwrap();
    let name = format!("by-{}", crate::support::server::letters());
    let new = colonyos_operator::colony::NewUser::new(&stage.colony, &name, key.id().clone()).unwrap();
    stage.owner.add_user(&new).await.unwrap();
    let server = Server { host: host.to_owned(), port: relay.port, tls };
    Client::new(&server, timeouts).unwrap().session(&stage.colony, key)
}

#[tokio::test]
async fn a_server_behind_tls_is_reached_with_its_own_authority() {
    let stage = Stage::new().await;
    let authority = Authority::new();
    let relay = Relay::tls(&stage.server, authority.server_configuration("localhost")).await;
    let tls = Tls::CustomCa(authority.pem());
    let user = user_by(&stage, "localhost", &relay, tls, Timeouts::default()).await;
    let submitted = user.submit(&stage.spec("f")).await.unwrap();
    assert_eq!(stage.user.process(&submitted.id).await.unwrap().id, submitted.id);
}

/// Nothing has been sent: a signed call in the wrong hands could be made again by them.
#[tokio::test]
async fn a_server_with_a_certificate_of_an_unknown_authority_receives_nothing() {
    let stage = Stage::new().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let relay = Relay::tls(&stage.server, authority.server_configuration("localhost")).await;
    let elsewhere = Relay::tls(&stage.server, authority.server_configuration("elsewhere.example")).await;
    for (relay, tls, why) in [
        (&relay, Tls::CustomCa(other.pem()), "another authority"),
        (&relay, Tls::Webpki, "an authority that the web does not know"),
        (&elsewhere, Tls::CustomCa(authority.pem()), "another host's certificate"),
    ] {
        let user = user_by(&stage, "localhost", relay, tls, Timeouts::default()).await;
        let error = user.submit(&stage.spec("f")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{why}: {error:?}");
    }
}

/// The process is there, and the client says that it may be: a client that submits again without looking has two.
#[tokio::test]
async fn a_lost_reply_is_ambiguous_and_the_call_is_not_repeated() {
    let stage = Stage::new().await;
    for (label, replies) in [("lost", Replies::Lose), ("withheld", Replies::Withhold)] {
        let relay = Relay::plain(&stage.server, replies).await;
        let timeouts = Timeouts { request: Duration::from_secs(1), ..Timeouts::default() };
        let user = user_by(&stage, "127.0.0.1", &relay, Tls::Insecure, timeouts).await;
        let error = user.submit(&stage.spec("f").label(label).unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Ambiguous { status: None, .. }), "{label}: {error:?}");
        assert!(error.may_have_happened() && error.is_transient());
        assert_eq!(stage.user.processes_labelled(label).await.unwrap().len(), 1, "{label}");
    }
}
