//! Looks processes up by label. A label is a claim of whoever submitted: every member of a colony can write any.

use crate::{
    api::installation::operator_member_name,
    colony::{Error, Process, ProcessId, ProcessQuery, ProcessState, Session},
    snapshot::Observed,
};

/// Why it is not known what there is.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Colony(#[from] Error),
    #[error("{}", unconfirmed(.0.as_str()))]
    Unconfirmed(ProcessId),
    #[error(
        "process {id} has label {label}, and {initiator} submitted it, who is no operator: it is not taken for the object's, and nothing is submitted beside it; remove it (colonies process delete --processid {id})"
    )]
    Claimed { label: String, id: ProcessId, initiator: String },
}

pub(super) fn unconfirmed(id: &str) -> String {
    format!("the server reports no {id}, and is asked once more before that is believed")
}

pub(super) fn observed(read: Result<Vec<Process>, ReadError>) -> Observed<Vec<Process>> {
    match read {
        Ok(processes) => Observed::Known(processes),
        Err(error) => Observed::Unknown(error.to_string()),
    }
}

/// Everything that operators have submitted under a label.
pub(super) async fn labelled(
    member: &Session,
    label: &str,
    is_ending: bool,
) -> Result<Vec<Process>, ReadError> {
    let found = member.processes_labelled(label).await?;
    submitted_by_operator(member, label, found, is_ending)
}

/// What was found under a label, without what others have submitted, which holds up no end. Where something is to be bound, or
/// submitted, it is not known what there is while others claim the label.
pub(super) fn submitted_by_operator(
    member: &Session,
    label: &str,
    found: Vec<Process>,
    is_ending: bool,
) -> Result<Vec<Process>, ReadError> {
    let (own, claimed): (Vec<Process>, Vec<Process>) =
        found.into_iter().partition(|process| is_of_operator(process, member.id().as_str()));
    match claimed.into_iter().next().filter(|_| !is_ending) {
        Some(Process { id, initiator_id, initiator_name, .. }) => {
            let initiator = if initiator_name.is_empty() { initiator_id } else { initiator_name };
            Err(ReadError::Claimed { label: label.to_owned(), id, initiator })
        }
        None => Ok(own),
    }
}

/// Whether an operator has submitted a process: this one, or one that the owner of the colony registered under the name that follows
/// from its key, as before the key was replaced or the cluster restored.
fn is_of_operator(process: &Process, member: &str) -> bool {
    let id = &process.initiator_id;
    id == member || process.initiator_name == operator_member_name(id)
}

/// What waits or runs under a label and was submitted by operators. One may step back from running to waiting between two lists.
pub(super) async fn live_labelled(member: &Session, label: &str) -> Result<Vec<Process>, Error> {
    let mut found: Vec<Process> = Vec::new();
    for state in [ProcessState::Waiting, ProcessState::Running, ProcessState::Waiting] {
        let query = ProcessQuery::new(state).labelled(label).map_err(Error::Field)?;
        add_new(&mut found, member.processes(&query).await?);
    }
    found.retain(|process| is_of_operator(process, member.id().as_str()));
    Ok(found)
}

/// Adds those that are not in the list yet.
pub(super) fn add_new(found: &mut Vec<Process>, more: Vec<Process>) {
    for process in more {
        if found.iter().all(|known| known.id != process.id) {
            found.push(process);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::colony::{Client, PrivateKey, Server, Timeouts, Tls};

    #[test]
    fn a_label_that_another_member_writes_is_not_believed() {
        let server = Server { host: "h".to_owned(), port: 1, tls: Tls::Insecure };
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let member = client.session("dev", PrivateKey::generate().unwrap());
        let process = |initiator: &str, name: &str| -> Process {
            let whole = json!({
                "processid": "p", "state": 0, "initiatorid": initiator, "initiatorname": name, "spec": { "label": "l" },
                "submissiontime": "2026-03-01T12:00:00Z", "starttime": "2026-03-01T12:00:00Z",
                "endtime": "0001-01-01T00:00:00Z",
            });
            serde_json::from_value(whole).unwrap()
        };
        let own = process(member.id().as_str(), "whatever the user calls it");
        let earlier = process(&"ab".repeat(32), "colonyos-operator-abababababab");
        let forged = process(&"cd".repeat(32), "colonyos-operator-abababababab");
        let believed = |found: Vec<Process>, is_ending| {
            submitted_by_operator(&member, "l", found, is_ending).map(|found| found.len())
        };
        assert_eq!(believed(vec![own.clone(), earlier], false).unwrap(), 2);
        let error = believed(vec![own.clone(), forged.clone()], false).unwrap_err().to_string();
        assert!(error.contains("colonyos-operator-abababababab submitted it"), "{error}");
        assert_eq!(believed(vec![own, forged], true).unwrap(), 1, "it holds up no end");
    }
}
