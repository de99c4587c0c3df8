//! What must come true: set against each other, what was asked for and what stands on the ColonyOS server.

use std::collections::{BTreeMap, BTreeSet};

use colonyos_operator::{
    api::names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE, parse_process_label, process_label},
    colony::{ExecutorState, ProcessState},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _, api::ListParams};

use crate::{
    fleet::Asked,
    stack::{ExecutorRow, Row, Stack},
    stage::Stage,
    support::cluster,
};

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const CANCELLED: u8 = 4;
const UNREGISTERED: u8 = 3;

/// Processes of some objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Generations that were asked for.
    pub intended: usize,
    /// Processes on the server.
    pub on_server: usize,
    /// Generations without a process.
    pub missing: Vec<String>,
    /// Processes beside the first of their label that were cancelled.
    pub collapsed: usize,
    /// Processes beside the first of their label that were not.
    pub left: Vec<String>,
    /// Processes that no object asked for, or that live on after theirs.
    pub orphans: Vec<String>,
}

/// Counts the processes of those objects that `counts` names.
pub fn tally(asked: &BTreeMap<String, Asked>, rows: &[Row], counts: impl Fn(&str) -> bool) -> Tally {
    let mut by_label: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    for row in rows {
        by_label.entry(&row.label).or_default().push(row.state);
    }
    let by_uid: BTreeMap<&str, (&String, &Asked)> =
        asked.iter().map(|(name, asked)| (asked.uid.as_str(), (name, asked))).collect();
    let mut tally = Tally::default();
    let mut seen = BTreeSet::new();
    for (label, states) in by_label {
        let known = parse_process_label(label)
            .and_then(|(_, uid, generation)| Some((by_uid.get(uid)?, generation)))
            .filter(|((_, asked), generation)| (1..=asked.generations).contains(generation));
        let Some(((name, asked), generation)) = known else {
            tally.orphans.push(format!("{label} belongs to no object: {states:?}"));
            continue;
        };
        if !counts(name) {
            continue;
        }
        seen.insert((*name, generation));
        tally.on_server += states.len();
        let valid = states.iter().filter(|state| **state != CANCELLED).count();
        let left = valid.saturating_sub(1);
        tally.collapsed += states.len() - 1 - left;
        if left > 0 {
            tally.left.push(format!("{label} of {name}: {states:?}"));
        }
        if asked.deleted && states.iter().any(|state| matches!(*state, WAITING | RUNNING)) {
            tally.orphans.push(format!("{label} outlives {name}: {states:?}"));
        }
    }
    for (name, asked) in asked.iter().filter(|(name, _)| counts(name)) {
        for generation in 1..=asked.generations {
            tally.intended += 1;
            if !seen.contains(&(name, generation)) {
                tally.missing.push(format!("generation {generation} of {name}"));
            }
        }
    }
    tally
}

/// All processes of the colony: from the database, or, of an existing server, those of the labels that
/// can be asked for.
pub async fn processes(stage: &Stage, stack: Option<&Stack>, asked: &BTreeMap<String, Asked>) -> Vec<Row> {
    if let Some(stack) = stack {
        return stack.processes(&stage.colony.name).await;
    }
    let cluster = cluster::uid(&stage.namespace.kubernetes).await;
    let mut rows = Vec::new();
    for asked in asked.values() {
        for generation in 1..=asked.generations {
            let label = process_label(&cluster, &asked.uid, generation);
            for process in stage.colony.member.processes_labelled(&label).await.unwrap() {
                let number = ProcessState::ALL.iter().position(|state| *state == process.state).unwrap();
                rows.push(Row { label: label.clone(), state: u8::try_from(number).unwrap() });
            }
        }
    }
    rows
}

/// Executors that are still registered, but for the operator's own.
pub async fn executors_left(stage: &Stage, stack: Option<&Stack>) -> Vec<String> {
    let rows = if let Some(stack) = stack {
        stack.executors(&stage.colony.name).await
    } else {
        let executors = stage.colony.member.executors().await.unwrap();
        let row = |executor: colonyos_operator::colony::Executor| ExecutorRow {
            state: if executor.state == ExecutorState::Unregistered { UNREGISTERED } else { 1 },
            name: executor.name,
            kind: executor.executor_type,
        };
        executors.into_iter().map(row).collect()
    };
    // As which the operator serves the colony: they go with the Colony.
    let operators = [CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE];
    let left =
        rows.into_iter().filter(|row| row.state != UNREGISTERED && !operators.contains(&row.kind.as_str()));
    left.map(|row| row.name).collect()
}

/// Secrets of executors that are still there.
pub async fn secrets_left(stage: &Stage) -> Vec<String> {
    let secrets: Api<Secret> = stage.namespace.api();
    let names =
        secrets.list(&ListParams::default()).await.unwrap().into_iter().map(|secret| secret.name_any());
    names.filter(|name| name.ends_with("-executor-identity")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Manner;

    /// A count that calls everything right would let every mistake pass.
    #[test]
    fn what_is_wrong_is_counted_as_wrong() {
        let object = |uid: &str, generations, deleted| Asked {
            manner: Manner::Steady,
            uid: uid.to_owned(),
            generations,
            deleted,
        };
        let asked = BTreeMap::from([
            ("a".to_owned(), object("u1", 2, false)),
            ("b".to_owned(), object("u2", 1, true)),
            ("c".to_owned(), object("u3", 1, false)),
        ]);
        let row = |label: &str, state| Row { label: format!("k8s:c/{label}"), state };
        let rows = [
            row("u1/1", 2),
            row("u1/1", 4),
            row("u1/2", 2),
            row("u1/2", 0),
            row("u2/1", 1),
            row("u2/2", 2),
            row("u9/1", 2),
        ];
        let all = tally(&asked, &rows, |_| true);
        assert_eq!((all.intended, all.on_server, all.collapsed), (4, 5, 1));
        assert_eq!((all.left.len(), all.missing.len(), all.orphans.len()), (1, 1, 3), "{all:#?}");
        let one = tally(&asked, &rows, |name| name == "b");
        assert_eq!((one.intended, one.on_server, one.left.len()), (1, 1, 0));
    }
}
