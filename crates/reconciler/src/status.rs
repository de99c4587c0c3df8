//! What is told to the colony: the status of a blueprint, in the words of the stock docker-reconciler. Pure.

use serde_json::{Map, Value, json};

use crate::{
    fleet::{Fleet, KIND, Kind, Refused},
    name::ReplicaName,
    plan::Progress,
    snapshot::{Replica, Snapshot, State, Wish},
};

/// Most instances that a status lists; the counts are those of all.
const INSTANCES_MAX: usize = 500;
/// Longest message of a status.
const MESSAGE_MAX: usize = 2000;

/// The status of a blueprint, if it is another one than it has now: the times at which something was last looked at are no
/// difference. What others wrote beside ours stays.
#[must_use]
pub fn status(
    snapshot: &Snapshot,
    wish: &Wish,
    progress: Option<&Progress>,
    kind: Kind,
) -> Option<Map<String, Value>> {
    let (before, wanted) = match wish {
        Wish::Fleet(fleet) => (&fleet.status, of_fleet(snapshot, fleet, progress, kind)),
        Wish::Refused(refused) => (&refused.status, of_refused(snapshot, refused, kind)),
    };
    let mut status = before.clone();
    for (name, value) in wanted {
        if value.is_null() {
            status.remove(&name);
        } else {
            status.insert(name, value);
        }
    }
    (timeless(&status) != timeless(before)).then_some(status)
}

fn of_fleet(
    snapshot: &Snapshot,
    fleet: &Fleet,
    progress: Option<&Progress>,
    kind: Kind,
) -> Map<String, Value> {
    let mut fields = instances(snapshot, fleet.name.as_str(), &fleet.status, kind);
    let ready = snapshot.replicas.iter().filter(|replica| replica.name.fleet == fleet.name);
    let ready =
        ready.filter(|replica| snapshot.is_current(fleet, replica) && snapshot.is_ready(replica)).count();
    let waits = progress.map(|progress| progress.waits.join("; ")).unwrap_or_default();
    let message = [waits, fleet.notes.join("; ")]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    fields.insert("replicas".to_owned(), json!(fleet.replicas));
    fields.insert("readyReplicas".to_owned(), json!(ready));
    fields.insert("observedGeneration".to_owned(), json!(fleet.generation));
    fields.insert("message".to_owned(), words(&message));
    fields
}

fn of_refused(snapshot: &Snapshot, refused: &Refused, kind: Kind) -> Map<String, Value> {
    let mut fields = instances(snapshot, &refused.name, &refused.status, kind);
    let message = format!("this {KIND} cannot be carried out: {}", refused.reasons.join("; "));
    fields.insert("observedGeneration".to_owned(), json!(refused.generation));
    fields.insert("message".to_owned(), words(&message));
    fields
}

/// What is not worth a word is `null`, and taken out of the status.
fn words(message: &str) -> Value {
    // Seconds that pass are no news.
    let message: String = message.chars().take(MESSAGE_MAX).collect();
    if message.is_empty() { Value::Null } else { Value::String(message) }
}

/// The instances of this host, and those that reconcilers of other hosts have written and that still have executors.
fn instances(snapshot: &Snapshot, name: &str, before: &Map<String, Value>, kind: Kind) -> Map<String, Value> {
    let now = snapshot.now.to_string();
    let own = snapshot.replicas.iter().filter(|replica| replica.name.fleet.as_str() == name);
    let mut instances: Vec<Value> = own.map(|replica| instance(replica, kind, &now)).collect();
    let others = before.get("instances").and_then(Value::as_array).into_iter().flatten();
    instances.extend(others.filter(|instance| is_of_another_host(snapshot, name, instance)).cloned());
    let order = |instance: &Value| instance["name"].as_str().and_then(ReplicaName::parse);
    instances.sort_by_key(order);
    let running = instances.iter().filter(|instance| instance["state"] == "running").count();
    let total = instances.len();
    instances.truncate(INSTANCES_MAX);
    let mut fields = Map::new();
    fields.insert("instances".to_owned(), Value::Array(instances));
    fields.insert("runningInstances".to_owned(), json!(running));
    fields.insert("stoppedInstances".to_owned(), json!(total - running));
    fields.insert("totalInstances".to_owned(), json!(total));
    fields.insert("lastUpdated".to_owned(), json!(now));
    fields
}

fn instance(replica: &Replica, kind: Kind, now: &str) -> Value {
    json!({
        "id": replica.id,
        "name": replica.name.to_string(),
        "type": match kind { Kind::Docker => "container", Kind::Local => "process" },
        "state": match replica.state { State::Created => "created", State::Running => "running", State::Ended(_) => "exited" },
        "created": replica.created.to_string(),
        "image": replica.image,
        "lastCheck": now,
    })
}

fn is_of_another_host(snapshot: &Snapshot, fleet: &str, instance: &Value) -> bool {
    let name = instance["name"].as_str().and_then(ReplicaName::parse);
    let Some(name) = name.filter(|name| name.fleet.as_str() == fleet) else { return false };
    snapshot
        .member(&name)
        .is_some_and(|member| !member.is_gone && member.host.as_ref() != Some(&snapshot.host))
}

/// A status without what changes by itself.
fn timeless(status: &Map<String, Value>) -> Map<String, Value> {
    let mut status = status.clone();
    status.remove("lastUpdated");
    if let Some(Value::Array(instances)) = status.get_mut("instances") {
        for instance in instances.iter_mut().filter_map(Value::as_object_mut) {
            instance.remove("lastCheck");
        }
    }
    // A server written in Go may give whole numbers back as floating point.
    for value in status.values_mut() {
        if let Some(number) = value.as_f64() {
            *value = json!(number);
        }
    }
    status
}

#[cfg(test)]
mod tests;
