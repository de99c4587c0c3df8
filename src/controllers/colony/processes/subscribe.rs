//! Has the server tell, over a websocket for each process of which that is expected, when it comes into a state that
//! matters. A notification is only a hint: the object's pass reads again, and the lists find changes without
//! notifications.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use tokio::{task::AbortHandle, task::JoinSet, time::MissedTickBehavior};

use super::{
    expected::{Candidate, expected},
    followed::FollowedProcesses,
    mirrored_kinds::Reference,
};
use crate::{
    colony::{ProcessId, ProcessState, Session},
    controllers::engine::retry::{Retries, jitter},
};

/// How long a new process waits at most until it is subscribed to.
const PERIOD: Duration = Duration::from_secs(1);
/// How long a change of some object waits for more of them.
const PAUSE: Duration = Duration::from_millis(50);
/// How many times as long as a round takes the next one waits at least: each looks at all objects.
const REST: u32 = 100;
/// After this time the server ends a subscription; another takes its place. The server keeps it for as long even when its
/// connection is closed before, so it cannot be for ever.
const LIMIT: Duration = Duration::from_mins(20);
/// A subscription that ends sooner was ended by something between: there is no use in hurrying back.
const EARLY: Duration = Duration::from_mins(1);

/// A process and a state.
type ProcessSubscription = (ProcessId, ProcessState);

/// Subscribes to the processes of which an event is expected, as many as the configuration says, while this process leads. For
/// ever.
pub(in crate::controllers) async fn run(followed: &FollowedProcesses) {
    let most = usize::from(followed.services.configuration.process_subscriptions);
    if most == 0 {
        return std::future::pending().await;
    }
    let mut listeners = JoinSet::new();
    let mut running: HashMap<ProcessSubscription, AbortHandle> = HashMap::new();
    let mut rounds = tokio::time::interval(PERIOD);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changes = followed.services.object_changes.subscribe();
    let (clock, mut pause) = (&followed.services.clock, PAUSE);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            // An error means that the process ends.
            Ok(()) = changes.changed() => tokio::time::sleep(pause).await,
        }
        changes.mark_unchanged();
        let started = clock.instant();
        while listeners.try_join_next().is_some() {}
        let wanted_subscriptions = wanted_subscriptions(followed, most);
        let wanted: HashSet<&ProcessSubscription> =
            wanted_subscriptions.iter().map(|(listener, _)| &listener.wish).collect();
        running.retain(|wish, task| {
            let is_kept = wanted.contains(wish) && !task.is_finished();
            if !is_kept {
                task.abort();
            }
            is_kept
        });
        for (listener, session) in &wanted_subscriptions {
            if !running.contains_key(&listener.wish) {
                let task = listeners.spawn(listener.clone().listen(session.clone()));
                running.insert(listener.wish.clone(), task);
            }
        }
        pause = PAUSE.max(clock.instant().saturating_duration_since(started) * REST);
    }
}

/// What should be subscribed to now.
fn wanted_subscriptions(followed: &FollowedProcesses, most: usize) -> Vec<(Listener, Session)> {
    if !followed.services.leadership.is_leader() {
        return Vec::new();
    }
    let connection = followed.services.connections.get(&followed.colony);
    let Some(connection) = connection.filter(|connection| connection.problem.is_none()) else {
        return Vec::new();
    };
    let (bound, now) = (followed.bound(connection.member.id()), followed.services.clock.instant());
    let candidates: Vec<Candidate<'_>> = bound
        .iter()
        .map(|bound| Candidate {
            process: &bound.seen.process,
            recorded: bound.recorded,
            run_by_others: bound.run_by_others,
            quiet_for: now.saturating_duration_since(bound.seen.since),
        })
        .collect();
    let none = BTreeMap::new();
    expected(&candidates, connection.approved().unwrap_or(&none))
        .into_iter()
        .filter_map(|position| bound.get(position))
        .flat_map(|bound| {
            let wanted_subscriptions =
                bound.watched_states.iter().enumerate().map(|(index, state)| Listener {
                    followed: followed.clone(),
                    object: bound.object.clone(),
                    wish: (bound.seen.process.id.clone(), *state),
                    looks_first: bound.run_by_others && index == 0,
                });
            wanted_subscriptions.collect::<Vec<_>>()
        })
        .take(most)
        .map(|listener| (listener, connection.member.clone()))
        .collect()
}

/// Listens to one process.
#[derive(Clone)]
struct Listener {
    followed: FollowedProcesses,
    object: Reference,
    wish: ProcessSubscription,
    /// Whether the process is looked at once it is listened to: others may have moved it before.
    looks_first: bool,
}

impl Listener {
    /// Subscribes again and again, until the server reports that the process does not exist.
    async fn listen(self, session: Session) {
        let (id, state) = &self.wish;
        let clock = &self.followed.services.clock;
        let retries = Retries::default();
        loop {
            let started = clock.instant();
            let ended = match session.subscribe(id, *state, jitter(LIMIT)).await {
                Ok(mut subscription) => {
                    if self.looks_first {
                        self.followed.invalidate(&self.object, id);
                    }
                    loop {
                        match subscription.next().await {
                            Ok(Some(_)) => self.followed.invalidate(&self.object, id),
                            Ok(None) => break Ok(()),
                            Err(error) => break Err(error),
                        }
                    }
                }
                Err(error) => Err(error),
            };
            match &ended {
                Err(error) if error.is_not_found() => return self.followed.invalidate(&self.object, id),
                // It is in the state, and too large for a notification.
                Err(error) if error.is_too_large() => self.followed.invalidate(&self.object, id),
                Err(error) => tracing::debug!(process = %id, %error, "cannot subscribe"),
                Ok(()) => {}
            }
            if clock.instant().saturating_duration_since(started) >= EARLY {
                retries.reset(id.as_str());
            }
            tokio::time::sleep(retries.after_failure(id.as_str())).await;
        }
    }
}
