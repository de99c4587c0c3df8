//! The sweep: every point at which the operator writes is found in a run without faults, and then met by every fault.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs::File,
    io::Write as _,
    panic::{AssertUnwindSafe, resume_unwind},
    path::Path,
    time::{Duration, Instant},
};

use colonyos_operator::runtime::clock::Clock;
use futures::FutureExt as _;
use tokio::sync::oneshot;

use crate::{
    fleet::{Fleet, Manner},
    ledger::{Tally, processes, tally},
    proxy::point::Point,
    report::{self, Befallen},
    stack::Stack,
    stage::Stage,
    support::{
        cluster::connect_alone, colony::OwnColony, environment::variable, namespace::in_namespace,
        wait::eventually,
    },
};

/// Objects of each manner to which nothing is done: what befalls the others must not touch them.
const BYSTANDERS: usize = 4;
/// How long the objects may take to settle. A submit that may or may not have been sent is tried again after a
/// quiet period of 15 s, and a process whose assignment was lost is looked at after 10 s; the rest is
/// for a machine that others share.
pub const SETTLE: Duration = Duration::from_mins(2);
/// How long one attempt to bring the operator to a point may take.
pub const ATTEMPT: Duration = Duration::from_secs(3);
/// Attempts before a point counts as one that cannot be reached.
const ATTEMPTS: usize = 10;
/// Objects of each manner that come to the faults that do not kill, in each phase of their lives.
pub const LOSSES: usize = 4;

/// When in the life of an object, or of a colony, the operator comes to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Connect,
    Create,
    Scale,
    Delete,
}

/// How the operator is brought to a point.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub phase: Phase,
    /// The manner of the objects with which it comes there.
    pub manner: Manner,
}

/// The points of the operator's writes.
pub type Points = BTreeMap<Point, Situation>;

/// The test under way.
pub struct Sweep {
    pub stage: Stage,
    pub fleet: Fleet,
    /// Settled objects that nothing was done to yet.
    pub stock: BTreeMap<Manner, VecDeque<String>>,
    /// Colonies beside the first one.
    pub colonies: Vec<OwnColony>,
    pub clock: Clock,
    pub started: Instant,
    pub file: File,
    /// The servers, if they were started for tests.
    pub stack: Option<Stack>,
    /// How many processes beside the first of their label arrived late, and were cancelled.
    pub late: usize,
    /// What came of faults that befall many objects.
    pub befallen: Vec<Befallen>,
}

/// One intended piece of work is one process, whatever happens at whatever point.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_intended_piece_of_work_is_one_process() {
    let connection = connect_alone().await;
    in_namespace(&connection, "faults", async |namespace| {
        Sweep::new(Stage::new(namespace).await, "faults.txt").run().await;
    })
    .await;
}

impl Sweep {
    /// Nothing was done yet. What is said goes to a file of this name, too.
    pub fn new(stage: Stage, file: &str) -> Self {
        let clock = Clock::system();
        Self {
            fleet: Fleet::new(&stage),
            stock: BTreeMap::new(),
            colonies: Vec::new(),
            started: clock.instant(),
            clock,
            stack: Stack::find(),
            late: 0,
            befallen: Vec::new(),
            file: File::create(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file)).unwrap(),
            stage,
        }
    }

    async fn run(&mut self) {
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
        self.arrive_after_all(&points).await;
        self.take_servers_away().await;
        self.rest().await;
        self.end().await;
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
            self.settle(&format!("{phase:?} has come to its end without a fault"), &BTreeSet::new()).await;
            for (point, count) in journal.since(before) {
                lines.push(vec![format!("{phase:?}"), point.to_string(), count.to_string()]);
                let is_stuck =
                    !journal.has_come(before, &point, "steady") && journal.has_come(before, &point, "stuck");
                let manner = if is_stuck { Manner::Stuck } else { Manner::Steady };
                points.entry(point).or_insert(Situation { phase, manner });
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
            let fits = |situation: &&Situation| {
                situation.manner == manner && matches!(situation.phase, Phase::Scale | Phase::Delete)
            };
            2 * points.values().filter(fits).count() + 2 * LOSSES + BYSTANDERS
        };
        let (steady, stuck) = (count(Manner::Steady), count(Manner::Stuck));
        for name in self.fleet.create_batch(steady, stuck).await {
            let manner = if name.starts_with("steady") { Manner::Steady } else { Manner::Stuck };
            self.stock.entry(manner).or_default().push_back(name);
        }
        self.settle("the stock is laid in", &BTreeSet::new()).await;
        self.say(&format!("{} objects in stock", steady + stuck));
    }

    /// Brings the operator to the points of a phase; with the same object as `before` when that is scaled.
    pub async fn provoke(&mut self, situation: Situation, before: Option<String>) -> Option<String> {
        match situation.phase {
            Phase::Connect => self.colonies.push(self.stage.another_colony().await),
            Phase::Create => drop(self.fleet.create_batch(2, 1).await),
            Phase::Scale => {
                let name = match before {
                    Some(name) => name,
                    None => self.take(situation.manner).await,
                };
                self.fleet.scale(&name).await;
                return Some(name);
            }
            Phase::Delete => {
                let name = self.take(situation.manner).await;
                self.fleet.delete(&name).await;
            }
        }
        None
    }

    /// A settled object.
    pub async fn take(&mut self, manner: Manner) -> String {
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
    pub async fn until_met(&mut self, situation: Situation, mut met: oneshot::Receiver<()>) -> bool {
        let mut name: Option<String> = None;
        for _ in 0..ATTEMPTS {
            // The same object again: an Event that repeats itself is another write than a new one.
            if let Some(name) = &name {
                tokio::select! {
                    _ = &mut met => return true,
                    () = self.fleet.until_settled(name, SETTLE) => {}
                }
            }
            name = self.provoke(situation, name).await;
            if tokio::time::timeout(ATTEMPT, &mut met).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Waits until all objects but `waived` are as they were asked for. Then, and also when they never are, no generation
    /// may have two processes.
    pub async fn settle(&self, what: &str, waived: &BTreeSet<String>) {
        let settled = AssertUnwindSafe(self.fleet.settle(what, SETTLE, waived)).catch_unwind().await;
        let asked = self.fleet.asked();
        let rows = processes(&self.stage, self.stack.as_ref(), &asked).await;
        let Tally { missing, left, orphans, .. } = tally(&asked, &rows, |name| !waived.contains(name));
        if let Err(panic) = settled {
            self.say(&format!("left are {left:#?}, orphans are {orphans:#?}, {} are missing", missing.len()));
            resume_unwind(panic);
        }
        let none = Vec::<String>::new();
        assert_eq!(
            (&missing, &left, &orphans),
            (&none, &none, &none),
            "missing, left and orphans when {what}"
        );
    }

    pub fn say(&self, what: &str) {
        self.show(&format!("{:6.1} s  {what}", (self.clock.instant() - self.started).as_secs_f64()));
    }

    /// Tells a person, also when the test passes and what it prints is kept from them.
    pub fn show(&self, text: &str) {
        println!("{text}");
        writeln!(&self.file, "{text}").unwrap();
    }
}
