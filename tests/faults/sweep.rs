//! The sweep: every point at which the operator writes is found in a run without faults, and then met by every fault.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use colonyos_operator::runtime::clock::Clock;
use tokio::sync::oneshot;

use crate::{
    fleet::{Fleet, Manner},
    ledger::{Tally, executors_left, processes, secrets_left, tally},
    proxy::{
        point::Point,
        rule::{Fault, Rule},
    },
    report,
    stack::Stack,
    stage::Stage,
    support::{
        cluster::connect_alone, colony::OwnColony, environment::variable, namespace::in_namespace,
        wait::eventually,
    },
};

/// How long the objects may take to settle. A submit of which nobody knows whether it was sent is tried again after a
/// quiet period of 15 s, and a process that was assigned to nobody who hears of it is looked at after 10 s.
const SETTLE: Duration = Duration::from_mins(1);
/// How long one attempt to bring the operator to a point may take.
const ATTEMPT: Duration = Duration::from_secs(3);
/// Attempts before a point counts as one that cannot be reached.
const ATTEMPTS: usize = 10;
/// For how long nothing may be written when all is as it should be.
const REST: Duration = Duration::from_secs(10);
/// Objects of each manner that come to the faults that do not kill, in each phase of their lives.
const LOSSES: usize = 4;
/// What refuses, in turn.
const REFUSALS: [Fault; 4] = [Fault::Refuse(500), Fault::Refuse(503), Fault::Refuse(409), Fault::Refuse(429)];

/// When in the life of an object, or of a colony, the operator comes to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Connect,
    Create,
    Scale,
    Delete,
}

/// How the operator is brought to a point.
#[derive(Clone, Copy, Debug)]
struct Way {
    phase: Phase,
    /// The manner of the objects with which it comes there.
    manner: Manner,
}

/// The points of the operator's writes.
type Points = BTreeMap<Point, Way>;

/// The test under way.
struct Sweep {
    stage: Stage,
    fleet: Fleet,
    /// Settled objects that nothing was done to yet.
    stock: BTreeMap<Manner, VecDeque<String>>,
    /// Colonies beside the first one.
    colonies: Vec<OwnColony>,
    clock: Clock,
    started: Instant,
    file: File,
}

/// One intended piece of work is one process, whatever happens at whatever point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_intended_piece_of_work_is_one_process() {
    let connection = connect_alone().await;
    in_namespace(&connection, "faults", async |namespace| {
        let stage = Stage::new(namespace).await;
        let clock = Clock::system();
        let mut sweep = Sweep {
            fleet: Fleet::new(&stage),
            stock: BTreeMap::new(),
            colonies: Vec::new(),
            started: clock.instant(),
            clock,
            file: File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults.txt")).unwrap(),
            stage,
        };
        sweep.run().await;
    })
    .await;
}

impl Sweep {
    async fn run(&mut self) {
        let stack = Stack::find();
        let points = self.learn().await;
        let mut chosen = points.clone();
        if let Some(text) = variable("FAULTS_AT") {
            chosen.retain(|point, _| point.to_string().contains(&text));
        }
        self.say(&format!("{} write points, of which {} are chosen", points.len(), chosen.len()));
        self.lay_in_stock(&chosen).await;
        self.refuse_and_lose(&chosen).await;
        self.crash(&chosen).await;
        self.deliver_late_twice_and_unreadably(&points).await;
        self.take_servers_away(stack.as_ref()).await;
        self.rest().await;
        self.end(stack.as_ref()).await;
    }

    /// The whole life of some objects, without a fault: the points that the operator comes to, and when.
    async fn learn(&self) -> Points {
        let journal = self.stage.proxy.journal();
        let (mut points, mut lines, mut before) = (BTreeMap::new(), Vec::new(), 0);
        let mut names = Vec::new();
        for phase in [Phase::Connect, Phase::Create, Phase::Scale, Phase::Delete] {
            match phase {
                Phase::Connect => {}
                Phase::Create => names = self.fleet.create_batch(6, 4).await,
                Phase::Scale => self.fleet.scale_all(&names).await,
                Phase::Delete => self.fleet.delete_all(&names).await,
            }
            self.fleet.settle(&format!("{phase:?} without a fault"), SETTLE, &BTreeSet::new()).await;
            for (point, count) in journal.since(before) {
                lines.push(vec![format!("{phase:?}"), point.to_string(), count.to_string()]);
                let is_stuck =
                    !journal.has_come(before, &point, "steady") && journal.has_come(before, &point, "stuck");
                let manner = if is_stuck { Manner::Stuck } else { Manner::Steady };
                points.entry(point).or_insert(Way { phase, manner });
            }
            before = journal.count();
        }
        self.show(&format!(
            "\nwithout a fault, 10 objects\n\n{}",
            report::table(&["phase", "point", "writes"], &lines)
        ));
        points
    }

    /// Settled objects for whatever is to happen to such.
    async fn lay_in_stock(&mut self, points: &Points) {
        // Each point is met by two crashes, and all together by what does not kill.
        let count = |manner| {
            let fits = |way: &&Way| way.manner == manner && matches!(way.phase, Phase::Scale | Phase::Delete);
            2 * points.values().filter(fits).count() + 2 * LOSSES
        };
        let (steady, stuck) = (count(Manner::Steady), count(Manner::Stuck));
        for name in self.fleet.create_batch(steady, stuck).await {
            let manner = if name.starts_with("steady") { Manner::Steady } else { Manner::Stuck };
            self.stock.entry(manner).or_default().push_back(name);
        }
        self.fleet.settle("the stock is laid in", SETTLE, &BTreeSet::new()).await;
        self.say(&format!("{} objects in stock", steady + stuck));
    }

    /// Brings the operator to the points of a phase; with the same object as `before` when that is scaled.
    async fn provoke(&mut self, way: Way, before: Option<String>) -> Option<String> {
        match way.phase {
            Phase::Connect => self.colonies.push(self.stage.another_colony().await),
            Phase::Create => drop(self.fleet.create_batch(2, 1).await),
            Phase::Scale => {
                let name = match before {
                    Some(name) => name,
                    None => self.take(way.manner).await,
                };
                self.fleet.scale(&name).await;
                return Some(name);
            }
            Phase::Delete => {
                let name = self.take(way.manner).await;
                self.fleet.delete(&name).await;
            }
        }
        None
    }

    /// A settled object.
    async fn take(&mut self, manner: Manner) -> String {
        if let Some(name) = self.stock.entry(manner).or_default().pop_front() {
            return name;
        }
        let fleet = &self.fleet;
        eventually("there is a settled object", SETTLE, async || {
            let settled = fleet.settled().await?;
            let found = settled.into_iter().find(|(_, other)| *other == manner);
            found.map(|(name, _)| name).ok_or_else(|| format!("none is {manner:?}"))
        })
        .await
    }

    /// Brings the operator to a point again and again until a rule is met; whether it was.
    async fn until_met(&mut self, way: Way, mut met: oneshot::Receiver<()>) -> bool {
        let mut name: Option<String> = None;
        for _ in 0..ATTEMPTS {
            // The same object again: an Event that repeats itself is another write than a new one.
            if let Some(name) = &name {
                tokio::select! {
                    _ = &mut met => return true,
                    () = self.fleet.until_settled(name, SETTLE) => {}
                }
            }
            name = self.provoke(way, name).await;
            if tokio::time::timeout(ATTEMPT, &mut met).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Faults that leave the operator alive, at all points at the same time.
    async fn refuse_and_lose(&mut self, points: &Points) {
        let mut lost = Vec::new();
        for (point, way) in points {
            for fault in REFUSALS {
                drop(self.stage.proxy.rules().arm(Rule::next(point, fault)));
            }
            lost.push((point, *way, self.stage.proxy.rules().arm(Rule::next(point, Fault::LoseReply))));
        }
        for phase in [Phase::Connect, Phase::Create, Phase::Scale, Phase::Delete] {
            for _ in 0..LOSSES {
                for manner in [Manner::Steady, Manner::Stuck] {
                    self.provoke(Way { phase, manner }, None).await;
                }
            }
        }
        for (point, way, mut met) in lost {
            let is_met =
                tokio::time::timeout(ATTEMPT, &mut met).await.is_ok() || self.until_met(way, met).await;
            assert!(is_met, "no reply was lost at {point}");
        }
        let unmet = self.stage.proxy.rules().disarm();
        self.leave_other_colonies().await;
        self.say(&format!("replies were lost and calls refused; {unmet} refusals found no request"));
    }

    /// Killed before and after every write.
    async fn crash(&mut self, points: &Points) {
        let mut in_order: Vec<_> = points.iter().collect();
        in_order.sort_by_key(|(_, way)| way.phase);
        for (point, way) in in_order {
            if way.phase != Phase::Connect {
                self.leave_other_colonies().await;
            }
            for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                let met = self.stage.proxy.rules().arm(Rule::next(point, fault));
                assert!(self.until_met(*way, met).await, "the operator was not killed at {point}");
                self.stage.restart().await;
            }
        }
        self.say(&format!("killed {} times", self.stage.starts - 1));
    }

    /// What a network does to the one call that must not be made twice, and what must not be taken for an answer.
    async fn deliver_late_twice_and_unreadably(&mut self, points: &Points) {
        let point = |call: &str, purpose: &str| {
            let found = points.keys().find(|point| point.call == call && point.purpose == purpose);
            found.unwrap_or_else(|| panic!("there is no point {call} ({purpose})")).clone()
        };
        let submit = point("submitfuncspecmsg", "first generation");
        let cancel = point("cancelprocessmsg", "");
        let create_workload = point("POST deployments", "");
        let look_up =
            Point { purpose: "by label".to_owned(), call: "getprocessesmsg".to_owned(), ..submit.clone() };

        let late = self.stage.proxy.rules().arm(Rule::next(&submit, Fault::DeliverLate));
        assert!(self.until_met(Way { phase: Phase::Create, manner: Manner::Steady }, late).await);
        self.stage.restart().await;

        let rules = |sweep: &Self, list: Vec<Rule>| -> Vec<_> {
            list.into_iter().map(|rule| sweep.stage.proxy.rules().arm(rule)).collect()
        };
        // Names are given in their order, so that rules can be there before the objects.
        let next = self.fleet.asked().len();
        let name = |offset: usize| format!("steady-{:03}", next + offset);
        let (twice, twice_refused, unread, refused, hung) = (name(0), name(1), name(2), name(3), name(4));
        let mut met = rules(
            self,
            vec![
                Rule::next(&submit, Fault::DeliverTwice).about(&twice),
                Rule::next(&submit, Fault::DeliverTwice).about(&twice_refused),
                Rule::next(&cancel, Fault::Refuse(503)).about(&twice_refused),
                Rule::next(&submit, Fault::LoseReply).about(&unread),
                Rule { lasts: true, ..Rule::next(&look_up, Fault::GarbleReply).about(&unread) },
                Rule::next(&submit, Fault::Refuse(500)).about(&refused),
                Rule::next(&create_workload, Fault::Hang).about(&hung),
            ],
        );
        assert_eq!(self.fleet.create_batch(5, 0).await.last(), Some(&hung));
        for met in &mut met {
            tokio::time::timeout(SETTLE, met).await.expect("the fault comes about").unwrap();
        }
        // What was refused is submitted when the quiet period is over; by then the other was looked for as well, and
        // must not have been taken for absent.
        let proxy = &self.stage.proxy;
        let submitted_again = async || {
            let writes = proxy.journal().writes();
            let is_it = |subject: &Option<String>| subject.as_deref() == Some(&refused);
            writes.iter().any(|write| write.point == submit && is_it(&write.subject))
        };
        eventually("what was refused is submitted", SETTLE, async || {
            submitted_again().await.then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        self.fleet.touch(&unread).await;
        let waived = BTreeSet::from([unread.clone()]);
        self.fleet.settle("all that can be read has settled", SETTLE, &waived).await;
        proxy.rules().disarm();
        self.fleet.touch(&unread).await;
        self.fleet.settle("all have settled after the faults", SETTLE, &BTreeSet::new()).await;
        self.say("settled");
    }

    /// All colonies but the first are connected, whatever happened, and go: the server gives the wake-up for work in one
    /// colony to whoever serves the same type in another.
    async fn leave_other_colonies(&mut self) {
        for colony in std::mem::take(&mut self.colonies) {
            colony.wait_until_ready().await;
            colony.remove().await;
        }
    }

    /// Servers that restart in the middle of new generations.
    async fn take_servers_away(&mut self, stack: Option<&Stack>) {
        for (component, kill) in [("colonyos", true), ("postgresql", false)] {
            let steady: Vec<String> = self.steady().await.into_iter().take(20).collect();
            let before = self.stage.proxy.journal().count();
            self.fleet.scale_all(&steady).await;
            self.fleet.create_batch(15, 5).await;
            let journal = self.stage.proxy.journal();
            eventually("new generations are submitted", SETTLE, async || {
                let submitted = journal
                    .since(before)
                    .into_iter()
                    .any(|(point, count)| point.call == "submitfuncspecmsg" && count > 4);
                submitted.then_some(()).ok_or_else(|| "not yet".to_owned())
            })
            .await;
            let is_done = match stack {
                Some(stack) => stack.bounce(component, kill).await,
                None => false,
            };
            self.say(&if is_done {
                format!("{component} was restarted")
            } else {
                format!("SKIPPED: {component} is not restarted, for the servers are somebody's own")
            });
        }
        self.fleet.settle("all have settled after the restarts", SETTLE, &BTreeSet::new()).await;
        self.say("settled");
    }

    async fn steady(&self) -> Vec<String> {
        let settled = self.fleet.settled().await.unwrap();
        settled.into_iter().filter(|(_, manner)| *manner == Manner::Steady).map(|(name, _)| name).collect()
    }

    /// Nothing is written when all is as it should be.
    async fn rest(&self) {
        let journal = self.stage.proxy.journal();
        eventually("nothing is written for ten seconds", Duration::from_secs(45), async || {
            let before = journal.count();
            tokio::time::sleep(REST).await;
            let written = journal.since(before);
            if written.is_empty() { Ok(()) } else { Err(format!("{written:?}")) }
        })
        .await;
        self.say("at rest");
    }

    /// Deletes everything, and draws the line.
    async fn end(&self, stack: Option<&Stack>) {
        for (name, asked) in self.fleet.asked() {
            if !asked.deleted {
                self.fleet.delete(&name).await;
            }
        }
        self.fleet.settle("all are gone", SETTLE, &BTreeSet::new()).await;
        let asked = self.fleet.asked();
        let rows = processes(&self.stage, stack, &asked).await;
        let hits = self.stage.proxy.rules().hits();
        let journal = self.stage.proxy.journal();
        self.show(&format!("\n{}", report::of_hits(&hits, journal, &asked, &rows)));
        let all = tally(&asked, &rows, |_| true);
        let twice = hits.iter().filter(|hit| hit.fault == Fault::DeliverTwice).count();
        let (executors, secrets) =
            (executors_left(&self.stage, stack).await, secrets_left(&self.stage).await);
        let Tally { intended, on_server, collapsed, .. } = all;
        self.say(&format!(
            "{} objects, {} operators, {} faults; {intended} processes intended, {on_server} on the server, \
             {collapsed} duplicates collapsed, {} left, {} orphans, {} generations without a process",
            asked.len(),
            self.stage.starts,
            hits.len(),
            all.left.len(),
            all.orphans.len(),
            all.missing.len(),
        ));
        let none = Vec::<String>::new();
        assert_eq!((&all.missing, &all.left, &all.orphans), (&none, &none, &none), "missing, left, orphans");
        assert_eq!(collapsed, twice, "only what the network doubled is ever there twice");
        assert_eq!(on_server, intended + collapsed);
        assert_eq!((executors, secrets), (none.clone(), none), "executors and Secrets that are left");
    }

    fn say(&self, what: &str) {
        self.show(&format!("{:6.1} s  {what}", (self.clock.instant() - self.started).as_secs_f64()));
    }

    /// Tells a person, also when the test passes and what it prints is kept from them.
    fn show(&self, text: &str) {
        println!("{text}");
        writeln!(&self.file, "{text}").unwrap();
    }
}
