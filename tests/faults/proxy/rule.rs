//! What is to happen to which request.

use std::{fmt, time::Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::point::Point;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The operator is killed and the request never arrives.
    CrashBefore,
    /// The server does it, and the operator is killed before it hears of that.
    CrashAfter,
    /// The operator is killed, and the request arrives when its successor has looked for it and found nothing.
    DeliverLate,
    /// The server does it, and the connection ends before the answer.
    LoseReply,
    /// The server is asked twice, and the connection ends before the answers.
    DeliverTwice,
    /// It does not arrive, and the answer is this status.
    Refuse(u16),
    /// It does not arrive, and there is no answer for longer than the operator waits.
    Hang,
    /// There is no answer, and it arrives later than the operator waits for anything.
    DeliverAfterAll,
    /// The answer cannot be read.
    GarbleReply,
}

impl Fault {
    /// Whether it shows only once the server has done what it was asked for.
    fn is_of_reply(self) -> bool {
        matches!(self, Self::CrashAfter | Self::LoseReply | Self::DeliverTwice | Self::GarbleReply)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CrashBefore => "kill -9 before",
            Self::CrashAfter => "kill -9 after",
            Self::DeliverLate => "kill -9, arrives late",
            Self::LoseReply => "reply lost",
            Self::DeliverTwice => "arrives twice, replies lost",
            Self::Refuse(status) => return write!(f, "refused with {status}"),
            Self::Hang => "hangs for 11 s",
            Self::DeliverAfterAll => "arrives 26 s late, no reply",
            Self::GarbleReply => "reply unreadable",
        })
    }
}

/// What is to happen at the n-th request of a point.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The point.
    pub point: Point,
    /// Only requests about this object.
    pub subject: Option<String>,
    /// The how manieth request it is, from 1. Requests that the server refuses by itself do not count for faults of the
    /// reply.
    pub nth: usize,
    /// What happens.
    pub fault: Fault,
    /// Whether it happens to all that follow, too.
    pub lasts: bool,
}

impl Rule {
    /// At the next request of a point.
    pub fn next(point: &Point, fault: Fault) -> Self {
        Self { point: point.clone(), subject: None, nth: 1, fault, lasts: false }
    }

    /// Only requests about this object.
    pub fn about(self, subject: &str) -> Self {
        Self { subject: Some(subject.to_owned()), ..self }
    }
}

/// What has happened to a request.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The rule's point.
    pub point: Point,
    /// What was done.
    pub fault: Fault,
    /// The object that the request was about, if that is known.
    pub subject: Option<String>,
    /// When.
    pub at: Instant,
}

/// Rules that wait for their request, and what came of the others.
#[derive(Default)]
pub struct Rules {
    armed: Mutex<Vec<Armed>>,
    hits: Mutex<Vec<Hit>>,
}

struct Armed {
    rule: Rule,
    seen: usize,
    told: Option<oneshot::Sender<()>>,
}

impl Rules {
    /// Puts a rule in force. What is given is told when it is first met, and fails when it is withdrawn before.
    pub fn arm(&self, rule: Rule) -> oneshot::Receiver<()> {
        let (told, hears) = oneshot::channel();
        self.armed().push(Armed { rule, seen: 0, told: Some(told) });
        hears
    }

    /// Withdraws all rules; how many had not been met yet.
    pub fn disarm(&self) -> usize {
        self.armed().drain(..).filter(|armed| armed.told.is_some()).count()
    }

    /// Everything that has happened.
    pub fn hits(&self) -> Vec<Hit> {
        self.hits.lock().clone()
    }

    /// What is to happen to a request that has come.
    pub fn on_request(&self, point: &Point, subject: Option<&str>, now: Instant) -> Option<Fault> {
        self.meet(point, subject, now, false)
    }

    /// What is to happen to the answer of a request that the server has carried out.
    pub fn on_reply(&self, point: &Point, subject: Option<&str>, now: Instant) -> Option<Fault> {
        self.meet(point, subject, now, true)
    }

    fn meet(&self, point: &Point, subject: Option<&str>, now: Instant, is_reply: bool) -> Option<Fault> {
        let mut rules = self.armed();
        let fits = |rule: &Rule| {
            rule.fault.is_of_reply() == is_reply
                && rule.point == *point
                && rule.subject.as_deref().is_none_or(|wanted| Some(wanted) == subject)
        };
        let mut met = None;
        for (index, armed) in rules.iter_mut().enumerate().filter(|(_, armed)| fits(&armed.rule)) {
            armed.seen += 1;
            if met.is_none() && armed.seen >= armed.rule.nth {
                met = Some(index);
            }
        }
        let index = met?;
        let fault = rules[index].rule.fault;
        if let Some(told) = rules[index].told.take() {
            // No test need wait for it.
            let _ = told.send(());
        }
        if !rules[index].rule.lasts {
            rules.remove(index);
        }
        drop(rules);
        let hit = Hit { point: point.clone(), fault, subject: subject.map(str::to_owned), at: now };
        self.hits.lock().push(hit);
        Some(fault)
    }

    fn armed(&self) -> parking_lot::MutexGuard<'_, Vec<Armed>> {
        self.armed.lock()
    }
}

#[cfg(test)]
mod tests {
    use colonyos_operator::runtime::clock::Clock;

    use super::*;

    /// Rules of one point take their turns: each request meets one fault.
    #[test]
    fn each_request_meets_one_rule() {
        let point =
            |purpose: &str| Point { server: "colony", call: "x".to_owned(), purpose: purpose.to_owned() };
        let rules = Rules::default();
        for fault in [Fault::LoseReply, Fault::Refuse(500), Fault::Refuse(503)] {
            drop(rules.arm(Rule::next(&point("a"), fault)));
        }
        drop(rules.arm(Rule::next(&point("b"), Fault::Hang).about("other")));
        let now = Clock::system().instant();
        assert_eq!(rules.on_request(&point("a"), None, now), Some(Fault::Refuse(500)));
        assert_eq!(rules.on_request(&point("a"), None, now), Some(Fault::Refuse(503)));
        assert_eq!(rules.on_request(&point("a"), None, now), None);
        assert_eq!(rules.on_reply(&point("a"), None, now), Some(Fault::LoseReply));
        assert_eq!(rules.on_request(&point("b"), Some("one"), now), None);
        assert_eq!(rules.disarm(), 1);
        assert_eq!(rules.hits().len(), 3);
    }
}
