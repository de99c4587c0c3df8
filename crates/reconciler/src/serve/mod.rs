//! The loop: takes processes from the colony, makes passes, answers.
//!
//! A pass follows each process, each change of what runs here, and a span of time: events are hints, and reading is the truth.

mod pass;
mod polls;
mod settings;
mod words;

use std::{future::Future, sync::Arc, time::Duration};

use colonyos_client::{Error, Session};
use tokio::sync::watch::Receiver;

use crate::{
    act::Say,
    clock::Stopwatch,
    folder::StateFolder,
    own,
    port::Runtime,
    watch::{Seat, WatchError},
};
use pass::{Pending, Reconciler};
use polls::Polls;
pub use settings::Settings;
use words::chain;

/// How soon the next pass follows while something is under way.
const SOON: Duration = Duration::from_millis(500);
/// How often it is looked whether what runs here has changed.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// Serves until `stop` turns true. Replicas go on running then.
pub async fn serve(
    settings: &Settings,
    folder: &StateFolder,
    host: Arc<dyn Runtime>,
    say: Say,
    mut stop: Receiver<bool>,
) {
    let mut pause = Pause::default();
    let mut reconciler = Reconciler::new(settings, host, say.clone());
    while !*stop.borrow() {
        let Seat { executor_type, location, .. } = &settings.seat;
        let session = match own::register(folder, &settings.owner, executor_type, location).await {
            Ok(session) => session,
            Err(error) => {
                say(&format!("Not registered in colony {}: {}", settings.owner.colony(), chain(&error)));
                unless_stopped(&mut stop, tokio::time::sleep(pause.next())).await;
                continue;
            }
        };
        say(&format!(
            "Serving colony {} at location {location} as executor type {executor_type}, host {}",
            settings.owner.colony(),
            reconciler.host_id()
        ));
        let polls = Polls::start(session.clone(), settings.poll);
        let served =
            while_accepted(&mut reconciler, &session, settings, polls.arrivals(), &mut stop, &mut pause)
                .await;
        // A poll under way is not cut off: it may have won a process, which is found again by its state.
        polls.end().await;
        if let Err(error) = served {
            say(&format!("Not accepted by the colony any more: {}", chain(&error)));
            unless_stopped(&mut stop, tokio::time::sleep(pause.next())).await;
        }
    }
    say("Stopped; what runs goes on running");
}

/// Until stopped, or until the colony does not accept the reconciler's executor any more.
async fn while_accepted(
    reconciler: &mut Reconciler<'_>,
    session: &Session,
    settings: &Settings,
    mut arrivals: Receiver<u64>,
    stop: &mut Receiver<bool>,
    pause: &mut Pause,
) -> Result<(), WatchError> {
    while !*stop.borrow() {
        arrivals.borrow_and_update();
        // All that it has been given and not answered, in this life or an earlier one.
        match session.running(&settings.seat.executor_type).await {
            Ok(processes) => reconciler.adopt(processes.into_iter().map(Pending::new)),
            Err(error @ Error::Forbidden(_)) => return Err(error.into()),
            Err(error) => reconciler.complain(&chain(&error)),
        }
        let next = match reconciler.pass(session).await {
            Ok(true) => {
                pause.reset();
                SOON
            }
            Ok(false) => {
                pause.reset();
                settings.resync
            }
            Err(WatchError::Colony(error @ Error::Forbidden(_))) => return Err(error.into()),
            Err(error) => {
                reconciler.complain(&chain(&error));
                pause.next()
            }
        };
        let read = Stopwatch::start();
        while !*stop.borrow() && read.elapsed() < next {
            let left = next.saturating_sub(read.elapsed()).min(LOOK);
            tokio::select! {
                () = asked(stop) => return Ok(()),
                changed = arrivals.changed() => match changed {
                    Ok(()) => break,
                    // The polls have ended: the colony does not accept them.
                    Err(_) => tokio::time::sleep(left).await,
                },
                () = tokio::time::sleep(left) => {}
            }
            reconciler.tidy().await;
            if next > SOON && reconciler.has_changed().await {
                break;
            }
        }
    }
    Ok(())
}

async fn unless_stopped(stop: &mut Receiver<bool>, wait: impl Future<Output = ()>) {
    tokio::select! {
        () = asked(stop) => {}
        () = wait => {}
    }
}

async fn asked(stop: &mut Receiver<bool>) {
    // Without its sender there is nobody to ask.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Pauses that grow while things fail.
#[derive(Debug, Default)]
struct Pause(u32);

impl Pause {
    fn next(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(8);
        SOON.saturating_mul(1 << self.0).min(PAUSE_MAX)
    }

    fn reset(&mut self) {
        self.0 = 0;
    }
}
