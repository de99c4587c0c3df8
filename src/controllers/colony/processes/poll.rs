//! Lists the processes that objects are bound to, all at once, and doubts those that are not listed as they are known.
//!
//! The server lists a hundred of one state. While that holds all that run, what is missing has moved on. With more, ends
//! are looked for in the lists of what is over, latest first; and now and then, or when those do not reach back to the
//! round before, all that run are listed by the one call that has no bound but is dear.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::time::MissedTickBehavior;

use super::{
    decide::{AbsenceMeaning, Tracked, View, judge, may_hide_finished},
    followed::{BoundProcess, FollowedProcesses},
    holders::ProcessHolders,
    lists::{Listed, Lists},
};
use crate::{
    api::{installation::operator_member_name, mirror::MirrorState, names::parse_process_label},
    colony::{Error, LogQuery, Process, ProcessId, ProcessState, Session},
    diff::{duplicates, orphans},
    memory::{absences::Absent, connections::Connection},
    snapshot::Observed,
    watch::holders::HolderLookup as _,
};

/// The most that the server lists.
const FULL: u8 = 100;
/// How many of those that are over are listed at first: seldom do more end between two rounds.
const LATEST: u8 = 20;
/// How often all that run are listed although the lists of ends have no gap: a process that was put back into the queue
/// or removed shows in none of them.
const WHOLE: Duration = Duration::from_mins(1);
/// How often what waits and what runs is listed although no object is bound to anything in that state: a submit that arrives
/// late can be there all the same.
const LISTED_EVERY: Duration = Duration::from_secs(30);
/// The same while something was listed that seems to have no object.
const DOUBTFUL: Duration = Duration::from_secs(10);
/// How much further back than the oldest process is asked, since the clocks of the server and its database may differ.
const MARGIN: Duration = Duration::from_mins(10);
/// States in which processes are over.
const ENDS: [ProcessState; 3] = [ProcessState::Successful, ProcessState::Failed, ProcessState::Cancelled];

/// Rounds of lists in one colony.
pub(in crate::controllers) struct ProcessPoller {
    followed: FollowedProcesses,
    holders: ProcessHolders,
    /// The latest end that was listed, by state.
    horizons: HashMap<ProcessState, Timestamp>,
    /// When all that run were last listed.
    whole_at: Option<Instant>,
    /// When what waits and what runs was last listed whatever objects are bound to.
    listed_at: Option<Instant>,
    /// The server's name of the operator's member, once it is known.
    initiator: Option<String>,
    /// Whether something was listed that seems to have no object.
    is_doubtful: bool,
    lists: Lists,
}

impl ProcessPoller {
    /// Rounds over what is followed.
    pub fn new(followed: FollowedProcesses) -> Self {
        let holders = ProcessHolders::new(&followed.mirrored_kinds, &followed.services);
        Self {
            followed,
            holders,
            horizons: HashMap::new(),
            whole_at: None,
            listed_at: None,
            initiator: None,
            is_doubtful: false,
            lists: Lists::default(),
        }
    }

    /// A round each period, while this process leads. For ever.
    pub async fn run(mut self) {
        let seconds = self.followed.services.configuration.process_poll_seconds;
        // Without rounds, what no object wants is looked for all the same.
        let period = if seconds == 0 { DOUBTFUL } else { Duration::from_secs(seconds.into()) };
        let mut rounds = tokio::time::interval(period);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.followed.services.leadership.acquired().await;
            let connection = self.followed.services.connections.get(&self.followed.colony);
            match connection.filter(|connection| connection.problem.is_none()) {
                Some(connection) if seconds == 0 => self.join(&connection.member, &[]).await,
                Some(connection) => self.round(&connection, seconds).await,
                None => {}
            }
        }
    }

    async fn round(&mut self, connection: &Connection, seconds: u32) {
        let member = &connection.member;
        // Before the lists: what is submitted meanwhile is in neither.
        let bound = self.followed.bound(member.id());
        if bound.is_empty() {
            // Whatever ends from here on is of no concern until something is followed again.
            self.horizons.clear();
            self.whole_at = None;
            self.followed.services.lines.retain(&self.followed.colony, &HashSet::new());
            self.join(member, &[]).await;
            return;
        }
        let services = self.followed.services.clone();
        let asked_at = services.clock.instant();
        // The server decides the name of the operator's member.
        let is_ours = |bound: &&BoundProcess| bound.seen.process.initiator_id == member.id().as_str();
        let initiator = bound.iter().find(is_ours).map(|bound| bound.seen.process.initiator_name.clone());
        let views = match &initiator {
            Some(initiator) => self.look(member, initiator, &bound).await,
            None => Vec::new(),
        };
        self.initiator = initiator.clone().or(self.initiator.take());
        self.join(member, &views).await;
        let tracked: Vec<Tracked> = bound
            .iter()
            .map(|bound| Tracked {
                seen: bound.seen.process.clone(),
                recorded: bound.recorded,
                read_ago: asked_at.saturating_duration_since(bound.seen.asked_at),
                is_listed: Some(&bound.seen.process.initiator_name) == initiator.as_ref(),
            })
            .collect();
        // One a second.
        let verdict = judge(&tracked, &views, usize::try_from(seconds).unwrap_or(usize::MAX));
        for process in verdict.confirmed {
            services.processes.read(member.id(), process, asked_at);
        }
        let objects: HashMap<_, _> =
            bound.iter().map(|bound| (&bound.seen.process.id, &bound.object)).collect();
        for id in verdict.invalidated {
            if let Some(object) = objects.get(id) {
                tracing::debug!(process = %id, %object, "is not listed as it is known");
                self.followed.invalidate(object, id);
            }
        }
        self.poll_one_log(member, &bound).await;
    }

    /// Joins what the colony has with the objects: has those looked at of which there are more processes than the one that they
    /// are bound to, and the `Colony` where there are processes without an object.
    async fn join(&mut self, member: &Session, views: &[View]) {
        let services = self.followed.services.clone();
        let now = services.clock.instant();
        let period = if self.is_doubtful { DOUBTFUL } else { LISTED_EVERY };
        let is_due = self.listed_at.is_none_or(|at| now.saturating_duration_since(at) >= period);
        let (mut listed, mut states): (Vec<Process>, usize) = (Vec::new(), 0);
        for state in [ProcessState::Waiting, ProcessState::Running] {
            match views.iter().find(|view| view.state == state) {
                Some(view) => {
                    listed.extend(view.processes.iter().cloned());
                    states += 1;
                }
                None if is_due => {
                    if let Some(found) = self.listed_by_member(member, state).await {
                        listed.extend(found);
                        states += 1;
                    }
                }
                None => {}
            }
        }
        if is_due {
            self.listed_at = Some(now);
        }
        if states == 2 {
            self.look_for_orphans(member, &listed);
        }
        let recorded = |uid: &str| self.followed.mirrored_kinds.recorded(uid);
        let found = duplicates::find(&listed, &services.cluster, member.id().as_str(), recorded);
        let uids: Vec<String> = found.keys().cloned().collect();
        services.duplicates.listed(&self.followed.colony, found);
        self.look_for_lost(&listed);
        for uid in uids {
            tracing::warn!(%uid, "has more than one process, of which all but the bound one are cancelled");
            self.followed.mirrored_kinds.wake_uid(&uid);
        }
    }

    /// What the operator's member has submitted and is in a state.
    async fn listed_by_member(&mut self, member: &Session, state: ProcessState) -> Option<Vec<Process>> {
        // As the operator registers itself, until the server's own word is known.
        let own = || operator_member_name(member.id().as_str());
        let initiator = self.initiator.clone().unwrap_or_else(own);
        let read = match self.lists.read(member, Some(&initiator), state, FULL).await {
            // A member with a user's key has a name that the user has chosen.
            Err(error) if self.initiator.is_none() && error.is_invalid() => {
                self.lists.read(member, None, state, FULL).await
            }
            read => read,
        };
        Some(said(state, read)?.processes)
    }

    /// Has objects looked at whose process is listed although it was lost.
    fn look_for_lost(&self, listed: &[Process]) {
        for process in listed {
            let Some((_, uid, _)) = parse_process_label(&process.spec.label) else { continue };
            let recorded = self.followed.mirrored_kinds.recorded(uid);
            let id = recorded.filter(|mirror| mirror.state == MirrorState::Lost).and_then(|it| it.process_id);
            if id.is_some_and(|id| process.id.as_str() == id || process.graph_id == id) {
                self.followed.mirrored_kinds.wake_uid(uid);
            }
        }
    }

    /// Notes processes whose object no cache has, twice; their `Colony` looks further.
    fn look_for_orphans(&mut self, member: &Session, listed: &[Process]) {
        let services = self.followed.services.clone();
        let labelled = orphans::labelled(listed, &services.cluster, member.id().as_str());
        let (mut found, now) = (BTreeMap::new(), services.clock.instant());
        self.is_doubtful = false;
        for (uid, processes) in labelled {
            let absent = Absent::Object(uid.clone());
            match self.holders.with_uid(&uid) {
                Observed::Known(None) => {
                    self.is_doubtful = true;
                    if services.absences.seen(absent, now) {
                        found.insert(uid, processes);
                    }
                }
                Observed::Known(Some(_)) => services.absences.present(&absent),
                Observed::Unknown(_) => {}
            }
        }
        if !found.is_empty() {
            self.followed.own.wake(&ObjectRef::new(&self.followed.colony));
        }
        services.orphans.listed(&self.followed.colony, found);
    }

    /// Reads the last line that was written about one of the processes that run, the one that was not asked for
    /// longest: there are no notifications for log lines.
    async fn poll_one_log(&self, member: &Session, bound: &[BoundProcess]) {
        let services = &self.followed.services;
        let (lines, colony) = (&services.lines, self.followed.colony.as_str());
        let shown: Vec<&BoundProcess> =
            bound.iter().filter(|bound| bound.shows_log && bound.recorded == ProcessState::Running).collect();
        let ids: HashSet<ProcessId> = shown.iter().map(|bound| bound.seen.process.id.clone()).collect();
        lines.retain(colony, &ids);
        let Some(next) = shown.into_iter().min_by_key(|bound| lines.asked_at(&bound.seen.process.id)) else {
            return;
        };
        let (id, asked_at) = (&next.seen.process.id, services.clock.instant());
        match member.logs(&LogQuery::new(id.clone()).latest()).await {
            Ok(read) => {
                let text = read.last().map(|line| line.message.clone()).unwrap_or_default();
                if lines.read(colony, id, text, asked_at) {
                    next.object.kind.wake(&next.object.namespace, &next.object.name);
                }
            }
            // It may be over, or the server away: the lists show it.
            Err(error) => {
                tracing::debug!(process = %id, %error, "its log cannot be read");
                lines.tried(colony, id, asked_at);
            }
        }
    }

    /// Lists the states that processes are recorded in; when that is too much for a list, also what is over.
    async fn look(&mut self, member: &Session, initiator: &str, bound: &[BoundProcess]) -> Vec<View> {
        let mut views = Vec::new();
        for state in [ProcessState::Waiting, ProcessState::Running] {
            // Those that wait are seldom any: the operator takes them at once.
            if bound.iter().all(|bound| bound.recorded != state) {
                continue;
            }
            let read = self.lists.read(member, Some(initiator), state, FULL).await;
            if let Some(Listed { processes, is_cut }) = said(state, read) {
                let is_full = processes.len() >= usize::from(FULL);
                let absence = match (is_cut, is_full) {
                    (true, _) => AbsenceMeaning::Hides,
                    (_, true) => AbsenceMeaning::TellsNothing,
                    _ => AbsenceMeaning::Tells,
                };
                views.push(View { state, processes, absence });
            }
        }
        if views.iter().any(|view| view.absence != AbsenceMeaning::Tells) {
            self.list_finished(member, initiator, bound, &mut views).await;
        }
        views
    }

    async fn list_finished(
        &mut self,
        member: &Session,
        initiator: &str,
        bound: &[BoundProcess],
        views: &mut Vec<View>,
    ) {
        let mut is_hidden = false;
        for state in ENDS {
            let Some((processes, hides)) = self.latest(member, initiator, state).await else {
                is_hidden = true;
                continue;
            };
            is_hidden |= hides;
            views.push(View { state, processes, absence: AbsenceMeaning::TellsNothing });
        }
        let now = self.followed.services.clock.instant();
        let is_due = self.whole_at.is_none_or(|at| now.saturating_duration_since(at) >= WHOLE);
        if !is_hidden && !is_due {
            return;
        }
        let seconds = self.window(bound);
        let mut is_whole = true;
        for view in
            views.iter_mut().filter(|view| !view.state.is_final() && view.absence != AbsenceMeaning::Tells)
        {
            let read = member.process_history(None, seconds, view.state).await;
            if let Some(processes) = said(view.state, read) {
                *view = View { state: view.state, processes, absence: AbsenceMeaning::Tells };
            } else {
                is_whole = false;
                let hides = is_hidden || view.absence == AbsenceMeaning::Hides;
                view.absence = if hides { AbsenceMeaning::Hides } else { AbsenceMeaning::TellsNothing };
            }
        }
        if is_whole {
            self.whole_at = Some(now);
        }
    }

    /// Those that came into a final state last, and whether that may be too few to reach back to the round before.
    async fn latest(
        &mut self,
        member: &Session,
        initiator: &str,
        state: ProcessState,
    ) -> Option<(Vec<Process>, bool)> {
        let horizon = self.horizons.get(&state).copied();
        let Listed { mut processes, mut is_cut } =
            said(state, self.lists.read(member, Some(initiator), state, LATEST).await)?;
        let mut hides = is_cut || may_hide_finished(&processes, LATEST, horizon);
        if hides && !is_cut && horizon.is_some() {
            Listed { processes, is_cut } =
                said(state, self.lists.read(member, Some(initiator), state, FULL).await)?;
            hides = is_cut || may_hide_finished(&processes, FULL, horizon);
        }
        // None so far is a horizon too: of whatever comes, a list that is not full shows all.
        let latest = processes.iter().filter_map(|process| process.ended_at).max();
        self.horizons.insert(state, latest.max(horizon).unwrap_or(Timestamp::MIN));
        Some((processes, hides))
    }

    /// How many seconds back the oldest process was submitted.
    fn window(&self, bound: &[BoundProcess]) -> u32 {
        let now = self.followed.services.clock.now();
        let oldest = bound.iter().map(|bound| bound.seen.process.submitted_at).min().unwrap_or(now);
        let age = Duration::try_from(now.duration_since(oldest)).unwrap_or_default() + MARGIN;
        u32::try_from(age.as_secs()).unwrap_or(u32::MAX)
    }
}

/// What was listed; none if it could not be, which has no effect on any process.
fn said<T>(state: ProcessState, read: Result<T, Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(state = state.as_str(), %error, "cannot list processes")).ok()
}
