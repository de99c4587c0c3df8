//! `colonyos-operator reconciler --runtime docker` on a real server and a real Docker daemon: fleets of containers that follow
//! their blueprints.

use std::{collections::BTreeSet, fs, time::Duration};

use colonyos_operator::colony::{PrivateKey, ProcessState};
use rand::Rng as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    executor::executor_binary,
    lab::{Found, Lab, begun, slot, work_for},
    stage::until,
    support::{
        daemon::Daemon,
        program::{Signal, send},
    },
};

const IMAGE: &str = "localhost/executor:1";
const NEXT_IMAGE: &str = "localhost/executor:2";
const LABEL: &str = "colonies.executor";

/// A daemon with the executor's image, a folder to mount, and a container of another owner.
struct Machine {
    daemon: Daemon,
    foreign: String,
}

impl Machine {
    fn start() -> Option<Self> {
        let daemon = Daemon::start_or_skip()?;
        daemon.import(IMAGE, &[&executor_binary()]);
        daemon.docker(&["tag", IMAGE, NEXT_IMAGE]).unwrap();
        fs::create_dir(daemon.folder().join("models")).unwrap();
        fs::write(daemon.folder().join("models/weights"), "1 2 3").unwrap();
        // Labelled as the stock docker-reconciler does, under the name that the first replica would have. It is not started.
        let labels = ["--label", "colonies.managed=true", "--label", "colonies.deployment=ml"];
        let begin = ["create", "--network", "host", "--name", "ml-0-1"];
        let foreign = daemon.docker(&[&begin[..], &labels, &[IMAGE]].concat()).unwrap();
        Some(Self { daemon, foreign })
    }

    async fn lab(&self) -> Lab {
        let (address, folder) = (self.daemon.address(), self.folder("models"));
        let place = ["--runtime", "docker", "--network", "host", "--docker-host", &address];
        Lab::new(&[&place[..], &["--allow-volume", &folder]].concat()).await
    }

    fn folder(&self, name: &str) -> String {
        self.daemon.folder().join(name).display().to_string()
    }

    /// As in the example of the project that this follows.
    fn spec(&self, lab: &Lab, replicas: u32) -> Value {
        json!({
            "runtime": "docker", "replicas": replicas, "executorType": lab.stage.executor_type, "image": IMAGE,
            "config": {
                "env": {"MODEL_CACHE_DIR": "/models", "BATCH_SIZE": "32", "EXECUTOR_POLL_SECONDS": "2"},
                "volumes": [{"source": self.folder("models"), "target": "/models"}],
            },
        })
    }

    /// Names of executors whose containers there are, running or not.
    fn containers(&self) -> Vec<String> {
        let label = format!("{{{{.Label \"{LABEL}\"}}}}");
        let listed =
            self.daemon.docker(&["ps", "--all", "--filter", &format!("label={LABEL}"), "--format", &label]);
        let mut names: Vec<String> = listed.unwrap().lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn inspect(&self, found: &Found) -> Value {
        let filter = format!("label={LABEL}={}", found.name);
        let id = self.daemon.docker(&["ps", "--quiet", "--filter", &filter]).unwrap();
        let text = self.daemon.docker(&["inspect", &id]).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// The container of another owner is there, and was never started.
    fn assert_foreign_untouched(&self) {
        let state = ["inspect", "--format", "{{.State.Status}} {{.State.StartedAt}}", &self.foreign];
        assert_eq!(self.daemon.docker(&state).unwrap(), "created 0001-01-01T00:00:00Z");
    }
}

#[tokio::test]
async fn a_fleet_of_containers_follows_its_blueprint() {
    let Some(machine) = Machine::start() else { return };
    let lab = machine.lab().await;
    let state = TempDir::new().unwrap();
    let reconciler = lab.start(&state);
    lab.add("ml", machine.spec(&lab, 3)).await;
    let first = lab.until_running("ml", 3).await;
    let names: Vec<_> = first.iter().map(|found| found.name.as_str()).collect();
    assert_eq!(names, ["ml-0-1", "ml-1-1", "ml-2-1"]);
    assert_eq!(machine.containers(), names);
    for line in [
        "ml: Current replicas: 0, Desired: 3",
        "Scaling up: starting 3 containers",
        "Started container ml-1-1 (",
    ] {
        assert!(reconciler.output().contains(line), "{line}: {}", reconciler.output());
    }
    reconciler.wait_for("Reconciliation complete: 3 replicas running", Duration::from_secs(30)).await;

    // Each is an executor with a key of its own, has what the blueprint gives, and nothing of the owner's.
    let owner_key = lab.owner_key.to_hex();
    let mut keys = BTreeSet::new();
    for found in &first {
        let inspected = machine.inspect(found);
        assert!(!inspected.to_string().contains(owner_key.as_str()));
        let labels = &inspected["Config"]["Labels"];
        assert_eq!(
            (&labels["colonies.managed"], &labels["colonies.deployment"]),
            (&json!("true"), &json!("ml"))
        );
        let environment = inspected["Config"]["Env"].as_array().unwrap();
        for expected in ["MODEL_CACHE_DIR=/models", "BATCH_SIZE=32", "COLONIES_DEPLOYMENT=ml"] {
            assert!(environment.contains(&json!(expected)), "{expected}: {environment:?}");
        }
        let key = environment.iter().find_map(|one| one.as_str()?.strip_prefix("COLONIES_PRVKEY=")).unwrap();
        assert_eq!(PrivateKey::from_hex(key).unwrap().id().to_string(), found.id);
        keys.insert(key.to_owned());
        let seen = fs::read_to_string(format!("/proc/{}/root/models/weights", found.pid)).unwrap();
        assert_eq!(seen, "1 2 3");
        let process = work_for(&lab.stage, &found.name, 0.01).await;
        lab.stage.until_state(&process.id, ProcessState::Successful).await;
    }
    assert_eq!(keys.len(), 3);

    lab.scale("ml", 5).await;
    let five = lab.until_running("ml", 5).await;
    assert!(first.iter().all(|found| five.contains(found)), "{first:?} {five:?}");

    // One that is to go finishes what it has.
    let work = work_for(&lab.stage, "ml-4-1", 3.0).await;
    lab.stage.until_state(&work.id, ProcessState::Running).await;
    lab.scale("ml", 1).await;
    let one = lab.until_running("ml", 1).await;
    assert_eq!(one[0], first[0]);
    assert_eq!(machine.containers(), ["ml-0-1"]);
    assert_eq!(lab.stage.user.process(&work.id).await.unwrap().state, ProcessState::Successful);
    assert_eq!(begun(&lab.stage.user, &work).await, 1);

    // A new image comes to one replica after the other.
    lab.scale("ml", 3).await;
    let before = lab.until_running("ml", 3).await;
    lab.change("ml", |spec| spec["image"] = json!(NEXT_IMAGE)).await;
    until("all are of the new generation", || async {
        let now = lab.processes();
        assert!(now.len() >= 2, "more than one was replaced at a time: {now:?}");
        let is_new = now.len() == 3 && now.iter().all(|found| before.iter().all(|old| old.id != found.id));
        is_new.then_some(())
    })
    .await;
    for found in lab.until_running("ml", 3).await {
        assert_eq!(machine.inspect(&found)["Config"]["Image"], NEXT_IMAGE);
    }

    // What has ended is replaced, with its executor.
    let victim = lab.processes().remove(0);
    send(victim.pid, Signal::Kill);
    until("it is replaced", || async { lab.processes().iter().all(|found| *found != victim).then_some(()) })
        .await;
    lab.until_running("ml", 3).await;

    lab.stage.user.remove_blueprint("ml").await.unwrap();
    until("nothing is left", || async {
        (machine.containers().is_empty() && lab.executors().await.is_empty()).then_some(())
    })
    .await;
    machine.assert_foreign_untouched();
}

/// Wherever the reconciler is killed or the daemon crashes, containers and executors come together again, and no work is begun twice:
/// with Docker's `live-restore`, containers outlive their daemon.
#[tokio::test]
async fn killed_at_any_point_with_the_daemon_it_doubles_loses_and_interrupts_nothing() {
    const ROUNDS: usize = 16;
    let Some(mut machine) = Machine::start() else { return };
    let lab = machine.lab().await;
    let state = TempDir::new().unwrap();
    let (mut work, mut most, mut crashes) = (Vec::new(), 0, 0);
    lab.add("ml", machine.spec(&lab, 3)).await;
    for round in 0..ROUNDS {
        let reconciler = lab.start(&state);
        let (replicas, pauses, crashes_beside, crashes_after) = {
            let mut chance = rand::rng();
            let pauses: [u64; 2] = [chance.random_range(0..3000), chance.random_range(0..2000)];
            (chance.random_range(1..=5), pauses, chance.random_bool(0.3), chance.random_bool(0.3))
        };
        if round % 2 == 1 {
            lab.scale("ml", replicas).await;
        }
        for _ in 0..3 {
            work.push(lab.stage.user.submit(&lab.stage.spec("sleep").arg(0.3)).await.unwrap());
        }
        // By chance: the points at which both are killed are what is tried.
        tokio::time::sleep(Duration::from_millis(pauses[0])).await;
        if crashes_beside {
            machine.daemon.kill();
            tokio::time::sleep(Duration::from_millis(pauses[1])).await;
            machine.daemon.start_again();
            tokio::time::sleep(Duration::from_millis(pauses[0])).await;
        }
        reconciler.signal(Signal::Kill);
        drop(reconciler);
        if crashes_after {
            machine.daemon.kill();
            machine.daemon.start_again();
        }
        crashes += usize::from(crashes_beside) + usize::from(crashes_after);
        let found = lab.processes();
        let slots: BTreeSet<_> = found.iter().map(|found| slot(&found.name).to_owned()).collect();
        assert_eq!(slots.len(), found.len(), "doubled: {found:?}");
        most = most.max(found.len());
    }
    lab.scale("ml", 4).await;
    let _reconciler = lab.start(&state);
    let running = lab.until_running("ml", 4).await;
    let names: Vec<_> = running.iter().map(|found| found.name.clone()).collect();
    assert_eq!(machine.containers(), names);
    let mut interrupted = 0;
    for process in &work {
        lab.stage.until_state(&process.id, ProcessState::Successful).await;
        interrupted += begun(&lab.stage.user, process).await - 1;
    }
    println!(
        "{ROUNDS} kills, {crashes} crashes of the daemon, at most {most} replicas, {} processes, {interrupted} interrupted",
        work.len()
    );
    assert_eq!(interrupted, 0);
    machine.assert_foreign_untouched();
}
