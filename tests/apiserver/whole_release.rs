//! An operator with the rights that the chart gives it and no others, for a whole cluster, which no other test may use meanwhile.

use std::fs;

use colonyos_operator::api::{executor_deployment::ExecutorDeployment, names::identity_secret};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use crate::{
    release_test::{install, kubeconfig_of},
    support::{
        cluster::connect_alone,
        conditions::Conditions as _,
        namespace::in_namespace,
        object,
        operator::{Operator, Signal, configuration},
        stage::{SOON, executor_deployment, with_operator},
    },
};

/// It looks after the whole cluster, and reads Secrets in the listed namespaces alone.
#[tokio::test]
async fn an_operator_that_may_read_the_secrets_of_some_namespaces_works_there_and_tells_elsewhere() {
    let connection = connect_alone().await;
    in_namespace(&connection, "release-elsewhere", async |other| {
        Box::pin(with_operator(&connection, "release-listed", async |stage| {
            let namespace = stage.namespace.name.clone();
            install(stage, &format!("secretNamespaces={}", json!([namespace]))).await;
            stage.operator.signal(Signal::Terminate);
            stage.operator.wait_for_end(SOON).await;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("kubeconfig");
            let account = format!("{namespace}-colonyos-operator");
            fs::write(&file, kubeconfig_of(stage, &account).await).unwrap();
            let mut limited = configuration(&namespace);
            limited.watch_namespaces.clear();
            limited.secret_namespaces = vec![namespace.clone()];
            let environment = [("KUBECONFIG", file.to_str().unwrap())];
            stage.operator = Operator::start_in(limited, &namespace, &environment).await;

            stage.apply("here", &json!({ "replicas": 1 })).await;
            stage.wait_until_ready("here", 1).await;
            let fleets: Api<ExecutorDeployment> = other.api();
            let fleet = executor_deployment("there", &stage.colony.name, &json!({ "replicas": 1 }));
            fleets.create(&PostParams::default(), &fleet).await.unwrap();
            let told =
                object::until(&fleets, "there", "says what is missing", |fleet: &ExecutorDeployment| {
                    fleet.status.as_ref().is_some_and(|status| {
                        let message = status.message("Ready");
                        status.is_false("Ready")
                            && message.contains("secrets")
                            && message.contains("forbidden")
                    })
                })
                .await;
            let message = told.status.unwrap().message("Ready");
            assert!(message.contains(&other.name), "{message}");
            assert!(other.api::<Secret>().get_opt(&identity_secret("there")).await.unwrap().is_none());

            // What was never begun holds up no deletion.
            fleets.delete("there", &DeleteParams::default()).await.unwrap();
            object::until_gone(&fleets, "there").await;
            stage.api::<ExecutorDeployment>().delete("here", &DeleteParams::default()).await.unwrap();
            stage.until_gone::<ExecutorDeployment>("here").await;
        }))
        .await;
    })
    .await;
}
