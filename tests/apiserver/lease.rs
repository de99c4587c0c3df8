//! Leader election against a real API server: several candidates, a holder that is stopped, killed or overruled.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use colonyos_operator::runtime::{
    clock::Clock,
    config::LeaderElection,
    kubernetes::Kubernetes,
    lease::{Elector, Leadership, identity},
    shutdown::Shutdown,
};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::ConfigMap};
use kube::{
    Api,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{
    cluster::connect,
    environment,
    namespace::{TestNamespace, in_namespace},
    program::{Signal, send},
    wait::{eventually, throughout},
};

/// Tells a child process of this test in which namespace to play the holder.
const ROLE_NAMESPACE: &str = "COLONYOS_OPERATOR_TEST_HOLDER_NAMESPACE";
/// Where holders leave their traces.
const JOURNAL: &str = "journal";

/// Shorter than a real operator's, so that the tests need not wait.
fn settings() -> LeaderElection {
    LeaderElection {
        lease_name: "operator".to_owned(),
        lease_duration_seconds: 4,
        renew_deadline_seconds: 3,
        retry_period_seconds: 1,
        ..LeaderElection::default()
    }
}

struct Candidate {
    leadership: Leadership,
    stop: Shutdown,
    running: JoinHandle<()>,
}

fn candidate(kubernetes: &Kubernetes, namespace: &str, name: &str) -> Candidate {
    let clock = Clock::system();
    let (elector, leadership) =
        Elector::new(kubernetes.calls.clone(), namespace, settings(), identity(name), &clock);
    let stop = Shutdown::default();
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { elector.run(&stop).await }
    });
    Candidate { leadership, stop, running }
}

async fn holder(namespace: &TestNamespace) -> Result<Lease, String> {
    namespace.api::<Lease>().get(&settings().lease_name).await.map_err(|error| error.to_string())
}

fn holder_name(lease: &Lease) -> String {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.clone()).unwrap_or_default()
}

#[tokio::test]
async fn one_of_many_leads_and_hands_over_when_it_ends() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-many", async |namespace| {
        let names = ["a", "b", "c", "d"];
        let mut candidates: Vec<_> =
            names.iter().map(|name| candidate(&kubernetes, &namespace.name, name)).collect();
        let leaders = |candidates: &[Candidate]| {
            candidates.iter().filter(|candidate| candidate.leadership.is_leader()).count()
        };
        eventually("a candidate leads", Duration::from_secs(5), async || {
            (leaders(&candidates) == 1).then_some(()).ok_or_else(|| "none, or several".to_owned())
        })
        .await;
        throughout("exactly one leads", Duration::from_secs(3), async || {
            let count = leaders(&candidates);
            (count == 1).then_some(()).ok_or_else(|| format!("{count} lead"))
        })
        .await;

        let leader = candidates.iter().position(|candidate| candidate.leadership.is_leader()).unwrap();
        let leader = candidates.swap_remove(leader);
        leader.stop.request();
        leader.running.await.unwrap();
        assert!(!leader.leadership.is_leader());
        // Well below the lease's duration: the others were told, they did not wait for it to run out.
        eventually("another one leads", Duration::from_millis(2_500), async || {
            (leaders(&candidates) == 1).then_some(()).ok_or_else(|| "none, or several".to_owned())
        })
        .await;
        let transitions = holder(&namespace).await.unwrap().spec.unwrap().lease_transitions;
        assert_eq!(transitions, Some(1), "a hand-over counts once");

        for candidate in candidates {
            candidate.stop.request();
            candidate.running.await.unwrap();
        }
        assert_eq!(
            holder_name(&holder(&namespace).await.unwrap()),
            "",
            "the last one out releases the lease"
        );
    })
    .await;
}

/// Another program's record, or an older release's, counts for as long as it says.
#[tokio::test]
async fn a_strangers_lease_is_respected_until_it_runs_out() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-stranger", async |namespace| {
        let lease: Lease = serde_json::from_value(json!({
            "metadata": { "name": settings().lease_name },
            // Long ago by the calendar: only what is seen to happen counts, clocks may differ.
            "spec": { "holderIdentity": "stranger", "leaseDurationSeconds": 3, "leaseTransitions": 7,
                      "acquireTime": "2020-01-01T00:00:00.000000Z", "renewTime": "2020-01-01T00:00:00.000000Z" },
        }))
        .unwrap();
        namespace.api::<Lease>().create(&PostParams::default(), &lease).await.unwrap();
        let candidate = candidate(&kubernetes, &namespace.name, "a");
        throughout("the stranger's lease is respected", Duration::from_millis(2_900), async || {
            (!candidate.leadership.is_leader()).then_some(()).ok_or_else(|| "taken over".to_owned())
        })
        .await;
        eventually("the silent stranger is replaced", Duration::from_secs(4), async || {
            candidate.leadership.is_leader().then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        assert_eq!(holder(&namespace).await.unwrap().spec.unwrap().lease_transitions, Some(8));
        candidate.stop.request();
        candidate.running.await.unwrap();
    })
    .await;
}

/// A leader that finds another name in the lease must stop at once, not when its own deadline passes, and must not take the
/// lease back.
#[tokio::test]
async fn a_leader_that_is_overruled_stops_and_stays_back() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-overruled", async |namespace| {
        let candidate = candidate(&kubernetes, &namespace.name, "a");
        tokio::time::timeout(Duration::from_secs(5), candidate.leadership.acquired()).await.unwrap();
        let patch =
            Patch::Merge(json!({ "spec": { "holderIdentity": "intruder", "leaseDurationSeconds": 60 } }));
        let leases: Api<Lease> = namespace.api();
        leases.patch(&settings().lease_name, &PatchParams::default(), &patch).await.unwrap();
        // One retry period and the time of a call: less than what is left of the term.
        tokio::time::timeout(Duration::from_millis(1_800), candidate.leadership.lost()).await.unwrap();
        throughout("the intruder keeps the lease", Duration::from_secs(2), async || {
            let name = holder_name(&holder(&namespace).await?);
            (name == "intruder").then_some(()).ok_or(name)
        })
        .await;
        candidate.stop.request();
        candidate.running.await.unwrap();
        assert_eq!(
            holder_name(&holder(&namespace).await.unwrap()),
            "intruder",
            "no release of a stranger's lease"
        );
    })
    .await;
}

/// A deleted lease is created anew.
#[tokio::test]
async fn a_deleted_lease_is_created_again() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-deleted", async |namespace| {
        let candidate = candidate(&kubernetes, &namespace.name, "a");
        candidate.leadership.acquired().await;
        let leases: Api<Lease> = namespace.api();
        let before = leases.get(&settings().lease_name).await.unwrap().metadata.uid;
        leases.delete(&settings().lease_name, &kube::api::DeleteParams::default()).await.unwrap();
        eventually("the lease is there again", Duration::from_secs(6), async || {
            let lease = holder(&namespace).await?;
            (lease.metadata.uid != before && candidate.leadership.is_leader())
                .then_some(())
                .ok_or_else(|| format!("held by {:?}", holder_name(&lease)))
        })
        .await;
        candidate.stop.request();
        candidate.running.await.unwrap();
    })
    .await;
}

/// A holder in a process of its own, so that it can be stopped as a whole.
struct HolderProcess {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl HolderProcess {
    fn start(namespace: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lease::role_of_a_holder", "--ignored", "--nocapture"])
            .env(ROLE_NAMESPACE, namespace)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn({
            let lines = lines.clone();
            move || output.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line))
        });
        Self { child, lines }
    }

    fn count(&self, line: &str) -> usize {
        self.lines.lock().unwrap().iter().filter(|seen| *seen == line).count()
    }

    async fn wait_for(&self, line: &str, count: usize) {
        eventually(&format!("the holder says {line:?} {count} times"), Duration::from_secs(10), async || {
            (self.count(line) >= count)
                .then_some(())
                .ok_or_else(|| format!("{:?}", self.lines.lock().unwrap()))
        })
        .await;
    }
}

impl Drop for HolderProcess {
    fn drop(&mut self) {
        // Gone already or not: both are fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test but the part that a child process plays: takes the lease and writes as long as it leads, saying so.
#[tokio::test]
#[ignore = "a role in other tests, which start it in a process of its own"]
async fn role_of_a_holder() {
    let Some(namespace) = environment::variable(ROLE_NAMESPACE) else { return };
    let kubernetes = connect().await;
    let candidate = candidate(&kubernetes, &namespace, "child");
    let journal: Api<ConfigMap> = Api::namespaced(kubernetes.calls.clone(), &namespace);
    let say = |line: &str| {
        let mut output = std::io::stdout().lock();
        writeln!(output, "{line}").and_then(|()| output.flush()).unwrap();
    };
    let mut number = 0_u64;
    loop {
        let before = candidate.leadership.is_leader();
        if before {
            number += 1;
            let patch = Patch::Merge(json!({ "data": { "child": number.to_string() } }));
            journal.patch(JOURNAL, &PatchParams::default(), &patch).await.unwrap();
            say("wrote");
        }
        // The pace of its writes, not a wait: others count what it writes.
        tokio::time::sleep(Duration::from_millis(100)).await;
        match (before, candidate.leadership.is_leader()) {
            (false, true) => say("leads"),
            (true, false) => say("leads no more"),
            _ => {}
        }
    }
}

async fn create_journal(namespace: &TestNamespace) {
    let metadata = ObjectMeta { name: Some(JOURNAL.to_owned()), ..ObjectMeta::default() };
    let journal = ConfigMap { metadata, ..ConfigMap::default() };
    namespace.api::<ConfigMap>().create(&PostParams::default(), &journal).await.unwrap();
}

async fn journal_of_child(namespace: &TestNamespace) -> u64 {
    let journal = namespace.api::<ConfigMap>().get(JOURNAL).await.unwrap();
    journal.data.and_then(|data| data.get("child")?.parse().ok()).unwrap_or_default()
}

/// A machine that hangs for longer than the lease and then goes on believes that no time has passed. Its first write
/// would fall into the next leader's term.
#[tokio::test]
async fn a_holder_stopped_past_its_deadline_writes_nothing_when_it_goes_on() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-stopped", async |namespace| {
        create_journal(&namespace).await;
        let child = HolderProcess::start(&namespace.name);
        child.wait_for("wrote", 1).await;
        let second = candidate(&kubernetes, &namespace.name, "second");
        // Stopped right after a write, while it pauses: no request of its own is under way.
        child.wait_for("wrote", child.count("wrote") + 1).await;
        send(child.child.id(), Signal::Stop);
        tokio::time::timeout(Duration::from_secs(10), second.leadership.acquired()).await.unwrap();
        let (written, said) = (journal_of_child(&namespace).await, child.count("wrote"));
        // A write that had left before the stop is done all the same; the holder had no time to report it.
        let unsaid = written - u64::try_from(said).unwrap();
        assert!(unsaid <= 1, "{said} writes were said, {written} were done");

        send(child.child.id(), Signal::Continue);
        child.wait_for("leads no more", 1).await;
        throughout("the old holder writes nothing", Duration::from_secs(3), async || {
            let now = journal_of_child(&namespace).await;
            (now == written).then_some(()).ok_or_else(|| format!("{written} writes became {now}"))
        })
        .await;
        assert!(second.leadership.is_leader(), "the new leader is not disturbed");
        second.stop.request();
        second.running.await.unwrap();
        child.wait_for("wrote", said + 1).await;
    })
    .await;
}

/// The lease of a killed process is not released, and no other may take it before it has run out.
#[tokio::test]
async fn a_killed_holder_is_replaced_when_its_lease_has_run_out() {
    let kubernetes = connect().await;
    in_namespace(&kubernetes, "lease-killed", async |namespace| {
        create_journal(&namespace).await;
        let mut child = HolderProcess::start(&namespace.name);
        child.wait_for("wrote", 1).await;
        send(child.child.id(), Signal::Kill);
        child.child.wait().unwrap();
        let clock = Clock::system();
        let second = candidate(&kubernetes, &namespace.name, "second");
        let start = clock.instant();
        tokio::time::timeout(Duration::from_secs(10), second.leadership.acquired()).await.unwrap();
        let waited = clock.instant() - start;
        assert!(waited >= settings().lease_duration(), "taken over after {waited:?}");
        second.stop.request();
        second.running.await.unwrap();
    })
    .await;
}
