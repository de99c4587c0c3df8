//! The Docker runtime on a dockerd of its own.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use colonyos_client::{Environment, PrivateKey};
use colonyos_reconciler::{
    docker::Docker,
    fleet::{Limits, Template, Volume},
    name::ReplicaName,
    plan::Launch,
    port::{Ending, Runtime as _},
    snapshot::{Replica, State},
};
use tempfile::TempDir;

/// A daemon of this test alone.
struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts one; a reason when this machine cannot.
    fn start() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = File::create(at("log")).map_err(|error| error.to_string())?;
        let child = Command::new("dockerd")
            .args(["--iptables=false", "--bridge=none", "--storage-driver", "vfs"])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["-H", &format!("unix://{}", at("docker.sock"))])
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|error| error.to_string())?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("dockerd does not start: {error}"))?;
        let mut daemon = Self { child, folder };
        for _ in 0..600 {
            if daemon.docker(&["info"]).is_ok() {
                return Ok(daemon);
            }
            if let Ok(Some(status)) = daemon.child.try_wait() {
                let log = std::fs::read_to_string(daemon.folder.path().join("log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd ended with {status}: {last:?}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err("dockerd does not answer within a minute".to_owned())
    }

    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker").args(["-H", &self.address()]).args(arguments).output();
        let output = output.map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// An image with busybox alone.
    fn import(&self, busybox: &Path) {
        let root = self.folder.path().join("root");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
        let tar = self.folder.path().join("image.tar");
        let status = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().unwrap();
        assert!(status.success());
        self.docker(&["import", &tar.display().to_string(), "localhost/busybox:dev"]).unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // What it started goes first, and the daemon by its own signal, so that it leaves no mounts.
        if let Ok(all) = self.docker(&["ps", "-aq"]) {
            for id in all.lines() {
                let _ = self.docker(&["rm", "-f", id]);
            }
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.is_file())
}

async fn only(docker: &Docker) -> Replica {
    let mut list = docker.list().await.unwrap();
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

#[tokio::test]
async fn a_container_is_made_started_found_and_ended_and_others_are_left_alone() {
    let daemon = match (busybox(), Daemon::start()) {
        (Some(busybox), Ok(daemon)) => {
            daemon.import(&busybox);
            daemon
        }
        (None, _) => return eprintln!("SKIPPED: no busybox on this machine; install busybox-static"),
        (_, Err(reason)) => return eprintln!("SKIPPED: no Docker daemon on this machine: {reason}"),
    };
    let address = daemon.address();
    let connect = |colony: &'static str, reconciler: &'static str| {
        Docker::connect(Some(&address), colony, "lab", reconciler, Some("none".to_owned()))
    };
    let docker = connect("dev", "r1").await.unwrap();
    // A stranger with the labels of the stock reconciler, and under the very name.
    let labels = ["--label", "colonies.managed=true", "--label", "colonies.deployment=ml"];
    let stranger =
        ["run", "-d", "--network", "none", "--name", "ml-0-1", labels[0], labels[1], labels[2], labels[3]];
    let command = ["localhost/busybox:dev", "/bin/busybox", "sleep", "1000"];
    let stranger = daemon.docker(&[&stranger[..], &command[..]].concat()).unwrap();
    assert_eq!(docker.list().await.unwrap(), []);

    let data = daemon.folder.path().join("models");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("model"), "weights\n").unwrap();
    let script = "echo $WORD; /bin/busybox cat /models/model; trap 'exit 0' TERM; while :; do /bin/busybox sleep 0.1; done";
    let launch = Launch {
        name: ReplicaName::parse("ml-0-1").unwrap(),
        blueprint: "b1".to_owned(),
        generation: 3,
        template: Template {
            executor_type: "t".to_owned(),
            image: "localhost/busybox:dev".to_owned(),
            entrypoint: vec!["/bin/busybox".to_owned()],
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
