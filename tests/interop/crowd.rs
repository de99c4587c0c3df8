//! Many requests at once, with more than one worker, one of which dies.

use std::{collections::BTreeMap, fs, time::Duration};

use colonyos_operator::{
    api::request_state::{RequestState, State},
    diff::request::{Position, check},
};
use k8s_openapi::api::events::v1::Event;
use kube::{ResourceExt as _, api::ListParams};

use crate::{
    program::Program,
    record::{assert_times, history},
    stage::together,
    support::{operator::Signal, wait::eventually},
};

const COUNT: usize = 500;
/// How long all of them may take, on a machine of two processors with the servers on it.
const ALL: Duration = Duration::from_mins(4);

/// The promise of a claim: however many workers there are, and wherever one dies, a job runs once. And that of a name: a
/// director that is started anew ends what it began.
#[tokio::test]
async fn every_job_runs_once_although_workers_and_the_director_die() {
    together("crowd", async |namespace| {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let first = format!("JOB1=echo \"$REQUEST_UID $JOB\" >> {}; sleep 0.2", log.display());
        let second = format!("JOB2=echo \"$REQUEST_UID $JOB\" >> {}", log.display());
        let worker = |identity: &str| {
            let arguments = [
                "worker",
                "-n",
                &namespace.name,
                "--identity",
                identity,
                "--exec",
                &first,
                "--exec",
                &second,
            ];
            Program::ours(&format!("worker {identity}"), &arguments)
        };
        let ran = || -> Vec<String> {
            fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect()
        };
        let (a, b) = (worker("a"), worker("b"));
        for worker in [&a, &b] {
            worker.wait_for("serves").await;
        }
        let count = COUNT.to_string();
        let director = || {
            let words = ["director", "-n", &namespace.name, "--count", &count, "--name", "crowd"];
            Program::ours("the director", &words)
        };
        let until_ran = async |count: usize| {
            eventually(&format!("{count} jobs have run"), ALL, async || {
                (ran().len() >= count).then_some(()).ok_or_else(|| format!("{} ran", ran().len()))
            })
            .await;
        };
        let first_director = director();
        // While it still creates requests, and when all are under way.
        until_ran(COUNT / 50).await;
        first_director.signal(Signal::Kill);
        let second_director = director();
        until_ran(COUNT / 2).await;
        a.signal(Signal::Kill);
        let again = worker("a");
        until_ran(COUNT).await;
        second_director.signal(Signal::Kill);
        let mut director = director();
        let status = director.wait_for_end_within(ALL).await;

        let all = namespace.api::<RequestState>().list(&ListParams::default()).await.unwrap().items;
        assert_eq!(all.len(), COUNT);
        let mut expected = BTreeMap::new();
        let mut failed = 0;
        for object in &all {
            let name = object.name_any();
            let last = object.status.as_ref().and_then(|status| status.history.last()).unwrap();
            let way = history(object);
            let places: Vec<Position> = way
                .iter()
                .map(|place| {
                    let (job, state) = place.split_once(' ').unwrap();
                    Position::new(job, state.parse().unwrap())
                })
                .collect();
            assert_eq!(places.first(), Some(&Position::new("JOB1", State::Requested)), "{name}: {way:?}");
            assert_eq!(places.last(), Some(&Position::of(object)), "{name}: {way:?}");
            for pair in places.windows(2) {
                check(&pair[0], &pair[1]).unwrap_or_else(|error| panic!("{name}: {error} in {way:?}"));
            }
            assert_times(object);
            if object.spec.state == State::Failed {
                failed += 1;
                assert_eq!(last.reason.as_deref(), Some("WorkerRestarted"), "{name}: {last:?}");
            } else {
                assert_eq!(object.spec.state, State::Completed, "{name}");
            }
            for place in places.iter().filter(|place| place.state == State::Started) {
                expected.insert(format!("{} {}", object.spec.request_uid, place.job), 1);
            }
        }
        let mut times = BTreeMap::new();
        for line in ran() {
            *times.entry(line).or_insert(0) += 1;
        }
        // One that was killed between its claim and its command has run nothing, and its request has failed.
        let missing: Vec<_> = expected.keys().filter(|job| !times.contains_key(*job)).collect();
        assert!(missing.len() <= failed, "did not run: {missing:?}, {failed} failed");
        assert!(times.iter().all(|(job, count)| *count == 1 && expected.contains_key(job)), "{times:?}");
        assert!(failed < COUNT / 2, "{failed} failed");
        assert_eq!(status.success(), failed == 0, "{failed} failed, the director ended with {status}");
        drop((b, again, first_director, second_director));
    })
    .await;
}

/// A flow that is longer than a history: nothing is lost, it stands elsewhere.
#[tokio::test]
async fn what_a_long_history_leaves_out_stands_in_events() {
    together("long", async |namespace| {
        let jobs: Vec<String> = (1..=25).map(|number| format!("J{number}")).collect();
        let flow = jobs.join(",");
        let worker = Program::ours("the worker", &["worker", "-n", &namespace.name, "--job-duration", "1ms"]);
        worker.wait_for("serves").await;
        let mut director =
            Program::ours("the director", &["director", "-n", &namespace.name, "--flow", &flow]);
        assert!(director.wait_for_end().await.success());
        let all = namespace.api::<RequestState>().list(&ListParams::default()).await.unwrap().items;
        let status = all[0].status.as_ref().unwrap();
        assert_eq!((status.history.len(), status.history_dropped), (64, Some(75 - 64)), "{status:?}");
        assert!(status.history_rest.as_ref().is_some_and(|text| text.contains("Events")));
        let events = namespace.api::<Event>().list(&ListParams::default()).await.unwrap().items;
        let notes: Vec<&str> = events.iter().filter_map(|event| event.note.as_deref()).collect();
        let way: Vec<String> = jobs
            .iter()
            .flat_map(|job| ["REQUESTED", "STARTED", "COMPLETED"].map(|state| format!("{job} {state} ")))
            .collect();
        for place in &way[..75 - 64] {
            assert!(notes.iter().any(|note| note.contains(place)), "{place} in {notes:?}");
        }
        assert_eq!(history(&all[0]), way[75 - 64..].iter().map(|place| place.trim()).collect::<Vec<_>>());
    })
    .await;
}
