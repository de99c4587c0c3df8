//! The status of a request that the operator directs, or whose jobs it runs. Pure.
//!
//! While it is another party's turn, it writes nothing at all.

use jiff::Timestamp;

use super::{
    awaited::Awaited,
    condition::{Finding, merge, whole_seconds},
    event::Note,
    mirror,
    output::bounded,
    paused,
    request::{HISTORY_DROPPED, RequestFacts, dropped_notes, request},
    work::blocker,
};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, FOR_TOOLS, Reason},
        mirror::MirrorStatus,
        request_state::{HistoryEntry, JobStatus, Position, RequestStateStatus, State},
    },
    colony::Process,
    desired::{request::Followed, request_flow::CompiledFlow},
    diff::{
        KubernetesStep, Mirror, Problem,
        request::{Ending, Flow, History, HistoryEvidence, Moment, Next, Turn, complete, next, plan},
    },
    snapshot::RequestSnapshot,
};

/// What status says after a pass; none, or what it says already, while it is another party's turn.
#[must_use]
pub fn compute(request: &Followed, outcome: Result<&Outcome, &Problem>) -> Option<RequestStateStatus> {
    said(request, outcome).map_or_else(|| request.snapshot.object.status.clone(), |(status, _)| Some(status))
}

/// What status says of a request that is paused; none while it is another party's turn.
#[must_use]
pub fn compute_paused(Followed { snapshot, flow }: &Followed) -> Option<RequestStateStatus> {
    let object = &snapshot.object;
    turn(snapshot, flow.as_ref().ok())?;
    Some(paused::compute(object.status.as_ref(), &object.metadata, snapshot.header.now))
}

/// Whose turn it is; none while the operator may not write.
fn turn(snapshot: &RequestSnapshot, flow: Option<&CompiledFlow>) -> Option<Turn> {
    let object = &snapshot.object;
    let none = Next { job: None, not_before: None };
    let following = flow.map_or(none, |flow| next(object, flow, snapshot.header.now));
    let turn = plan::turn_of(object, &following);
    // Without a flow, it is unknown whether an ended job was the last.
    let is_known = flow.is_some() || !object.spec.state.has_ended() || object.spec.state == State::Cancelled;
    (is_known && plan::is_ours(snapshot, turn)).then_some(turn)
}

/// What a status that [`compute`] gave leaves out of the history from now on. It must be recorded elsewhere before
/// the status is written.
#[must_use]
pub fn dropped_history(
    request: &Followed,
    outcome: Result<&Outcome, &Problem>,
    status: &RequestStateStatus,
) -> Vec<Note> {
    let before = request.snapshot.object.status.as_ref().and_then(|status| status.history_dropped);
    if status.history_dropped == before {
        return Vec::new();
    }
    let dropped = said(request, outcome).map(|(_, history)| history.dropped).unwrap_or_default();
    let note = |message| Note { warning: false, reason: HISTORY_DROPPED.to_owned(), message };
    dropped_notes(&dropped).into_iter().map(note).collect()
}

/// The status, and the history in it; none while it may not change.
fn said(
    Followed { snapshot, flow }: &Followed,
    outcome: Result<&Outcome, &Problem>,
) -> Option<(RequestStateStatus, History)> {
    let object = &snapshot.object;
    let before = object.status.clone().unwrap_or_default();
    let flow = flow.as_ref().ok();
    let turn = turn(snapshot, flow)?;
    let goal = outcome.ok().and_then(|outcome| plan::goal(&outcome.plan));
    let has_gone = outcome.is_ok_and(|outcome| {
        outcome.done_kubernetes().any(|step| matches!(step, KubernetesStep::UpdateSpec { .. }))
    });
    let mut spoken_of = object.clone();
    match goal {
        None => {}
        Some(State::Started) if has_gone => {
            spoken_of.spec.state = State::Started;
            spoken_of.metadata.generation = object.metadata.generation.map(|generation| generation + 1);
        }
        // Recorded before, or to be recorded in the next pass: it may be another party's turn by now.
        Some(_) => return None,
    }
    let mut status = before.clone();
    if let Ok(outcome) = outcome {
        status.mirror = mirror::record(before.mirror.as_ref(), outcome, snapshot.header.now);
        status.colony = mirror::used_colony(
            before.colony.as_ref(),
            &snapshot.header.colony,
            status.mirror.as_ref(),
            false,
        );
        note(&mut status, snapshot, &outcome.plan.mirror);
    }
    let ending = flow.and_then(|flow| ending(snapshot, flow, spoken_of.spec.state, status.mirror.as_ref()));
    if let Some(ending) = &ending {
        close(&mut status, &object.spec.job, ending, snapshot.header.now);
    }
    let entering = ending.map(|ending| entry(&object.spec.job, ending, snapshot.header.now));
    let names = names(flow, &object.spec.job);
    let evidence = HistoryEvidence {
        flow: &names,
        created: object.metadata.creation_timestamp.as_ref().map(|time| time.0),
        is_unchanged: object.metadata.generation == Some(1) && !has_gone,
        is_truncated: before.history_dropped.is_some(),
        since: has_gone.then_some(snapshot.header.now),
        position_log: &snapshot.position_log,
        entering: entering.as_ref(),
    };
    let history = complete(&Position::of(&spoken_of), &before.history, &evidence);
    let degraded = degraded(snapshot, outcome);
    let obstacle = degraded
        .as_ref()
        .map(|finding| (finding.reason, finding.message.clone()))
        .or_else(|| waiting(snapshot, status.mirror.as_ref()));
    spoken_of.status = Some(status);
    let generation = spoken_of.metadata.generation;
    let mut said = request(&RequestFacts {
        object: &spoken_of,
        flow: &names,
        turn,
        history: &history,
        generation,
        now: snapshot.header.now,
        obstacle: obstacle.as_ref(),
    });
    said.conditions.retain(|condition| condition.type_ != ConditionType::Degraded.as_str());
    paused::dropped(&mut said.conditions);
    let merged = merge(&before.conditions, degraded.into_iter().collect(), generation, snapshot.header.now);
    if merged.iter().any(|condition| condition.type_ == ConditionType::Stalled.as_str()) {
        // What it would be without what stands in the way.
        said.conditions.retain(|condition| FOR_TOOLS.iter().all(|own| own.as_str() != condition.type_));
    }
    said.conditions.splice(0..0, merged);
    Some((said, history))
}

/// Takes note of the process of the job.
fn note(status: &mut RequestStateStatus, snapshot: &RequestSnapshot, planned: &Mirror) {
    let name = &snapshot.object.spec.job;
    let Some(mirror) = status.mirror.clone() else { return };
    let is_taken_up = matches!(planned, Mirror::Found { .. });
    if is_taken_up || matches!(planned, Mirror::Intend { .. }) {
        let attempts = record(status, name).attempts + 1;
        let failed = record(status, name).failed;
        *record(status, name) = JobStatus { name: name.clone(), attempts, failed, ..JobStatus::default() };
    }
    let Some(id) = &mirror.process_id else { return };
    let is_current = plan::current(&snapshot.object).is_some_and(|current| current.label == mirror.label);
    if !is_taken_up && !is_current {
        return;
    }
    let process = snapshot.header.process(id);
    let job = record(status, name);
    job.process_id = Some(id.clone());
    if let Some(process) = process {
        describe(job, process, snapshot.executor.as_ref());
    }
}

fn describe(job: &mut JobStatus, process: &Process, executor: Option<&String>) {
    job.executor = executor.cloned().or_else(|| process.assigned_executor.as_ref().map(ToString::to_string));
    job.start_time = process.started_at.map(whole_seconds);
    let (output, is_whole) = bounded(process);
    job.output = output;
    job.output_truncated = !is_whole;
}

/// The record of a job, made if there is none.
fn record<'a>(status: &'a mut RequestStateStatus, name: &str) -> &'a mut JobStatus {
    let found = status.jobs.iter().position(|job| job.name == name);
    let index = found.unwrap_or_else(|| {
        status.jobs.push(JobStatus { name: name.to_owned(), ..JobStatus::default() });
        status.jobs.len() - 1
    });
    &mut status.jobs[index]
}

/// How the job ends, if that is to be written down now.
fn ending(
    snapshot: &RequestSnapshot,
    flow: &CompiledFlow,
    state: State,
    mirror: Option<&MirrorStatus>,
) -> Option<Ending> {
    if state.has_ended() {
        return None;
    }
    let current = plan::current(&snapshot.object);
    let is_late = plan::deadline(snapshot, flow).is_some_and(|deadline| deadline <= snapshot.header.now);
    let Some(mirror) = mirror.filter(|mirror| current.is_some_and(|current| current.label == mirror.label))
    else {
        return (current.is_none() && is_late && state == State::Requested).then(|| plan::late(flow));
    };
    let ending = plan::ending(snapshot, flow, mirror)?;
    let was_assigned = snapshot.header.processes.known().is_some_and(|found| {
        found.iter().any(|process| {
            Some(process.id.as_str()) == mirror.process_id.as_deref() && process.started_at.is_some()
        })
    });
    // Not before the job has started.
    let may_end = state == State::Started || (ending.state != State::Completed && !was_assigned);
    may_end.then_some(ending)
}

fn close(status: &mut RequestStateStatus, name: &str, ending: &Ending, now: Timestamp) {
    let is_failure = ending.state == State::Failed;
    let job = record(status, name);
    job.failed += i64::from(is_failure);
    job.completion_time = Some(whole_seconds(now));
}

fn entry(job: &str, ending: Ending, now: Timestamp) -> HistoryEntry {
    HistoryEntry {
        job: job.to_owned(),
        state: ending.state.as_str().to_owned(),
        timestamp: Moment::text(now),
        reason: ending.reason,
        message: ending.message.as_deref().map(super::condition::clean),
    }
}

/// The jobs in their order; without a flow the one that the request is at.
fn names(flow: Option<&CompiledFlow>, job: &str) -> Flow {
    let jobs: Vec<String> = flow.map_or_else(
        || vec![job.to_owned()],
        |flow| flow.jobs().iter().map(|job| job.name().to_owned()).collect(),
    );
    Flow::of(jobs)
}

/// What the process of the job waits for, if it waits.
fn waiting(snapshot: &RequestSnapshot, mirror: Option<&MirrorStatus>) -> Option<(Reason, String)> {
    let awaited = Awaited::of_record(&snapshot.header, mirror, None)?;
    let mirror = mirror?;
    let reason = awaited.reason(&snapshot.header, mirror.submitted_at.as_ref(), Reason::JobRequested);
    let id = mirror.process_id.as_deref().unwrap_or_default();
    Some((reason, format!("process {id} waits for {}", awaited.what)))
}

/// What stands in the way, if something does.
fn degraded(snapshot: &RequestSnapshot, outcome: Result<&Outcome, &Problem>) -> Option<Finding> {
    let mirror = snapshot.object.status.as_ref().and_then(|status| status.mirror.as_ref());
    let is_live = mirror.is_some_and(MirrorStatus::may_live);
    let found = blocker(&snapshot.header.processes, is_live, outcome);
    found.map(|(reason, message)| Finding::yes(ConditionType::Degraded, reason, message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        runtime::config::model::RequestRole,
        snapshot::{ColonyReference, FlowSource, Observed, Values, fixtures::header},
    };

    /// A request at its first job, paused.
    fn paused(state: &str, roles: &[RequestRole]) -> Followed {
        let object = json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "r", "namespace": "n", "uid": "u", "generation": 1,
                          "annotations": { "colonies.io/paused": "true" } },
            "spec": { "request-uid": "r-1", "job": "JOB1", "state": state },
        });
        Followed::of(RequestSnapshot {
            object: serde_json::from_value(object).unwrap(),
            header: header(ColonyReference::NotFound { name: None }, Observed::Known(Vec::new())),
            roles: roles.to_vec(),
            flow: FlowSource::Default,
            executor: None,
            values: Values::default(),
            position_log: Vec::new(),
        })
    }

    fn finished(request: &Followed, outcome: Result<&Outcome, &Problem>) -> (String, String) {
        let status = compute(request, outcome).unwrap();
        let finished = status.conditions.iter().find(|condition| condition.type_ == "Finished").unwrap();
        (finished.reason.clone(), finished.message.clone())
    }

    #[test]
    fn a_request_says_for_which_executor_its_job_waits() {
        let process = json!({
            "processid": "p", "state": 0, "submissiontime": "2026-11-26T10:00:00Z",
            "starttime": "0001-01-01T00:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": { "funcname": "f", "label": "k8s:c/u/1", "conditions": { "executortype": "t" } },
        });
        let mut request = paused("REQUESTED", &[RequestRole::Worker]);
        let snapshot = &mut request.snapshot;
        snapshot.object.metadata.annotations = None;
        snapshot.header = header(
            crate::snapshot::fixtures::colony(),
            Observed::Known(vec![serde_json::from_value(process).unwrap()]),
        );
        snapshot.header.workforce = Some(std::sync::Arc::new(crate::snapshot::Workforce::default()));
        let says = "JOB1 waits for a worker: process p waits for an executor of type t: none is registered in colony dev (there are none)";
        for (submitted, reason) in
            [("2026-11-26T10:00:00Z", "ExecutorAwaited"), ("2026-11-26T09:59:30Z", "NoExecutor")]
        {
            let status = json!({ "mirror": { "label": "k8s:c/u/1", "generation": 1, "processId": "p",
                "state": "Waiting", "intendedAt": submitted, "submittedAt": submitted } });
            request.snapshot.object.status = Some(serde_json::from_value(status).unwrap());
            let found = finished(&request, Ok(&Outcome::default()));
            assert_eq!(found, (reason.to_owned(), says.to_owned()));
        }
    }

    /// Its state alone says that all is well.
    #[test]
    fn a_request_with_an_unknown_flow_says_so_in_what_kubectl_get_shows() {
        let mut snapshot = paused("REQUESTED", &[RequestRole::Director, RequestRole::Worker]).snapshot;
        snapshot.object.metadata.annotations = None;
        snapshot.flow = FlowSource::NotFound("there is no RequestFlow f".to_owned());
        let request = Followed::of(snapshot);
        let problem = crate::desired::request::desired(&request).unwrap_err();
        let found = finished(&request, Err(&problem));
        assert_eq!(found.0, "FlowUnusable");
        assert_eq!(found.1, "JOB1 waits for a worker: there is no RequestFlow f");
    }

    /// Programs of others write whole objects: a write of the operator during their turn makes theirs conflict.
    #[test]
    fn a_pause_of_a_request_is_reported_only_in_the_operators_turn() {
        let said = compute_paused(&paused("REQUESTED", &[RequestRole::Worker])).unwrap();
        assert_eq!(said.conditions[0].reason, "ReconcilePaused");
        assert_eq!(compute_paused(&paused("REQUESTED", &[RequestRole::Director])), None);
        assert_eq!(compute_paused(&paused("STARTED", &[RequestRole::Worker])), None, "another worker has it");
        assert!(compute_paused(&paused("COMPLETED", &[RequestRole::Director])).is_some());
    }
}
