//! The endpoint where objects are converted: who serves it, by which certificates, and what is told of it.

use std::collections::BTreeMap;

use colonyos_operator::runtime::config::OperatorConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{SECRET, TwoVersions, free_address, reachable};
use crate::{
    doctor::{doctor_with, finding},
    support::{
        cluster::connect_with_crds,
        operator::{Operator, Signal, by_lease, configuration, elected},
        stage::{SOON, Stage, with_configured_operator},
        wait::eventually,
    },
};

/// The certificates of a Secret: authorities, certificate, and the rest.
async fn kept(stage: &Stage) -> BTreeMap<String, String> {
    let secret: Secret = stage.api().get(SECRET).await.unwrap();
    secret.data.unwrap().into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
}

/// A client that trusts these authorities and no other, and takes a connection for each request.
fn client(authorities: &str) -> reqwest::Client {
    let authorities = reqwest::Certificate::from_pem_bundle(authorities.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only(authorities).pool_max_idle_per_host(0).build().unwrap()
}

/// What an endpoint says to a client that trusts the authorities of the Secret.
async fn asked(address: &str, authorities: &str, path: &str, review: &Value) -> Result<Value, String> {
    let request = client(authorities).post(format!("https://{address}{path}")).body(review.to_string());
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    serde_json::from_slice(&answer.bytes().await.map_err(|error| error.to_string())?)
        .map_err(|error| error.to_string())
}

/// Whichever replica leads, each serves with what one of them has made; a restart makes nothing anew.
#[tokio::test]
async fn every_replica_serves_with_the_same_certificates() {
    let connection = connect_with_crds().await;
    let (first, second) = (free_address(), free_address());
    let adjust = |configuration: &mut OperatorConfiguration| {
        reachable(&first)(configuration);
        by_lease(configuration);
    };
    with_configured_operator(&connection, "conv-replicas", adjust, async |stage| {
        let two = TwoVersions::of(stage);
        two.kind.define().await;
        two.kind.until_ready().await;
        two.create_old("whisper", json!({ "image": "i", "memory": "1Gi" })).await.unwrap();
        let before = kept(stage).await;
        let name = stage.namespace.name.clone();
        let mut beside = elected(&name);
        reachable(&first)(&mut beside);
        beside.conversion.bind_address = second.parse().unwrap();
        let mut replica = Operator::start(beside, &name, &stage.turn).await;
        replica.wait_until_ready().await;

        let crd = two.kind.crds.get(&two.kind.name).await.unwrap();
        let client = crd.spec.conversion.unwrap().webhook.unwrap().client_config.unwrap();
        assert_eq!(client.ca_bundle.unwrap().0, before["ca.crt"].as_bytes());
        let url = client.url.unwrap();
        let path = url.strip_prefix(&format!("https://{first}")).unwrap_or_else(|| panic!("{url}"));
        let object = json!({ "apiVersion": two.old_resource.api_version, "kind": "ModelServer",
                             "metadata": { "name": "x" }, "spec": { "image": "i", "memory": "7Mi" } });
        let review = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": { "uid": "1", "desiredAPIVersion": two.kind.resource.api_version, "objects": [object] } });
        for address in [&first, &second] {
            let answer = asked(address, &before["ca.crt"], path, &review).await.unwrap();
            assert_eq!(answer["response"]["convertedObjects"][0]["spec"]["container"]["memoryMi"], 7, "{answer}");
        }
        // A kind that is not defined, and an authority of another owner.
        let answer = asked(&second, &before["ca.crt"], "/convert/colonies.colonies.io/x", &review).await.unwrap();
        assert_eq!(answer["response"]["result"]["status"], "Failure", "{answer}");
        let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
        assert!(asked(&first, &other, path, &review).await.is_err());

        // While no replica is there, the old version cannot be read; what is stored can.
        stage.operator.signal(Signal::Kill);
        eventually("no replica converts", SOON, async || match two.old.get("whisper").await {
            Ok(_) => Err("it is read".to_owned()),
            Err(error) if error.to_string().contains("conversion webhook") => Ok(()),
            Err(error) => Err(error.to_string()),
        })
        .await;
        two.kind.instances.get("whisper").await.unwrap();
        let mut again = elected(&name);
        reachable(&first)(&mut again);
        stage.operator = Operator::start(again, &name, &stage.turn).await;
        eventually("it is read again", SOON, async || {
            let read = two.old.get("whisper").await.map_err(|error| error.to_string())?;
            (read.data["spec"]["memory"] == "1Gi").then_some(()).ok_or_else(|| read.data.to_string())
        })
        .await;
        assert_eq!(kept(stage).await, before, "certificates are made once");
        for log in [stage.operator.log(), replica.log()] {
            assert!(!log.contains("PRIVATE KEY"), "a key is in the log");
        }
    })
    .await;
}

/// Certificates are renewed while API servers convert, and none of them is refused.
#[tokio::test]
async fn certificates_are_renewed_while_objects_are_converted() {
    let connection = connect_with_crds().await;
    let address = free_address();
    let adjust = |configuration: &mut OperatorConfiguration| {
        reachable(&address)(configuration);
        configuration.conversion.certificate_seconds = 12;
    };
    with_configured_operator(&connection, "conv-renewal", adjust, async |stage| {
        let two = TwoVersions::of(stage);
        two.kind.define().await;
        two.kind.until_ready().await;
        two.create_old("whisper", json!({ "image": "i", "memory": "1Gi" })).await.unwrap();
        let before = kept(stage).await;
        let mut seen = vec![before["tls.crt"].clone()];
        eventually("it is renewed twice, and the old version is read all the time", SOON, async || {
            let now = kept(stage).await;
            if !seen.contains(&now["tls.crt"]) {
                seen.push(now["tls.crt"].clone());
            }
            client(&before["ca.crt"]).get(format!("https://{address}/healthz")).send().await.unwrap();
            two.old.get("whisper").await.unwrap();
            (seen.len() > 2).then_some(()).ok_or_else(|| format!("it was renewed {} times", seen.len() - 1))
        })
        .await;
        assert_eq!(kept(stage).await["ca.crt"], before["ca.crt"], "by the same authority");

        // Taken away, they come back as they were: CRDs name the authority.
        let secrets: Api<Secret> = stage.api();
        secrets.delete(SECRET, &DeleteParams::default()).await.unwrap();
        eventually("the Secret is there again", SOON, async || {
            two.old.get("whisper").await.map_err(|error| error.to_string())?;
            secrets.get(SECRET).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        assert_eq!(kept(stage).await["ca.key"], before["ca.key"]);
        two.old.get("whisper").await.unwrap();
        assert!(!stage.operator.log().contains("PRIVATE KEY"), "a key is in the log");
    })
    .await;
}

/// `doctor` reports the endpoint, and metrics report how many objects were converted.
#[tokio::test]
async fn doctor_and_metrics_tell_of_conversions() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-doctor", reachable(&address), async |stage| {
        let two = TwoVersions::of(stage);
        two.kind.define().await;
        two.kind.until_ready().await;
        two.create_old("whisper", json!({ "image": "i", "memory": "1Gi" })).await.unwrap();
        let (_, metrics) = stage.operator.get("/metrics").await.unwrap();
        let count = |series: &str| -> f64 {
            let line =
                metrics.lines().find_map(|line| line.strip_prefix(&format!("colonyos_operator_{series} ")));
            line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
        };
        assert!(
            count("conversions_total{result=\"converted\"}") >= 1.0
                && count("converted_objects_total") >= 1.0
        );
        assert!(count("conversions_total{result=\"refused\"}") < 1.0);

        let space = stage.namespace.name.clone();
        let file = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&file, &json!({ "conversion": { "url": format!("https://{address}") } }))
            .unwrap();
        let looked = || doctor_with(&space, &["--config", file.path().to_str().unwrap()]);
        let of_kind = format!("ResourceDefinition {}: conversion", two.kind.name);
        let (_, found) = looked();
        for check in ["conversion endpoint", &of_kind] {
            assert_eq!(finding(&found, check)["verdict"], "ok", "{check} in {found:#}");
        }
        assert!(!found.to_string().contains("PRIVATE KEY"), "a key is shown");

        // No replica serves, and the authority that the API server trusts was changed.
        stage.operator.signal(Signal::Kill);
        let findings = eventually("doctor reports that no replica serves", SOON, async || {
            let (code, found) = looked();
            let endpoint = finding(&found, "conversion endpoint").clone();
            (code == Some(1) && endpoint["verdict"] == "failure")
                .then_some(found)
                .ok_or_else(|| endpoint.to_string())
        })
        .await;
        assert!(finding(&findings, "conversion endpoint")["remedy"].is_string());
        let unread = finding(&findings, &of_kind);
        assert!(unread["seen"].as_str().unwrap().contains("cannot be read in v1alpha1"), "{unread}");
        let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap().cert.pem();
        let other = k8s_openapi::ByteString(other.into_bytes());
        let patch =
            json!({ "spec": { "conversion": { "webhook": { "clientConfig": { "caBundle": other } } } } });
        two.kind.crds.patch(&two.kind.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let (_, found) = looked();
        let foreign = finding(&found, &of_kind);
        assert!(foreign["seen"].as_str().unwrap().contains("caBundle"), "{foreign}");

        // An operator puts both right.
        let mut again = configuration(&space);
        reachable(&address)(&mut again);
        stage.operator = Operator::start(again, &space, &stage.turn).await;
        eventually("doctor finds no problem with conversions", SOON, async || {
            let (_, found) = looked();
            let verdicts =
                ["conversion endpoint", &of_kind].map(|check| finding(&found, check)["verdict"].clone());
            (verdicts == ["ok", "ok"]).then_some(()).ok_or_else(|| format!("{found:#}"))
        })
        .await;
    })
    .await;
}
