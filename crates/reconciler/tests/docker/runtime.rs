//! The Docker runtime on a dockerd of its own.

use std::{collections::BTreeMap, time::Duration};

use colonyos_client::{Environment, PrivateKey};
use colonyos_reconciler::{
    docker::Docker,
    fleet::{Limits, Template, Volume},
    name::ReplicaName,
    plan::Launch,
    port::{Ending, Runtime as _},
    snapshot::{Replica, State},
};

use crate::support::daemon::{Daemon, busybox};

async fn only(docker: &Docker) -> Replica {
    let mut list = docker.list().await.unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

#[tokio::test]
async fn a_container_is_made_started_found_and_ended_and_others_are_left_alone() {
    let Some(daemon) = Daemon::start_or_skip() else { return };
    let Some(busybox) = busybox() else {
        return println!("SKIPPED: no busybox on this machine; install busybox-static");
    };
    daemon.import("localhost/busybox:dev", &[&busybox]);
    let address = daemon.address();
    let connect = |colony: &'static str, reconciler: &'static str| {
        Docker::connect(Some(&address), colony, "lab", reconciler, Some("none".to_owned()))
    };
    let docker = connect("dev", "r1").await.unwrap();
    // A stranger with the labels of the stock reconciler, and under the very name.
    let labels = ["--label", "colonies.managed=true", "--label", "colonies.deployment=ml"];
    let stranger =
        ["run", "-d", "--network", "none", "--name", "ml-0-1", labels[0], labels[1], labels[2], labels[3]];
    let command = ["localhost/busybox:dev", "sleep", "1000"];
    let stranger = daemon.docker(&[&stranger[..], &command[..]].concat()).unwrap();
    assert_eq!(docker.list().await.unwrap(), []);

    let data = daemon.folder().join("models");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("model"), "weights\n").unwrap();
    let script =
        "echo $WORD; /busybox cat /models/model; trap 'exit 0' TERM; while :; do /busybox sleep 0.1; done";
    let launch = Launch {
        name: ReplicaName::parse("ml-0-1").unwrap(),
        blueprint: "b1".to_owned(),
        generation: 3,
        template: Template {
            executor_type: "t".to_owned(),
            image: "localhost/busybox:dev".to_owned(),
            entrypoint: vec!["/busybox".to_owned()],
            command: vec!["sh".to_owned(), "-c".to_owned()],
            args: vec![script.to_owned()],
            volumes: vec![Volume {
                host: data.display().to_string(),
                container: "/models".into(),
                read_only: true,
            }],
            limits: Limits { millicores: None, bytes: Some(64 << 20) },
            ..Template::default()
        },
    };
    let id = PrivateKey::generate().unwrap().id().to_string();
    let environment = Environment(BTreeMap::from([("WORD".to_owned(), "hello".to_owned())]));
    docker.create(&launch, &id, &environment).await.unwrap();
    let made = only(&docker).await;
    assert_eq!(
        (&made.state, made.generation, &made.executor_id, made.is_own),
        (&State::Created, 3, &id, true)
    );
    let started = docker.start(&launch, &environment).await.unwrap();
    let found = only(&docker).await;
    assert_eq!(
        (found.state, found.id.as_str(), found.name.to_string().as_str()),
        (State::Running, started.as_str(), "ml-0-1")
    );
    assert_eq!(found.image, "localhost/busybox:dev");
    assert!(!connect("dev", "r2").await.unwrap().list().await.unwrap()[0].is_own);
    assert_eq!(connect("other", "r1").await.unwrap().list().await.unwrap(), []);
    let seen = |name: &str| {
        daemon
            .docker(&["inspect", "-f", &format!("{{{{index .Config.Labels \"{name}\"}}}}"), &started])
            .unwrap()
    };
    let labels =
        ["colonies.managed", "colonies.deployment", "colonies.generation", "colonies.executor"].map(seen);
    assert_eq!(labels, ["true", "ml", "3", "ml-0-1"]);

    docker.end(&launch.name, Ending::Ask).await.unwrap();
    for _ in 0..600 {
        if let State::Ended(reason) = only(&docker).await.state {
            assert_eq!(reason, "Exited (0)");
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(docker.last_words(&launch.name).await.unwrap(), "hello\nweights\n");
    // Asking and killing what has ended, and taking away what is gone, are no errors.
    docker.end(&launch.name, Ending::Kill).await.unwrap();
    docker.remove(&launch.name).await.unwrap();
    docker.remove(&launch.name).await.unwrap();
    assert_eq!(docker.list().await.unwrap(), []);
    assert_eq!(daemon.docker(&["ps", "-q", "--no-trunc"]).unwrap(), stranger);

    let mut missing = launch.clone();
    missing.template.image = "localhost:1/no/such:image".to_owned();
    let error = docker.create(&missing, &id, &environment).await.unwrap_err().to_string();
    assert!(error.contains("ml-0-1"), "{error}");
}
