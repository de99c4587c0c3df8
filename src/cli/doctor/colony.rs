//! Checks of each `Colony`: server, credentials, keys, and the operator's executor.

use kube::{Api, ResourceExt as _, api::ListParams};

use super::{cluster::reason, finding::Finding};
use crate::{
    api::{
        colony::Colony,
        names::{MEMBER_KEY, OWNER_KEY},
    },
    colony::{ExecutorState, Session},
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
    },
    snapshot::{ColonySnapshot, Credentials, Membership, Observed, OperatorExecutor},
    watch::colony::{ColonyReader, read},
};

/// Findings about every `Colony` there is.
pub(super) async fn colonies(kubernetes: &Kubernetes, clock: &Clock) -> Vec<Finding> {
    let api: Api<Colony> = Api::all(kubernetes.calls.clone());
    let list = match call(CALL_TIME_LIMIT, api.list(&ListParams::default())).await {
        Ok(list) => list,
        Err(error) if error.is_not_found() => {
            return vec![Finding::failure(
                "Colonies",
                "their CRD is not installed",
                "install the CRDs first",
            )];
        }
        Err(error) => {
            return vec![Finding::failure("Colonies", reason(&error), "check that the objects can be read")];
        }
    };
    if list.items.is_empty() {
        return vec![Finding::warning(
            "Colonies",
            "there is none",
            "apply a Colony that names your ColonyOS server; executors need one to serve",
        )];
    }
    let mut findings = Vec::new();
    for colony in &list {
        let reader = ColonyReader {
            kubernetes: &kubernetes.calls,
            namespace: &kubernetes.namespace,
            cluster: "",
            clock,
            metrics: None,
        };
        let reading = read(colony, &reader, &mut None).await;
        findings.extend(judge(&reading.snapshot, &kubernetes.namespace));
        if let Some(sessions) = &reading.sessions
            && matches!(reading.snapshot.membership, Membership::Member(_))
        {
            findings.push(owner_key(colony, &sessions.owner, &sessions.member).await);
        }
    }
    findings
}

/// The findings of a reading. Ends at the first thing without which the next cannot be known.
fn judge(snapshot: &ColonySnapshot, namespace: &str) -> Vec<Finding> {
    let colony = &snapshot.object;
    let check = |what: &str| format!("Colony {}: {what}", colony.name_any());
    let mut findings = Vec::new();
    findings.push(match &snapshot.server {
        Observed::Known(server) => Finding::ok(
            check("server"),
            format!("ColonyOS {} at {}:{}", server.version, colony.spec.server.host, colony.spec.server.port),
        ),
        Observed::Unknown(why) => Finding::failure(
            check("server"),
            format!("{}:{}: {why}", colony.spec.server.host, colony.spec.server.port),
            "check spec.server, and that the address can be reached from pods of the cluster",
        ),
    });
    findings.push(credentials(snapshot, namespace, check("credentials")));
    if snapshot.credentials != Credentials::Complete || snapshot.server.known().is_none() {
        return findings;
    }
    findings.push(match &snapshot.membership {
        Membership::Member(statistics) => Finding::ok(
            check("member key"),
            format!(
                "is a member's; {} processes wait and {} run in the colony",
                statistics.waiting, statistics.running
            ),
        ),
        Membership::Stranger => Finding::failure(
            check("member key"),
            format!("colony {} does not know it", colony.spec.colony_name),
            format!(
                "check spec.colonyName and {MEMBER_KEY} in Secret {}",
                colony.spec.credentials_secret_name
            ),
        ),
        Membership::Unknown(why) => {
            Finding::failure(check("member key"), why.clone(), "ask the server again")
        }
    });
    if matches!(snapshot.membership, Membership::Member(_)) {
        let own = snapshot.operator_executors.iter();
        findings.extend(own.map(|own| {
            executor(snapshot, own, check(&format!("operator's executor of type {}", own.executor_type)))
        }));
    }
    findings
}

fn credentials(snapshot: &ColonySnapshot, namespace: &str, check: String) -> Finding {
    let colony = &snapshot.object;
    let secret = &colony.spec.credentials_secret_name;
    match &snapshot.credentials {
        Credentials::Complete => Finding::ok(check, format!("Secret {namespace}/{secret} is in order")),
        Credentials::OperatorKeysMissing | Credentials::ReconcilerKeyMissing => Finding::warning(
            check,
            "the operator has not made all keys of its own yet",
            "see that the operator runs and leads: kubectl get pods,leases",
        ),
        Credentials::SecretNotFound => Finding::failure(
            check,
            format!("there is no Secret {secret} in namespace {namespace}"),
            format!(
                "kubectl --namespace {namespace} create secret generic {secret} --from-file={OWNER_KEY}=FILE \
                 (or name the operator's namespace with --namespace)"
            ),
        ),
        Credentials::Invalid { problem } => {
            Finding::failure(check, problem.clone(), "put a key of 64 hexadecimal digits there")
        }
        Credentials::Unknown(why) => Finding::failure(
            check,
            why.clone(),
            format!("check that Secrets of namespace {namespace} may be read by name"),
        ),
    }
}

fn executor(snapshot: &ColonySnapshot, own: &OperatorExecutor, check: String) -> Finding {
    let register = "see the conditions of the Colony and the operator's log; the owner key registers it";
    match &snapshot.executors {
        Observed::Unknown(why) => Finding::failure(check, why.clone(), "ask the server again"),
        Observed::Known(executors) => match executors.iter().find(|executor| executor.name == own.name) {
            None => Finding::failure(check, format!("{} is not registered", own.name), register),
            Some(found) if found.id.as_str() != own.id => Finding::failure(
                check,
                format!("{} is registered with another key", own.name),
                "remove that executor from the colony; the operator then registers its own",
            ),
            Some(found) if found.state == ExecutorState::Approved => {
                Finding::ok(check, format!("{} is registered and approved", own.name))
            }
            Some(found) => {
                Finding::failure(check, format!("{} is {}", own.name, found.state.as_str()), register)
            }
        },
    }
}

/// The owner of a colony has the key that the colony's id is derived from. To ask the server as the owner would take
/// a write.
async fn owner_key(colony: &Colony, owner: &Session, member: &Session) -> Finding {
    let check = format!("Colony {}: owner key", colony.name_any());
    match member.describe_colony().await {
        Ok(described) if described.id == *owner.id() => {
            Finding::ok(check, format!("is that of colony {}", described.name))
        }
        Ok(described) => Finding::failure(
            check,
            format!("is not that of colony {}, whose id is {}", described.name, described.id),
            format!(
                "put the colony's own key into {OWNER_KEY} of Secret {}",
                colony.spec.credentials_secret_name
            ),
        ),
        Err(error) => Finding::failure(check, error.to_string(), "ask the server again"),
    }
}
