//! Instances of kinds with handler mode `process` or `blueprint`: what would be sent to the colony for one, and what its
//! deletion would do.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{
    super::Failure,
    Rendered,
    manifests::{CLUSTER, Manifests},
    passes::{self, End, rehearse},
};
use crate::{
    act::PLACEHOLDER,
    api::{
        instance::{Instance, InstanceKind},
        mirror::{MirrorState, MirrorStatus},
        names::process_label,
    },
    diff::ColonyStep,
    snapshot::{ColonyInstanceState, HandlerState, InstanceSnapshot, Observed, WorkHeader},
};

/// Plans an instance, as the API server would have it.
pub(super) fn plan(
    mut text: String,
    object: &Value,
    kind: &InstanceKind,
    world: &Manifests,
    now: Timestamp,
) -> Result<Rendered, Failure> {
    let object: Instance = serde_json::from_value(object.clone())?;
    let recorded = object.status.as_ref().and_then(|status| status.mirror.as_ref());
    let mut snapshot = InstanceSnapshot {
        header: WorkHeader {
            cluster: CLUSTER.to_owned(),
            colony: world.colony(kind.handler().colony.as_deref()),
            processes: Observed::Known(world.processes(recorded)),
            submit_not_before: None,
            is_owner_gone: Observed::Known(false),
            restored: Observed::Known(None),
            earlier: Observed::Known(Vec::new()),
            workforce: None,
            now,
        },
        kind: kind.clone(),
        in_colony: ColonyInstanceState {
            handler_state: Some(HandlerState::Handled),
            blueprint: Observed::Known(world.blueprint_named(&object.blueprint_name())),
            ..ColonyInstanceState::default()
        },
        last_line: None,
        object,
    };
    let status = passes::first(&snapshot)?;
    let end = rehearse(&mut text, &mut snapshot)?;
    passes::tell(&mut text, &end)?;
    let is_refused = matches!(end, End::Refused);
    let is_deleted = snapshot.object.metadata.deletion_timestamp.is_some();
    if !is_deleted && matches!(end, End::Submits(_)) {
        writeln!(text, "when it is deleted, its process being over")?;
        delete(&mut text, snapshot)?;
    } else {
        passes::delete(&mut text, &mut snapshot, &end)?;
    }
    Ok(Rendered { steps: text, status, is_refused })
}

/// Goes through a deletion that comes after the process was closed as successful, with a clean-up that is, too.
fn delete(text: &mut String, mut snapshot: InstanceSnapshot) -> Result<(), Failure> {
    let generation = snapshot.object.metadata.generation.unwrap_or(1);
    let uid = snapshot.object.metadata.uid.clone().unwrap_or_default();
    let now = snapshot.header.now;
    let over = move |generation: i64| MirrorStatus {
        label: process_label(CLUSTER, &uid, generation),
        generation,
        process_id: Some(PLACEHOLDER.to_owned()),
        state: MirrorState::Successful,
        intended_at: Time(now),
        submitted_at: Some(Time(now)),
        errors: None,
    };
    let status = snapshot.object.status.get_or_insert_default();
    status.submitted_generation = Some(generation);
    status.mirror = Some(over(generation));
    snapshot.object.metadata.deletion_timestamp = Some(Time(now));
    snapshot.header.processes = Observed::Known(Vec::new());
    let end = rehearse(text, &mut snapshot)?;
    if let End::Submits(ColonyStep::Submit(process)) = end {
        writeln!(text, "then, once it is closed as successful")?;
        snapshot.object.status.get_or_insert_default().mirror = Some(over(process.generation));
        rehearse(text, &mut snapshot)?;
    }
    Ok(())
}
