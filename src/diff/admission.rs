//! What admission makes of the operator's writes. What an answer to an own write has otherwise than it was written, the API
//! server wants so: it rewrites, adds, drops or spells it its own way, and would do so again. Such fields are noted on the
//! object itself, hence known after a restart, and neither written again nor waited for. What differs later is drift. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::difference::{Difference, Surplus, compared};
use crate::api::metadata::content_hash;

/// Most fields that are noted of an object. Those beyond are written again, with growing delays.
const MOST: usize = 64;
/// Most fields of an object that are named to people.
const NAMED: usize = 8;

/// The fields of an object that are not as they were written, each with what was written and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admitted(BTreeMap<String, String>);

impl Admitted {
    /// Reads what an object's annotation says.
    #[must_use]
    pub fn read(annotation: Option<&str>) -> Self {
        Self(annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// Whether a field is as an answer had it when the same was written.
    #[must_use]
    pub fn covers(&self, difference: &Difference<'_>) -> bool {
        self.0.get(&difference.to_string()).is_some_and(|noted| *noted == note(difference))
    }

    /// What is to be noted after a write that answered with `answer`; none if all of it is noted already. `sent` are the fields
    /// that were written because they differed.
    #[must_use]
    pub fn after(
        &self,
        written: &Value,
        answer: &Value,
        surplus: Surplus,
        sent: &[String],
    ) -> Option<String> {
        let mut differing = compared(written, answer, surplus);
        // A merge patch takes away by null what it does not want.
        differing.retain(|difference| difference.wanted != Some(&Value::Null));
        if differing.iter().all(|difference| self.covers(difference)) {
            return None;
        }
        let is_outdated = |path: &str| sent.iter().any(|sent| is_within(path, sent) || is_within(sent, path));
        let mut noted: BTreeMap<String, String> =
            differing.iter().map(|difference| (difference.to_string(), note(difference))).collect();
        for (path, earlier) in &self.0 {
            if noted.len() < MOST && !is_outdated(path) {
                noted.entry(path.clone()).or_insert_with(|| earlier.clone());
            }
        }
        let noted: BTreeMap<_, _> = noted.into_iter().take(MOST).collect();
        (noted != self.0).then(|| serde_json::to_string(&noted).ok()).flatten()
    }
}

/// What is compared of a workload: others may add annotations and references of their own.
#[must_use]
pub fn of_workload<T: Serialize>(workload: &T) -> Value {
    let workload = serde_json::to_value(workload).unwrap_or_default();
    let part = |pointer: &str| workload.pointer(pointer).cloned().unwrap_or_default();
    let metadata = json!({ "name": part("/metadata/name"), "labels": part("/metadata/labels") });
    json!({ "metadata": metadata, "spec": part("/spec") })
}

/// Has `wanted` want what `is_accepted` of what differs; what people are to be told of it.
pub fn accept(
    wanted: &mut Value,
    found: &Value,
    surplus: Surplus,
    is_accepted: impl Fn(&Difference<'_>) -> bool,
) -> Vec<String> {
    let seen = wanted.clone();
    let accepted: Vec<Difference<'_>> =
        compared(&seen, found, surplus).into_iter().filter(|difference| is_accepted(difference)).collect();
    for difference in &accepted {
        difference.accept(wanted);
    }
    accepted.iter().filter(|difference| !difference.is_reworded()).map(ToString::to_string).collect()
}

/// The fields of an object that admission has otherwise, in words; none if there are none.
#[must_use]
pub fn told(kind: &str, name: &str, fields: &[String]) -> Option<String> {
    let named: Vec<&str> = fields.iter().take(NAMED).map(String::as_str).collect();
    let more = fields.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{kind} {name}: {}{more}", named.join(", ")))
}

fn note(difference: &Difference<'_>) -> String {
    let value = |value: Option<&Value>| value.cloned().unwrap_or_default();
    content_hash(&Value::from(vec![value(difference.wanted), value(difference.found)]))
}

/// Whether a path is another one, or below it.
fn is_within(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(before: &Admitted, written: &Value, answer: &Value) -> Admitted {
        Admitted::read(before.after(written, answer, Surplus::Ours, &[]).as_deref())
    }

    fn left(admitted: &Admitted, wanted: &Value, found: &Value) -> (Vec<String>, Vec<String>) {
        let mut accepted = wanted.clone();
        let told = accept(&mut accepted, found, Surplus::Ours, |difference| admitted.covers(difference));
        let left = compared(&accepted, found, Surplus::Ours).iter().map(ToString::to_string).collect();
        (left, told)
    }

    /// A field that admission has rewritten, added or removed would be written for ever.
    #[test]
    fn what_an_answer_has_otherwise_is_wanted_so() {
        let wanted = json!({"spec": {"image": "a", "paused": false, "name": "x", "containers": [{"env": [{"name": "A"}]}]}});
        let found = json!({"spec": {"image": "mirror/a", "nodeSelector": {"pool": "1"}, "name": "x", "containers": [{"env": [{"name": "A"}, {"name": "B"}]}]}});
        let admitted = noted(&Admitted::default(), &wanted, &found);
        let (left_so, told) = left(&admitted, &wanted, &found);
        assert_eq!(left_so, Vec::<String>::new());
        assert_eq!(told, ["spec.containers[0].env", "spec.image", "spec.nodeSelector"]);
        assert_eq!(admitted.after(&wanted, &found, Surplus::Ours, &[]), None, "it is noted already");
        assert_eq!(
            left(&Admitted::default(), &wanted, &found).0.len(),
            4,
            "nothing is known of another object"
        );
    }

    /// A change of others is undone, also of a field that admission has rewritten, and so is what is wanted anew.
    #[test]
    fn what_comes_later_is_drift() {
        let wanted = json!({"spec": {"image": "a", "replicas": 1, "automountServiceAccountToken": false}});
        let found =
            json!({"spec": {"image": "mirror/a", "replicas": 1, "automountServiceAccountToken": false}});
        let admitted = noted(&Admitted::default(), &wanted, &found);
        for (field, value) in
            [("image", json!("evil")), ("replicas", json!(7)), ("automountServiceAccountToken", json!(null))]
        {
            let mut edited = found.clone();
            edited["spec"][field] = value;
            assert_eq!(left(&admitted, &wanted, &edited).0, [format!("spec.{field}")]);
        }
        let mut removed = found.clone();
        removed["spec"].as_object_mut().unwrap().remove("automountServiceAccountToken");
        assert_eq!(left(&admitted, &wanted, &removed).0, ["spec.automountServiceAccountToken"]);
        let mut anew = wanted.clone();
        anew["spec"]["image"] = json!("b");
        assert_eq!(left(&admitted, &anew, &found).0, ["spec.image"]);
    }

    /// What a patch did not send, its answer says nothing about.
    #[test]
    fn what_was_not_sent_stays_noted_and_what_was_is_noted_anew() {
        let admitted =
            noted(&Admitted::default(), &json!({"a": 1, "b": {"c": 1}}), &json!({"a": 2, "b": {"c": 2}}));
        let sent = ["b".to_owned()];
        let after =
            admitted.after(&json!({"d": 1}), &json!({"a": 2, "b": {"c": 1}, "d": 3}), Surplus::Theirs, &sent);
        let after = Admitted::read(after.as_deref());
        assert_eq!(after.0.keys().collect::<Vec<_>>(), ["a", "d"]);
    }

    /// Kubernetes' own defaults and spellings are no news.
    #[test]
    fn other_words_for_the_same_are_not_told() {
        let wanted = json!({
            "hostNetwork": false, "initialDelaySeconds": 0, "clusterIP": "", "storage": "1024Mi", "cpu": 2,
            "data": {"key": "aGVs\nbG8=\n"}, "empty": [],
        });
        let found =
            json!({"clusterIP": "10.0.0.7", "storage": "1Gi", "cpu": "2", "data": {"key": "aGVsbG8="}});
        let admitted = noted(&Admitted::default(), &wanted, &found);
        assert_eq!(left(&admitted, &wanted, &found), (Vec::new(), Vec::new()));
    }

    #[test]
    fn an_object_with_many_such_fields_keeps_its_annotation_small() {
        let fields =
            |value: &str| (0..1000).map(|index| (format!("f{index}"), json!(value))).collect::<Value>();
        let note = Admitted::default().after(&fields("a"), &fields("b"), Surplus::Theirs, &[]).unwrap();
        assert!(note.len() < 4096, "{}", note.len());
        let many: Vec<String> = (0..10).map(|index| format!("f{index}")).collect();
        assert_eq!(
            told("Service", "s", &many).unwrap(),
            "Service s: f0, f1, f2, f3, f4, f5, f6, f7 and 2 more"
        );
    }
}
