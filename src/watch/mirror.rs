//! Reads the process of an object: by its id when that is known, else by its label.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::Resource;

use super::look_up::{
    ReadError, add_new, labelled, live_labelled, observed, submitted_by_operator, unconfirmed,
};
use crate::{
    api::mirror::{MirrorState, MirrorStatus, Mirrored},
    colony::{Process, ProcessId, ProcessState, Session},
    memory::{
        absences::{Absences, Absent},
        adds::{Added, Adds},
        connections::{Connection, Connections},
        processes::Processes,
        submissions::Submissions,
    },
    runtime::{clock::Clock, lease::Leadership},
    snapshot::{Belonging, ColonyReference, Observed},
};

/// How much longer ago than its intent something may seem to have been submitted: clocks differ.
const MARGIN: SignedDuration = SignedDuration::from_mins(10);
/// How old an intent may be for which something is submitted, unless it is certain that nothing was.
const OLD_INTENT: SignedDuration = SignedDuration::from_hours(24);
/// How long after the begin of a term a pass waits for its colony to be asked for the first time. An unresponsive
/// server must not delay work that does not need it.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// Reads the processes of objects.
#[derive(Clone)]
pub struct ProcessReader {
    /// Processes as they were last read.
    pub processes: Processes,
    /// Submits of this process.
    pub submissions: Submissions,
    /// Executors and blueprints that this process has tried to add.
    pub adds: Adds,
    /// What colonies have reported to be gone.
    pub absences: Absences,
    /// Since when this process leads.
    pub leadership: Leadership,
    /// The time.
    pub clock: Clock,
}

impl ProcessReader {
    /// Whether a colony is about to be asked for the first time: its status holds until then, and a restart changes
    /// nothing.
    #[must_use]
    pub fn awaits_first_read(&self, colony: &ColonyReference, connections: &Connections) -> bool {
        let was_never_sent = colony.resolved().is_some_and(|colony| !connections.was_tried(&colony.name));
        let now = self.clock.instant();
        let begun = self.leadership.term_started();
        was_never_sent && begun.is_some_and(|begun| now.saturating_duration_since(begun) < FIRST_ANSWER)
    }

    /// The processes that matter to what is on record of an object, which are its own. An id in status that is of another's is
    /// taken out of `object`, and its own are looked up.
    pub(super) async fn own<K: Mirrored + Resource>(
        &self,
        object: &mut K,
        belonging: &Belonging,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let is_ending = object.meta().deletion_timestamp.is_some();
        let mut found = self.of(object.mirror(), is_ending, connection).await;
        if belonging.verify(object, &mut found) {
            return found;
        }
        self.of(object.mirror(), is_ending, connection).await
    }

    /// The processes that matter to what is on record, read only while there is something to learn. Of an object that ends,
    /// also what else has its label: a submit that arrived after another was bound.
    pub async fn of(
        &self,
        mirror: Option<&MirrorStatus>,
        is_ending: bool,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        if let Some(over) = mirror.filter(|mirror| is_ending && !mirror.may_live()) {
            return self.left_of(over, connection).await;
        }
        if let Some(lost) = mirror.filter(|mirror| mirror.state == MirrorState::Lost) {
            let id = lost.process_id.as_deref().map(ProcessId::new);
            return Observed::Known(self.found_again(&id.into_iter().collect::<Vec<_>>(), connection).await);
        }
        let (mirror, member) = match self.question(mirror, connection) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        let read = match &mirror.process_id {
            Some(id) if is_ending => {
                self.bound_and_labelled(member, &ProcessId::new(id), &mirror.label).await
            }
            Some(id) => self.process_and_gate(member, &ProcessId::new(id)).await,
            None => labelled(member, &mirror.label, is_ending).await,
        };
        self.none_of_old(mirror, is_ending, observed(read))
    }

    /// That there is nothing of an old intent does not say that nothing was submitted for it: the server may have removed it since.
    fn none_of_old(
        &self,
        mirror: &MirrorStatus,
        is_ending: bool,
        found: Observed<Vec<Process>>,
    ) -> Observed<Vec<Process>> {
        let is_old = self.clock.now().duration_since(mirror.intended_at.0) > OLD_INTENT;
        let is_nothing = found.known().is_some_and(Vec::is_empty);
        if is_ending || !mirror.is_unbound() || !is_old || !is_nothing {
            return found;
        }
        Observed::Unknown(format!(
            "nothing is found of label {}, of which the intent is older than a day: it may have run and been removed since, and is not submitted. If it is to be: kubectl patch --subresource=status --type=merge -p '{{\"status\":{{\"mirror\":null}}}}'",
            mirror.label
        ))
    }

    /// What lives under the label of an object that ends and whose attempt is over, as far as status knows: a submit that arrived
    /// late, or a process that was taken for lost. A colony that does not answer holds up no end.
    async fn left_of(&self, over: &MirrorStatus, connection: Option<&Connection>) -> Observed<Vec<Process>> {
        let Ok(member) = member(connection) else { return Observed::Known(Vec::new()) };
        let mut live = live_labelled(member, &over.label).await.unwrap_or_default();
        if over.state == MirrorState::Lost
            && let Some(id) = &over.process_id
            && live.iter().all(|process| process.id.as_str() != id)
        {
            // One that was adopted has another label.
            live.extend(self.found_again(&[ProcessId::new(id)], connection).await);
        }
        Observed::Known(live)
    }

    /// Those of what was lost that the colony has again. That it still has none is no news.
    async fn found_again(&self, ids: &[ProcessId], connection: Option<&Connection>) -> Vec<Process> {
        let Ok(member) = member(connection) else { return Vec::new() };
        let mut found = Vec::new();
        for id in ids {
            let asked_at = self.clock.instant();
            if let Ok(process) = member.process(id).await.or_else(|error| error.into_known(id)) {
                self.absences.present(&Absent::Work(id.to_string()));
                self.processes.read(member.id(), &process, asked_at);
                found.push(process);
            }
        }
        found
    }

    /// The bound process first, then what else lives under its label.
    async fn bound_and_labelled(
        &self,
        member: &Session,
        id: &ProcessId,
        label: &str,
    ) -> Result<Vec<Process>, ReadError> {
        let mut found = self.process_and_gate(member, id).await?;
        add_new(&mut found, live_labelled(member, label).await?);
        Ok(found)
    }

    /// As [`ProcessReader::of`], for an object with a workflow: while that is not known, everything that has its
    /// label, the oldest first; else those of its processes that are `live`, or were lost with it.
    pub async fn of_workflow(
        &self,
        mirror: Option<&MirrorStatus>,
        live: &[ProcessId],
        is_ending: bool,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        if let Some(over) = mirror.filter(|mirror| is_ending && !mirror.may_live()) {
            return self.left_of(over, connection).await;
        }
        if mirror.is_some_and(|mirror| mirror.state == MirrorState::Lost) {
            return Observed::Known(self.found_again(live, connection).await);
        }
        let (mirror, member) = match self.question(mirror, connection) {
            Ok(question) => question,
            Err(answer) => return answer,
        };
        let found = observed(if mirror.process_id.is_some() {
            self.nodes(member, live).await
        } else {
            self.labelled(member, mirror, is_ending).await
        });
        self.none_of_old(mirror, is_ending, found)
    }

    /// The process of this id, and while it waits behind one, its gate; none if the colony reports that there is
    /// none.
    pub async fn find_process(&self, id: &str, connection: Option<&Connection>) -> Observed<Vec<Process>> {
        match member(connection) {
            Ok(member) => observed(self.process_and_gate(member, &ProcessId::new(id)).await),
            Err(why) => Observed::Unknown(why),
        }
    }

    /// All processes of the workflow of this id; none if the colony reports that there is none.
    pub async fn find_workflow(&self, id: &str, connection: Option<&Connection>) -> Observed<Vec<Process>> {
        let member = match member(connection) {
            Ok(member) => member,
            Err(why) => return Observed::Unknown(why),
        };
        let (absent, now) = (Absent::Work(id.to_owned()), self.clock.instant());
        let graph = match member.process_graph(id).await {
            Ok(graph) => graph,
            Err(error) if error.is_not_found() => {
                let is_believed = self.absences.seen(absent, now);
                return if is_believed {
                    Observed::Known(Vec::new())
                } else {
                    Observed::Unknown(unconfirmed(id))
                };
            }
            Err(error) => return Observed::Unknown(error.to_string()),
        };
        self.absences.present(&absent);
        match self.each(member, &graph.processes).await {
            // A workflow that is there is not none, whatever is left of it.
            Ok(found) if found.len() < graph.processes.len() || found.is_empty() => {
                Observed::Unknown(format!("the server has only a part of workflow {id}"))
            }
            found => observed(found),
        }
    }

    /// What there is to ask, and as whom; else the answer.
    fn question<'a>(
        &self,
        mirror: Option<&'a MirrorStatus>,
        connection: Option<&'a Connection>,
    ) -> Result<(&'a MirrorStatus, &'a Session), Observed<Vec<Process>>> {
        let Some(mirror) = mirror else { return Err(Observed::Known(Vec::new())) };
        let untried = self
            .leadership
            .alone_since()
            .is_some_and(|since| self.submissions.was_never_sent(&mirror.label, since.monotonic));
        if (mirror.state == MirrorState::Intended && untried)
            || (mirror.state != MirrorState::Intended && !mirror.state.is_live())
        {
            return Err(Observed::Known(Vec::new()));
        }
        member(connection).map(|member| (mirror, member)).map_err(Observed::Unknown)
    }

    /// All processes of the label of a workflow that is not bound yet. They are remembered: the next pass needs them.
    async fn labelled(
        &self,
        member: &Session,
        mirror: &MirrorStatus,
        is_ending: bool,
    ) -> Result<Vec<Process>, ReadError> {
        let asked_at = self.clock.instant();
        let age = self.clock.now().duration_since(mirror.intended_at.0).saturating_add(MARGIN);
        let seconds = u32::try_from(age.as_secs()).unwrap_or_default();
        let found = member.nodes_labelled(&mirror.label, seconds).await?;
        let found = submitted_by_operator(member, &mirror.label, found, is_ending)?;
        for process in &found {
            self.processes.read(member.id(), process, asked_at);
        }
        Ok(found)
    }

    /// Processes of one workflow. A failure or cancel of one ends others too, and the end of one releases others, without
    /// notifications.
    async fn nodes(&self, member: &Session, live: &[ProcessId]) -> Result<Vec<Process>, ReadError> {
        let begun = self.clock.instant();
        let found = self.each(member, live).await?;
        let takes_others =
            |process: &Process| matches!(process.state, ProcessState::Failed | ProcessState::Cancelled);
        let is_open = |id: &ProcessId| found.iter().any(|one| one.id == *id && !one.state.is_final());
        let is_old = |process: &Process| {
            let seen = self.processes.last_seen(member.id(), &process.id);
            seen.is_none_or(|seen| seen.asked_at < begun)
        };
        // The server releases a node after its last parent has ended, also without a notification.
        let is_unreleased =
            |process: &Process| process.waits_for_parents && !process.parents.iter().any(is_open);
        let doubtful: Vec<&Process> = if found.iter().any(takes_others) {
            found.iter().filter(|process| !takes_others(process)).collect()
        } else {
            found.iter().filter(|process| is_unreleased(process) && is_old(process)).collect()
        };
        if doubtful.is_empty() {
            return Ok(found);
        }
        for process in doubtful {
            self.processes.invalidate(&process.id, self.clock.instant());
        }
        self.each(member, live).await
    }

    async fn each(&self, member: &Session, ids: &[ProcessId]) -> Result<Vec<Process>, ReadError> {
        let (mut found, mut unconfirmed) = (Vec::new(), None);
        for id in ids {
            match self.process(member, id).await {
                Ok(process) => found.extend(process),
                // The others are asked for all the same: each absence is confirmed at its own time.
                Err(error @ ReadError::Unconfirmed(_)) => unconfirmed = Some(error),
                Err(error) => return Err(error),
            }
        }
        unconfirmed.map_or(Ok(found), Err)
    }

    /// A process by its id and, while it waits behind one, its gate.
    async fn process_and_gate(&self, member: &Session, id: &ProcessId) -> Result<Vec<Process>, ReadError> {
        let mut found = self.process(member, id).await?;
        let gate = found.first().filter(|process| process.waits_for_parents);
        if let Some(gate) = gate.and_then(|process| process.parents.first().cloned()) {
            found.extend(self.process(member, &gate).await?);
        }
        Ok(found)
    }

    /// A process by its id: as it was last read, unless there is reason to ask again. None when there is no such process.
    async fn process(&self, member: &Session, id: &ProcessId) -> Result<Vec<Process>, ReadError> {
        let asked_at = self.clock.instant();
        if let Some(process) = self.processes.fresh(member.id(), id, asked_at) {
            return Ok(vec![process]);
        }
        let (absent, now) = (Absent::Work(id.to_string()), self.clock.instant());
        match member.process(id).await.or_else(|error| error.into_known(id)) {
            Ok(process) => {
                self.absences.present(&absent);
                self.processes.read(member.id(), &process, asked_at);
                Ok(vec![process])
            }
            Err(error) if error.is_not_found() => {
                self.processes.forget(id);
                if !self.absences.seen(absent, now) {
                    return Err(ReadError::Unconfirmed(id.clone()));
                }
                // A server that has lost its memory answers this before it looks who asks.
                match member.executors().await {
                    Ok(_) => Ok(Vec::new()),
                    Err(error) if error.is_forbidden() => Err(ReadError::Unconfirmed(id.clone())),
                    Err(error) => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Before when nothing may be submitted for an intent.
    #[must_use]
    pub fn submit_not_before(&self, mirror: Option<&MirrorStatus>) -> Option<Timestamp> {
        let mirror = mirror.filter(|mirror| mirror.state == MirrorState::Intended)?;
        let since = self.leadership.alone_since()?.monotonic;
        let until = self.submissions.not_before(&mirror.label, since, self.clock.instant())?;
        Some(self.clock.moment().wall_of(until))
    }

    /// Until when an add of an executor or a blueprint may still arrive in the colony of an object.
    #[must_use]
    pub fn in_flight_until(
        &self,
        colony: &ColonyReference,
        added: impl FnOnce(String) -> Added,
    ) -> Option<Timestamp> {
        let colony = colony.resolved()?.name.clone();
        self.arrives_until(&added(colony))
    }

    /// Until when something that was added may still arrive.
    #[must_use]
    pub fn arrives_until(&self, added: &Added) -> Option<Timestamp> {
        let until = self.adds.in_flight_until(added, self.leadership.alone_since()?.monotonic)?;
        Some(self.clock.moment().wall_of(until))
    }
}

/// As whom a colony is asked; else why it cannot be.
pub(super) fn member(connection: Option<&Connection>) -> Result<&Session, String> {
    let connection = connection.ok_or_else(|| "not connected".to_owned())?;
    match &connection.problem {
        Some(problem) => Err(problem.clone()),
        None => Ok(&connection.member),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::namespace::ColonyTrust,
        colony::{
            Client, PrivateKey, Timeouts,
            transport::{Answer, Envelope, Sending, Transport},
        },
        snapshot::{ColonyAccess, ResolvedColony},
    };

    fn reader(clock: &Clock) -> ProcessReader {
        ProcessReader {
            processes: Processes::new(FIRST_ANSWER),
            submissions: Submissions::default(),
            adds: Adds::default(),
            absences: Absences::default(),
            leadership: Leadership::always(clock),
            clock: clock.clone(),
        }
    }

    /// A server with a node that waits for another, which has ended. It counts how often it is asked for it.
    struct Releases {
        waits: AtomicBool,
        asked: AtomicUsize,
    }

    impl Transport for Releases {
        fn send<'a>(&'a self, envelope: Envelope<'a>) -> Sending<'a> {
            let inner: Value = serde_json::from_slice(&STANDARD.decode(envelope.payload()).unwrap()).unwrap();
            let is_child = inner["processid"] == "b".repeat(64);
            self.asked.fetch_add(usize::from(is_child), Ordering::SeqCst);
            let process = json!({
                "processid": inner["processid"], "state": if is_child { 0 } else { 2 }, "processgraphid": "g",
                "waitforparents": is_child && self.waits.load(Ordering::SeqCst),
                "parents": if is_child { vec!["a".repeat(64)] } else { Vec::new() },
                "spec": {}, "submissiontime": "2026-03-01T12:00:00Z", "starttime": "2026-03-01T12:00:00Z",
                "endtime": "2026-03-01T12:00:00Z",
            });
            let reply = json!({ "payloadtype": "x", "payload": STANDARD.encode(process.to_string()), "error": false });
            Box::pin(async move { Ok(Answer { status: 200, body: reply.to_string().into_bytes() }) })
        }
    }

    /// No notification and, where it is too large, no list tells that a node no longer waits for others.
    #[tokio::test]
    async fn a_node_is_asked_for_again_once_nothing_is_left_that_it_waits_for() {
        let server = Arc::new(Releases { waits: AtomicBool::new(true), asked: AtomicUsize::new(0) });
        let client = Client::over(server.clone(), Timeouts::default());
        let member = client.session("dev", PrivateKey::generate().unwrap());
        let (parent, child) = (ProcessId::new("a".repeat(64)), ProcessId::new("b".repeat(64)));
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let reader = reader(&clock);
        let asked = || server.asked.load(Ordering::SeqCst);
        let waits = async |live: &[ProcessId]| {
            clock.advance(Duration::from_secs(1));
            reader.nodes(&member, live).await.unwrap().iter().any(|node| node.waits_for_parents)
        };
        assert!(waits(&[parent.clone(), child.clone()]).await, "it was just asked for");
        assert_eq!(asked(), 1);
        assert!(waits(std::slice::from_ref(&child)).await);
        assert_eq!(asked(), 2, "once each time, while the server has not released it");
        server.waits.store(false, Ordering::SeqCst);
        assert!(!waits(std::slice::from_ref(&child)).await);
        assert!(!waits(&[child]).await);
        assert_eq!(asked(), 3, "what is released is asked for no more");
    }

    /// A pass that reports a missing connection right before it exists would write status twice for each object.
    #[test]
    fn a_colony_that_is_about_to_be_asked_is_waited_for_but_not_long() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let reader = reader(&clock);
        let spec = json!({ "server": { "host": "h" }, "colonyName": "c", "credentialsSecretName": "s" });
        let colony = ColonyReference::Resolved(Box::new(ResolvedColony {
            uid: "u".to_owned(),
            name: "dev".to_owned(),
            spec: serde_json::from_value(spec).unwrap(),
            was_connected: true,
            is_admitted: true,
            access: ColonyAccess::Granted(ColonyTrust::Restricted),
            operator_executor_id: Observed::Unknown("not connected yet".to_owned()),
        }));
        let untried = Connections::default();
        assert!(reader.awaits_first_read(&colony, &untried));
        assert!(!reader.awaits_first_read(&ColonyReference::NotFound { name: None }, &untried));
        let tried = Connections::default();
        assert!(tried.remove("dev"));
        assert!(!reader.awaits_first_read(&colony, &tried));
        clock.advance(FIRST_ANSWER);
        assert!(
            !reader.awaits_first_read(&colony, &untried),
            "a server that does not answer holds nothing up"
        );
    }
}
