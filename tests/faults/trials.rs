//! What the operator is put through, and what must be true of it after that.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    fleet::Manner,
    ledger::{Tally, executors_left, processes, secrets_left, tally},
    proxy::{
        point::Point,
        rule::{Fault, Rule},
    },
    report::{self, Befallen},
    support::wait::eventually,
    sweep::{ATTEMPT, LOSSES, Phase, Points, SETTLE, Situation, Sweep},
};

/// For how long nothing may be written when all is as it should be.
const REST: Duration = Duration::from_secs(10);
/// What refuses, in turn.
const REFUSALS: [Fault; 4] = [Fault::Refuse(500), Fault::Refuse(503), Fault::Refuse(409), Fault::Refuse(429)];

impl Sweep {
    /// Faults that leave the operator alive, at all points at the same time.
    pub async fn refuse_and_lose(&mut self, points: &Points) {
        let mut lost = Vec::new();
        for (point, situation) in points {
            for fault in REFUSALS {
                drop(self.stage.proxy.rules().arm(Rule::next(point, fault)));
            }
            lost.push((point, *situation, self.stage.proxy.rules().arm(Rule::next(point, Fault::LoseReply))));
        }
        for phase in [Phase::Connect, Phase::Create, Phase::Scale, Phase::Delete] {
            for _ in 0..LOSSES {
                for manner in [Manner::Steady, Manner::Stuck] {
                    self.provoke(Situation { phase, manner }, None).await;
                }
            }
        }
        for (point, situation, mut met) in lost {
            let is_met =
                tokio::time::timeout(ATTEMPT, &mut met).await.is_ok() || self.until_met(situation, met).await;
            assert!(is_met, "no reply was lost at {point}");
        }
        let unmet = self.stage.proxy.rules().disarm();
        self.leave_other_colonies().await;
        self.say(&format!("replies were lost and calls refused; {unmet} refusals found no request"));
    }

    /// Killed before and after every write.
    pub async fn crash(&mut self, points: &Points) {
        let mut in_order: Vec<_> = points.iter().collect();
        in_order.sort_by_key(|(_, situation)| situation.phase);
        for (point, situation) in in_order {
            if situation.phase != Phase::Connect {
                self.leave_other_colonies().await;
            }
            for fault in [Fault::CrashBefore, Fault::CrashAfter] {
                let met = self.stage.proxy.rules().arm(Rule::next(point, fault));
                assert!(self.until_met(*situation, met).await, "the operator was not killed at {point}");
                self.stage.restart().await;
            }
            self.say(&format!("killed {:2} times, now at {point}", self.stage.starts - 1));
        }
    }

    /// What a network does to the one call that must not be made twice, and what must not be taken for an answer.
    pub async fn deliver_late_twice_and_unreadably(&mut self, points: &Points) {
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
        assert!(self.until_met(Situation { phase: Phase::Create, manner: Manner::Steady }, late).await);
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
            if tokio::time::timeout(SETTLE, met).await.is_err() {
                self.settle("a fault that was not reached is not needed", &BTreeSet::from([unread.clone()]))
                    .await;
                panic!("the operator does not cancel a duplicate, or does not look for what it lost");
            }
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
        self.settle("all that can be read has settled", &waived).await;
        proxy.rules().disarm();
        self.fleet.touch(&unread).await;
        self.settle("all have settled after the faults", &BTreeSet::new()).await;
        self.say("settled");
    }

    /// Submits that arrive later than the operator waits, one of them when its object is gone, and a database in which what is written
    /// waits and what is read does not.
    pub async fn arrive_after_all(&mut self, points: &Points) {
        let submit = points
            .keys()
            .find(|point| point.call == "submitfuncspecmsg" && point.purpose == "first generation")
            .expect("the operator submits processes");
        let first = self.count().await;
        let next = self.fleet.asked().len();
        let name = |offset: usize| format!("steady-{:03}", next + offset);
        let (stays, goes) = (name(0), name(1));
        let late =
            |name: &str| self.stage.proxy.rules().arm(Rule::next(submit, Fault::DeliverAfterAll).about(name));
        let met = [late(&stays), late(&goes)];
        self.fleet.create_batch(2, 0).await;
        for met in met {
            tokio::time::timeout(SETTLE, met).await.expect("it is submitted").expect("the rule is in force");
        }
        self.fleet.delete(&goes).await;
        eventually("both have arrived", SETTLE, async || {
            let asked = self.fleet.asked();
            let rows = processes(&self.stage, self.stack.as_ref(), &asked).await;
            let count = |name: &str| rows.iter().filter(|row| row.label.contains(&asked[name].uid)).count();
            let counts = (count(&stays), count(&goes));
            (counts.0 >= 2 && counts.1 >= 1).then_some(()).ok_or_else(|| format!("{counts:?}"))
        })
        .await;
        self.until_collapsed("what arrived late is cancelled").await;
        self.note("a submit arrives 26 s late", first.clone()).await;

        let before = self.count().await;
        match &self.stack {
            Some(stack) => {
                let create = async {
                    stack.until_locked().await;
                    self.fleet.create_batch(3, 1).await;
                };
                tokio::join!(stack.lock_processes(20), create);
            }
            None => self.say("SKIPPED: the table is not locked, for the servers' database is not accessible"),
        }
        self.until_collapsed("what waited for the table is cancelled").await;
        self.note("the server's table is locked for 20 s", before).await;
        self.late = self.count().await.collapsed - first.collapsed;
        self.say(&format!("arrived after all: {} collapsed", self.late));
    }

    pub async fn count(&self) -> Tally {
        let asked = self.fleet.asked();
        tally(&asked, &processes(&self.stage, self.stack.as_ref(), &asked).await, |_| true)
    }

    /// Counts what came of a fault that many objects may have met since `before` was counted: none of them may be gone.
    pub async fn note(&mut self, fault: &str, before: Tally) {
        let gone = self.fleet.deleted_by_mistake().await;
        let objects = self.fleet.asked().values().filter(|asked| !asked.deleted).count();
        let (fault, counted) = (fault.to_owned(), [before, self.count().await]);
        self.befallen.push(Befallen { fault, objects, counted, deleted: gone.len() });
        assert_eq!(gone, Vec::<String>::new(), "deleted by mistake");
    }

    /// Waits until all objects are settled and nothing is there twice or without an object.
    async fn until_collapsed(&self, what: &str) {
        self.fleet.settle(what, SETTLE, &BTreeSet::new()).await;
        eventually(what, SETTLE, async || {
            let Tally { left, orphans, missing, .. } = self.count().await;
            let is_so = left.is_empty() && orphans.is_empty() && missing.is_empty();
            is_so.then_some(()).ok_or_else(|| format!("{left:?} {orphans:?} {missing:?}"))
        })
        .await;
    }

    /// All colonies but the first are connected, whatever happened, and go: the server gives the wake-up for work in one
    /// colony to an executor of the same type in another.
    async fn leave_other_colonies(&mut self) {
        for colony in std::mem::take(&mut self.colonies) {
            colony.wait_until_ready().await;
            colony.remove().await;
        }
    }

    /// Servers that restart in the middle of new generations.
    pub async fn take_servers_away(&mut self) {
        let first = self.count().await;
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
            let is_done = match &self.stack {
                Some(stack) => stack.bounce(component, kill).await,
                None => false,
            };
            self.say(&if is_done {
                format!("{component} was restarted")
            } else {
                format!("SKIPPED: {component} is not restarted, since the servers are existing ones")
            });
        }
        self.settle("all have settled after the restarts", &BTreeSet::new()).await;
        self.note("ColonyOS is killed, PostgreSQL restarts", first).await;
        self.say("settled");
    }

    async fn steady(&self) -> Vec<String> {
        let settled = self.fleet.settled().await.unwrap();
        settled.into_iter().filter(|(_, manner)| *manner == Manner::Steady).map(|(name, _)| name).collect()
    }

    /// Nothing is written when all is as it should be.
    pub async fn rest(&self) {
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
    pub async fn end(&self) {
        let stack = self.stack.as_ref();
        for (name, asked) in self.fleet.asked() {
            if !asked.deleted {
                self.fleet.delete(&name).await;
            }
        }
        self.settle("all are gone", &BTreeSet::new()).await;
        let asked = self.fleet.asked();
        let rows = processes(&self.stage, stack, &asked).await;
        let hits = self.stage.proxy.rules().hits();
        let journal = self.stage.proxy.journal();
        self.show(&format!("\n{}", report::of_hits(&hits, journal, &asked, &rows)));
        self.show(&format!("\n{}", report::of_befallen(&self.befallen)));
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
        assert_eq!(
            collapsed,
            twice + self.late,
            "only what the network doubled, or delivered after all, is ever there twice"
        );
        assert_eq!(on_server, intended + collapsed);
        assert_eq!((executors, secrets), (none.clone(), none), "executors and Secrets that are left");
    }
}
