use std::{collections::BTreeMap, time::Duration};

use colonyos_client::{Id, ProcessId};
use jiff::Timestamp;
use serde_json::Map;

use super::*;
use crate::{
    fleet::Template,
    name::ReplicaName,
    snapshot::{Host, Member, Patience, Replica, Work},
};

const DRAIN: Duration = Duration::from_mins(10);
const GRACE: Duration = Duration::from_secs(30);

fn name(text: &str) -> ReplicaName {
    ReplicaName::parse(text).unwrap()
}

fn fleet(replicas: u32, generation: i64) -> Wish {
    Wish::Fleet(Box::new(Fleet {
        name: FleetName::parse("ml").unwrap(),
        id: "b1".to_owned(),
        generation,
        replicas,
        template: template(generation),
        notes: Vec::new(),
        status: Map::new(),
    }))
}

/// Each generation has another image.
fn template(generation: i64) -> Template {
    Template { executor_type: "t".to_owned(), image: format!("i:{generation}"), ..Template::default() }
}

/// A world of one host, in which a test moves things by hand.
struct World {
    snapshot: Snapshot,
    memory: Memory,
}

impl World {
    fn new(wishes: Vec<Wish>) -> Self {
        let snapshot = Snapshot {
            now: Timestamp::from_second(1_000_000).unwrap(),
            elapsed: Duration::from_secs(100),
            host: Host("here".to_owned()),
            wishes,
            members: Vec::new(),
            replicas: Vec::new(),
            work: BTreeMap::new(),
            patience: Patience { drain: DRAIN, grace: GRACE },
            forced: BTreeMap::new(),
        };
        Self { snapshot, memory: Memory::default() }
    }

    fn member(&mut self, text: &str, host: &str) -> &mut Member {
        self.snapshot.members.push(Member {
            name: name(text),
            id: Id::parse(&"a".repeat(64)).unwrap(),
            is_gone: false,
            has_asked: true,
            blueprint: "b1".to_owned(),
            host: Some(Host(host.to_owned())),
        });
        self.snapshot.members.last_mut().unwrap()
    }

    fn replica(&mut self, text: &str, generation: i64) -> &mut Replica {
        self.snapshot.work.insert(name(text), Work::Idle);
        self.snapshot.replicas.push(Replica {
            name: name(text),
            id: "1".to_owned(),
            host_name: text.to_owned(),
            executor_id: "a".repeat(64),
            blueprint: "b1".to_owned(),
            generation,
            template: template(generation).digest(),
            image: "i".to_owned(),
            state: State::Running,
            created: Timestamp::from_second(999_000).unwrap(),
            is_own: true,
        });
        self.snapshot.replicas.last_mut().unwrap()
    }

    /// A replica that runs with its executor.
    fn up(&mut self, text: &str, generation: i64) {
        self.member(text, "here");
        self.replica(text, generation);
    }

    fn busy(&mut self, text: &str) {
        self.snapshot.work.insert(name(text), Work::Busy(ProcessId::new("p1")));
    }

    /// The steps of a pass, as text; what is asked is noted, as it is when it is done.
    fn pass(&mut self) -> Vec<String> {
        let plan = plan(&self.snapshot, &mut self.memory);
        for step in &plan.steps {
            if let Step::Ask(name, _) = step {
                self.memory.asked.insert(name.clone(), self.snapshot.elapsed);
            }
        }
        plan.steps.iter().map(ToString::to_string).collect()
    }

    fn later(&mut self, by: Duration) {
        self.snapshot.elapsed += by;
    }
}

#[test]
fn what_is_missing_is_started_and_a_converged_world_is_left_alone() {
    let mut world = World::new(vec![fleet(3, 1)]);
    assert_eq!(world.pass(), ["start ml-0-1", "start ml-1-1", "start ml-2-1"]);
    for slot in ["ml-0-1", "ml-1-1", "ml-2-1"] {
        world.up(slot, 1);
    }
    let plan = plan(&world.snapshot, &mut world.memory);
    assert_eq!(plan.steps, []);
    assert!(plan.progress[0].waits.is_empty(), "{:?}", plan.progress);
}

/// The server gives a name out once, for whatever blueprint it was.
#[test]
fn a_name_is_never_used_again() {
    let mut world = World::new(vec![fleet(1, 1)]);
    let gone = world.member("ml-0-7", "elsewhere");
    gone.is_gone = true;
    gone.blueprint = "another".to_owned();
    assert_eq!(world.pass(), ["start ml-0-8"]);
}

/// The slot's executor lives on another host: it is neither doubled nor removed.
#[test]
fn what_another_host_has_counts_and_is_left_alone() {
    let mut world = World::new(vec![fleet(2, 2)]);
    world.member("ml-0-1", "elsewhere");
    assert_eq!(world.pass(), ["start ml-1-1"]);
    let mut gone = World::new(vec![]);
    gone.member("ml-0-1", "elsewhere");
    gone.member("other-0-1", "here").host = None;
    assert_eq!(gone.pass(), Vec::<String>::new());
}

#[test]
fn an_executor_of_this_host_without_a_replica_is_removed_and_its_slot_waits_for_that() {
    let mut world = World::new(vec![fleet(1, 1)]);
    world.member("ml-0-1", "here");
    assert_eq!(world.pass(), ["unregister ml-0-1"]);
    world.snapshot.members[0].is_gone = true;
    assert_eq!(world.pass(), ["start ml-0-2"]);
}

#[test]
fn what_was_never_started_is_taken_away_unless_another_reconciler_may_be_about_to() {
    let mut world = World::new(vec![fleet(1, 1)]);
    world.replica("ml-0-1", 1).state = State::Created;
    assert_eq!(world.pass(), ["remove ml-0-1"]);
    let now = world.snapshot.now;
    let replica = &mut world.snapshot.replicas[0];
    (replica.is_own, replica.created) = (false, now);
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.now += Duration::from_secs(31);
    assert_eq!(world.pass(), ["remove ml-0-1"]);
}

#[test]
fn scaling_down_takes_the_last_slots_and_waits_for_what_they_run() {
    let mut world = World::new(vec![fleet(1, 1)]);
    for slot in ["ml-0-1", "ml-1-1", "ml-2-1"] {
        world.up(slot, 1);
    }
    world.busy("ml-1-1");
    assert_eq!(world.pass(), ["ask ml-2-1 to end: scaled down"]);
    world.later(Duration::from_secs(599));
    // One that was asked and is idle is not waited for without end.
    assert_eq!(world.pass(), ["kill ml-2-1: scaled down"]);
    world.later(Duration::from_secs(1));
    assert_eq!(world.pass(), ["ask ml-1-1 to end: scaled down", "kill ml-2-1: scaled down"]);
}

/// It may have won a process right before the signal: it is given its time.
#[test]
fn a_busy_replica_that_was_asked_is_killed_only_when_its_time_is_over() {
    let mut world = World::new(vec![fleet(0, 1)]);
    world.up("ml-0-1", 1);
    assert_eq!(world.pass(), ["ask ml-0-1 to end: scaled down"]);
    world.busy("ml-0-1");
    world.later(GRACE * 2);
    assert_eq!(world.pass(), Vec::<String>::new());
    world.later(DRAIN);
    assert_eq!(world.pass(), ["kill ml-0-1: scaled down"]);
}

#[test]
fn work_that_is_not_known_is_not_idle() {
    let mut world = World::new(vec![fleet(0, 1)]);
    world.up("ml-0-1", 1);
    world.snapshot.work.clear();
    assert_eq!(world.pass(), Vec::<String>::new());
}

#[test]
fn one_that_is_wanted_again_before_it_was_asked_stays() {
    let mut world = World::new(vec![fleet(0, 1)]);
    world.up("ml-0-1", 1);
    world.busy("ml-0-1");
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.wishes = vec![fleet(1, 1)];
    world.later(DRAIN);
    assert_eq!(world.pass(), Vec::<String>::new());
    assert!(world.memory.leaving.is_empty());
}

#[test]
fn a_new_generation_replaces_one_by_one_and_the_idle_first() {
    let mut world = World::new(vec![fleet(3, 2)]);
    for slot in ["ml-0-1", "ml-1-1", "ml-2-1"] {
        world.up(slot, 1);
    }
    world.busy("ml-0-1");
    assert_eq!(world.pass(), ["ask ml-1-1 to end: a new generation of the spec"]);
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.replicas[1].state = State::Ended("exit status: 0".to_owned());
    assert_eq!(world.pass(), ["remove ml-1-1"]);
    world.snapshot.replicas.remove(1);
    world.snapshot.members[1].is_gone = true;
    assert_eq!(world.pass(), ["start ml-1-2"]);
    world.up("ml-1-2", 2);
    // Not before the new one has asked for work.
    world.snapshot.members.last_mut().unwrap().has_asked = false;
    let now = world.snapshot.now;
    world.snapshot.replicas.last_mut().unwrap().created = now;
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.members.last_mut().unwrap().has_asked = true;
    assert_eq!(world.pass(), ["ask ml-2-1 to end: a new generation of the spec"]);
}

#[test]
fn a_blueprint_has_to_be_away_for_a_while_before_its_replicas_go() {
    let mut world = World::new(vec![]);
    world.up("ml-0-1", 1);
    assert_eq!(world.pass(), Vec::<String>::new());
    world.later(Duration::from_secs(5));
    world.snapshot.wishes = vec![fleet(1, 1)];
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.wishes.clear();
    assert_eq!(world.pass(), Vec::<String>::new());
    world.later(Duration::from_secs(10));
    assert_eq!(world.pass(), ["ask ml-0-1 to end: its blueprint was removed"]);
}

#[test]
fn a_blueprint_that_was_removed_and_added_again_has_new_replicas() {
    let mut world = World::new(vec![fleet(1, 1)]);
    world.up("ml-0-1", 1);
    world.snapshot.replicas[0].blueprint = "b0".to_owned();
    world.snapshot.members[0].blueprint = "b0".to_owned();
    assert_eq!(world.pass(), ["ask ml-0-1 to end: its blueprint was removed"]);
}

/// What cannot be read says nothing about what runs.
#[test]
fn a_refused_blueprint_leaves_what_runs() {
    let refused = crate::fleet::Refused {
        name: "ml".into(),
        reasons: vec!["x".into()],
        generation: 2,
        status: Map::new(),
    };
    let mut world = World::new(vec![Wish::Refused(refused)]);
    world.up("ml-0-1", 1);
    world.later(DRAIN);
    assert_eq!(world.pass(), Vec::<String>::new());
}

/// It can do nothing more, whatever it runs.
#[test]
fn a_replica_whose_executor_is_gone_is_replaced() {
    let mut world = World::new(vec![fleet(1, 1)]);
    world.up("ml-0-1", 1);
    world.snapshot.members[0].is_gone = true;
    world.busy("ml-0-1");
    assert_eq!(world.pass(), ["ask ml-0-1 to end: its executor is not registered any more"]);
}

#[test]
fn what_ends_soon_is_started_again_after_growing_pauses() {
    let mut world = World::new(vec![fleet(1, 1)]);
    let mut pauses = Vec::new();
    for life in 1..=4 {
        world.up(&format!("ml-0-{life}"), 1);
        world.snapshot.replicas[0].state = State::Ended("exit status: 1".to_owned());
        assert_eq!(world.pass(), [format!("remove ml-0-{life}")]);
        world.snapshot.replicas.clear();
        world.snapshot.members.last_mut().unwrap().is_gone = true;
        let mut seconds = 0;
        while world.pass().is_empty() {
            world.later(Duration::from_secs(1));
            seconds += 1;
        }
        pauses.push(seconds);
    }
    assert_eq!(pauses, [1, 2, 4, 8]);
}

/// A spec that only scales is of a new generation, and what runs is what it wishes for.
#[test]
fn scaling_replaces_nothing_unless_that_is_forced() {
    let mut world = World::new(vec![fleet(1, 1)]);
    world.up("ml-0-1", 1);
    if let Wish::Fleet(fleet) = &mut world.snapshot.wishes[0] {
        (fleet.generation, fleet.replicas) = (2, 2);
    }
    assert_eq!(world.pass(), ["start ml-1-1"]);
    world.up("ml-1-1", 1);
    world.snapshot.replicas[1].generation = 2;
    assert_eq!(world.pass(), Vec::<String>::new());
    world.snapshot.forced.insert(FleetName::parse("ml").unwrap(), 2);
    assert_eq!(world.pass(), ["ask ml-0-1 to end: a new generation of the spec"]);
}
