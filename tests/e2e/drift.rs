//! What others change about a fleet's workload is put right, soon, and without a new generation.

use std::time::{Duration, Instant};

use colonyos_operator::runtime::clock::Clock;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{fleet::Fleet, stage::Stage, support::wait::eventually};

/// How long a change may take to be put right. After a write of its own the operator gives the watch five seconds to show it,
/// which it never does of a Deployment whose label it selects by was taken away meanwhile.
const PUT_RIGHT_LIMIT: Duration = Duration::from_secs(30);

pub async fn what_others_change_is_put_right(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "steady", json!({"replicas": 1})).await;
    fleet.until_ready(1).await;
    fleet.until_mirrored().await;
    let deployments = stage.namespace.api::<Deployment>();
    let meant = substance(&deployments.get("steady").await.unwrap());
    let clock = Clock::system();

    let container = |fields: Value| {
        let mut container = json!({"name": "executor"});
        container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    };
    let edits = [
        ("image", container(json!({"image": "localhost/executor:other"}))),
        ("a variable", container(json!({"env": [{"name": "INTRUDER", "value": "1"}]}))),
        ("replicas", json!({"spec": {"replicas": 4}})),
        ("a label", json!({"metadata": {"labels": {"app.kubernetes.io/part-of": null}}})),
        // By this one the operator's watch selects: to it, the Deployment seems to be gone.
        ("the label of its watch", json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}})),
        ("a privilege", container(json!({"securityContext": {"allowPrivilegeEscalation": true}}))),
    ];
    for (what, edit) in edits {
        let edited = deployments
            .patch("steady", &PatchParams::default(), &Patch::Strategic(&edit))
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_ne!(substance(&edited), meant, "{what} is an edit");
        let took = until_right(&deployments, &meant, what, &clock).await;
        eprintln!("drift: {what} was put right in {took:?}");
    }

    let before = deployments.get("steady").await.unwrap();
    deployments.delete("steady", &DeleteParams::background()).await.unwrap();
    let took = until_right(&deployments, &meant, "deletion", &clock).await;
    eprintln!("drift: a deletion was put right in {took:?}");
    assert_ne!(deployments.get("steady").await.unwrap().uid(), before.uid());

    let object = fleet.until_ready(1).await;
    assert_eq!(object.metadata.generation, Some(1), "nothing else was requested");
    assert_eq!(fleet.processes(1).await.unwrap().len(), 1);
    a_secret_that_was_deleted_is_made_again(&fleet).await;
}

/// What the operator wants of a Deployment, without what the cluster adds to it.
fn substance(deployment: &Deployment) -> Value {
    let spec = deployment.spec.as_ref().unwrap();
    let owners: Vec<_> = deployment.owner_references().iter().map(|owner| owner.uid.clone()).collect();
    json!({"labels": deployment.labels(), "owners": owners, "replicas": spec.replicas, "template": spec.template})
}

async fn until_right(api: &Api<Deployment>, meant: &Value, what: &str, clock: &Clock) -> Duration {
    let start: Instant = clock.instant();
    eventually(&format!("{what} is put right"), PUT_RIGHT_LIMIT, async || {
        match api.get_opt("steady").await.map_err(|error| error.to_string())? {
            Some(found) if substance(&found) == *meant => Ok(()),
            found => Err(format!("{found:#?}")),
        }
    })
    .await;
    clock.instant() - start
}

/// Secrets are not watched; a pod that cannot start shows that one is missing.
async fn a_secret_that_was_deleted_is_made_again(fleet: &Fleet<'_>) {
    let secrets = fleet.stage.namespace.api::<Secret>();
    let name = "steady-executor-identity";
    let before = secrets.get(name).await.unwrap();
    let executor = fleet.executor_name().await;
    secrets.delete(name, &DeleteParams::default()).await.unwrap();
    for pod in fleet.pods().await.unwrap() {
        let api = fleet.stage.namespace.api::<k8s_openapi::api::core::v1::Pod>();
        // One that was on its way out when the pods were listed may be gone by now.
        if let Err(error) = api.delete(&pod.name_any(), &DeleteParams::default()).await {
            assert!(matches!(&error, kube::Error::Api(status) if status.code == 404), "{error}");
        }
    }
    eventually("the Secret is there again", crate::fleet::START_LIMIT, async || {
        match secrets.get_opt(name).await.map_err(|error| error.to_string())? {
            Some(found) if found.uid() != before.uid() => Ok(()),
            _ => Err("it is not".to_owned()),
        }
    })
    .await;
    fleet.until_ready(1).await;
    eventually("the old executor has left the colony", crate::fleet::RUN_LIMIT, async || {
        let left = fleet.stage.approved_executors(&fleet.stage.executor_type).await?;
        (left.len() == 1 && !left.contains(&executor)).then_some(()).ok_or_else(|| format!("{left:?}"))
    })
    .await;
    let echo = fleet.stage.submit(&fleet.stage.function("echo").arg("again")).await;
    fleet.stage.until_state(&echo, colonyos_operator::colony::ProcessState::Successful).await;
}
