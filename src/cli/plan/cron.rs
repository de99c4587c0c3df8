//! `ColonyCrons`: what is done now, by what there is of their runs, and at the next time.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::DeserializeGuard;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::Failure,
    Rendered,
    manifests::Manifests,
    object::{completed, kind_of, namespace_of},
    passes::{self, Rehearsed, Status},
};
use crate::{
    act::{PLACEHOLDER, outcome::Outcome},
    api::{
        colony_cron::ColonyCron, colony_process::ColonyProcess, colony_workflow::ColonyWorkflow, kind::Kind,
    },
    diff::{
        KubernetesStep, Plan, Problem, Step,
        colony_cron::{CronPlan, decide},
    },
    snapshot::{ColonyCronSnapshot, CronRun},
    status,
    watch::colony_cron::{ScheduledKind, add_run},
};

/// Plans a cron. `text` has its name already.
pub(super) fn plan(
    mut text: String,
    mut object: ColonyCron,
    world: &Manifests,
    now: Timestamp,
) -> Result<Rendered, Failure> {
    object.metadata.creation_timestamp.get_or_insert(Time(now));
    let mut snapshot = ColonyCronSnapshot { object, runs: Vec::new(), strangers: Vec::new(), now };
    collect::<ColonyProcess>(&mut snapshot, world, Kind::ColonyProcess);
    collect::<ColonyWorkflow>(&mut snapshot, world, Kind::ColonyWorkflow);
    snapshot.runs.sort_by_key(|run| run.minute);
    let status = passes::first(&snapshot)?;
    let found = decide(&snapshot);
    if let Some(problem) = &found.problem {
        writeln!(text, "{}: {}", problem.reason.as_str(), problem.message)?;
        return Ok(Rendered { steps: text, status, is_refused: true });
    }
    if !found.plan.is_idle() || found.obstacle.is_some() {
        passes::rehearse(&mut text, &mut snapshot)?;
    }
    let mut is_refused = false;
    match found.next {
        None => writeln!(text, "no run is due")?,
        Some(next) => {
            writeln!(text, "at {next}")?;
            snapshot.now = next;
            is_refused = run(&mut text, &mut snapshot)?;
        }
    }
    if snapshot.object.metadata.deletion_timestamp.is_none() {
        writeln!(text, "when it is deleted, the garbage collector takes its runs")?;
    }
    Ok(Rendered { steps: text, status, is_refused })
}

/// Plans the next run; whether it cannot be.
fn run(text: &mut String, snapshot: &mut ColonyCronSnapshot) -> Result<bool, Failure> {
    let mut found = decide(snapshot);
    if let Some(problem) = &found.problem {
        writeln!(text, "{}: {}", problem.reason.as_str(), problem.message)?;
        return Ok(true);
    }
    let plan = std::mem::take(&mut found.plan);
    let has_obstacle = found.obstacle.is_some();
    let is_idle = plan.is_idle();
    write!(text, "{plan}")?;
    passes::act(snapshot, plan, &found)?;
    if !has_obstacle {
        return Ok(false);
    }
    if is_idle {
        passes::since(text, snapshot)?;
    } else {
        writeln!(text, "then")?;
        write!(text, "{}", decide(snapshot).plan)?;
    }
    Ok(false)
}

/// Adds the runs of a kind, and those that only have the name of one. A cron as it is written has no UID: it is the one that
/// its runs belong to.
fn collect<K: ScheduledKind + DeserializeOwned>(
    snapshot: &mut ColonyCronSnapshot,
    world: &Manifests,
    kind: Kind,
) {
    for written in world.others.iter().filter(|object| kind_of(object) == Some(kind)) {
        let read = serde_json::from_value::<DeserializeGuard<K>>(completed(written, 0));
        if let Ok(run) = read {
            add_run(snapshot, &run);
        }
    }
}

/// The UID that a cron has in the cluster, if objects in the files belong to it.
pub(super) fn uid_in_cluster(written: &Value, world: &Manifests) -> Option<String> {
    let name = written.pointer("/metadata/name")?.as_str()?;
    let namespace = namespace_of(written);
    let runs = world.others.iter().filter(|other| namespace_of(other) == namespace);
    let owners = runs.filter_map(|run| run.pointer("/metadata/ownerReferences")?.as_array()).flatten();
    let mut owners = owners.filter(|owner| {
        owner["kind"] == Kind::ColonyCron.name() && owner["name"] == name && owner["controller"] == true
    });
    owners.next()?.get("uid")?.as_str().map(str::to_owned)
}

impl Rehearsed for ColonyCronSnapshot {
    type Findings = CronPlan;
    type Object = ColonyCron;

    const FINALIZER: Option<&'static str> = None;

    fn decide(&self) -> Result<(Plan, CronPlan), Problem> {
        let mut found = decide(self);
        Ok((std::mem::take(&mut found.plan), found))
    }

    fn status(&self, pass: Result<(&Outcome, &CronPlan), &Problem>) -> Option<Status<Self>> {
        pass.ok().map(|(outcome, found)| status::colony_cron::compute(self, found, outcome))
    }

    fn object(&mut self) -> &mut ColonyCron {
        &mut self.object
    }

    fn kind(&self) {}

    fn now(&self) -> Timestamp {
        self.now
    }

    fn apply(&mut self, step: Step) -> bool {
        match step {
            Step::Kubernetes(KubernetesStep::CreateRun { time, run }) => self.runs.push(CronRun {
                kind: run.kind(),
                name: run.name().to_owned(),
                uid: PLACEHOLDER.to_owned(),
                minute: time.as_second().div_euclid(60),
                state: None,
                ended_at: None,
                is_deleted: false,
            }),
            Step::Kubernetes(KubernetesStep::DeleteRun { kind, name, .. }) => {
                self.runs.retain(|run| run.kind != kind || run.name != name);
            }
            _ => return false,
        }
        true
    }
}
