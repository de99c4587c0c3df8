//! The object that runs again what another has run. Pure.

use serde_json::{Map, Value, json};

use crate::{
    api::{
        kind::Kind,
        names::{
            APP_MANAGED_BY_LABEL, COLONIES_GROUP, COLONY_ANNOTATION, COMPUTE_GROUP, EXECUTOR_TYPE_ANNOTATION,
            FLOW_ANNOTATION, RERUN_ANNOTATION, ROLES_ANNOTATION,
        },
        request_state::State,
    },
    cli::explain::facts::Facts,
};

/// Annotations of the operator that say what is to be done. All others say what was.
const KEPT: [&str; 4] = [COLONY_ANNOTATION, EXECUTOR_TYPE_ANNOTATION, FLOW_ANNOTATION, ROLES_ANNOTATION];
/// Groups of labels and annotations by which tools own an object; they would delete a copy, or take it for the first.
const OF_TOOLS: [&str; 6] = [
    "argocd.argoproj.io/",
    "config.kubernetes.io/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
];
/// The label by which Argo CD owns an object.
const APP_INSTANCE: &str = "app.kubernetes.io/instance";
/// Fields of a spec that are about the run of the first.
const OF_THE_FIRST: [&str; 5] = ["suspend", "cancel", "processId", "graphId", "adoptionPolicy"];
/// The longest name of an object, and the longest identifier of a request.
const LONGEST: usize = 253;

/// The object that runs again what another has run. `others` are those of its kind in its namespace.
///
/// # Errors
///
/// When it has not finished, or cannot be run again; what to do instead.
pub(super) fn again(facts: &Facts, others: &[Value]) -> Result<Value, String> {
    let (kind, name) = (facts.text("/kind"), facts.text("/metadata/name"));
    let number = next_number(root(facts, name), others);
    let spec = match facts.kind() {
        Kind::ColonyProcess | Kind::ColonyWorkflow => work(facts)?,
        Kind::RequestState => request(facts, number)?,
        Kind::ColonyCron => {
            return Err(format!(
                "a ColonyCron creates runs: colonyos-operator trigger colonycron/{name} creates one now"
            ));
        }
        Kind::Instance => {
            let lower = kind.to_lowercase();
            return Err(format!(
                "a {kind} runs again when its spec changes: kubectl edit {lower} {name}, or delete it and create it again"
            ));
        }
        _ => return Err(format!("a {kind} does not finish, so there is nothing to run again")),
    };
    let metadata = &facts.object["metadata"];
    let mut annotations = kept(&metadata["annotations"]);
    annotations.insert(RERUN_ANNOTATION.to_owned(), json!(name));
    Ok(json!({
        "apiVersion": facts.text("/apiVersion"),
        "kind": kind,
        "metadata": {
            "name": numbered(root(facts, name), number),
            "namespace": facts.text("/metadata/namespace"),
            "labels": kept(&metadata["labels"]),
            "annotations": annotations,
        },
        "spec": spec,
    }))
}

fn work(facts: &Facts) -> Result<Value, String> {
    let (kind, name) = (facts.text("/kind"), facts.text("/metadata/name"));
    if !facts.is_over() {
        return Err(format!(
            "{kind} {name} has not finished: wait for it, or cancel it (colonyos-operator cancel {}/{name})",
            kind.to_lowercase()
        ));
    }
    let policies: Option<Vec<String>> = facts.part("/spec/managementPolicies");
    let may_submit = |policies: &[String]| policies.iter().any(|policy| policy == "*" || policy == "Create");
    if policies.as_deref().is_some_and(|policies| !policies.is_empty() && !may_submit(policies)) {
        return Err(format!(
            "{kind} {name} shows work of another owner: its spec.managementPolicies do not let the operator submit anything"
        ));
    }
    let mut spec = facts.object["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|field, _| !OF_THE_FIRST.contains(&field.as_str()));
    }
    Ok(spec)
}

/// A request from the first of its jobs on.
fn request(facts: &Facts, number: u32) -> Result<Value, String> {
    let name = facts.text("/metadata/name");
    let state: Option<State> = facts.part("/spec/state");
    if state != Some(State::Cancelled) && !(facts.is_over() && state.is_some_and(State::has_ended)) {
        return Err(format!(
            "RequestState {name} has not finished: wait for it, or cancel it (colonyos-operator cancel requeststate/{name})"
        ));
    }
    let of_list = facts.annotation(FLOW_ANNOTATION).split(',').map(str::trim).find(|job| !job.is_empty());
    let of_list = of_list.filter(|_| facts.flow_name().is_none());
    let of_flow = facts.flow.as_ref().and_then(|flow| flow.spec.jobs.first()).map(|job| job.name.as_str());
    let history = Some(facts.text("/status/history/0/job")).filter(|job| !job.is_empty());
    let job = of_flow.or(of_list).or(history).unwrap_or_else(|| facts.text("/spec/job"));
    Ok(json!({
        "request-uid": numbered(facts.text("/spec/request-uid"), number),
        "job": job,
        "state": State::Requested.as_str(),
    }))
}

/// Labels or annotations that are the user's, and say what is to be done.
fn kept(all: &Value) -> Map<String, Value> {
    let is_kept = |name: &str| {
        let group = name.split_once('/').map_or("", |(group, _)| group);
        let is_ours = [COLONIES_GROUP, COMPUTE_GROUP].contains(&group);
        let is_of_tool = OF_TOOLS.iter().any(|prefix| name.starts_with(prefix))
            || [APP_INSTANCE, APP_MANAGED_BY_LABEL].contains(&name);
        KEPT.contains(&name) || !(is_ours || is_of_tool)
    };
    let all = all.as_object().into_iter().flatten();
    all.filter(|(name, _)| is_kept(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What reruns are called after: of one that is a rerun itself, the first.
fn root<'n>(facts: &Facts, name: &'n str) -> &'n str {
    let first = name.rsplit_once("-rerun-").filter(|(_, number)| number.parse::<u32>().is_ok());
    match first {
        Some((first, _)) if !facts.annotation(RERUN_ANNOTATION).is_empty() => first,
        _ => name,
    }
}

/// A number that no rerun has.
fn next_number(root: &str, others: &[Value]) -> u32 {
    let names = others.iter().filter_map(|other| other["metadata"]["name"].as_str());
    let prefix = numbered_prefix(root);
    let numbers =
        names.filter_map(|name| name.strip_prefix(prefix)?.strip_prefix("-rerun-")?.parse::<u32>().ok());
    numbers.max().unwrap_or(0).saturating_add(1)
}

fn numbered(root: &str, number: u32) -> String {
    format!("{}-rerun-{number}", numbered_prefix(root))
}

/// As much of a name as leaves room for the longest number.
fn numbered_prefix(root: &str) -> &str {
    let longest = LONGEST - "-rerun-".len() - u32::MAX.to_string().len();
    let end = (0..=longest.min(root.len())).rev().find(|end| root.is_char_boundary(*end)).unwrap_or(0);
    root[..end].trim_end_matches(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(object: Value) -> Facts {
        Facts { object, ..Facts::default() }
    }

    fn finished(status: &str) -> Value {
        json!([{ "type": "Finished", "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-11-21T10:00:00Z" }])
    }

    fn process() -> Value {
        json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
            "metadata": {
                "name": "encode", "namespace": "media", "uid": "u-1", "finalizers": ["colonies.io/colony-process"],
                "ownerReferences": [{ "kind": "ColonyCron", "name": "nightly" }],
                "labels": { "team": "blue", "colonies.io/cron": "nightly", "app.kubernetes.io/managed-by": "colonyos-operator" },
                "annotations": {
                    "example.com/cost": "7", "colonies.io/submitted-as": "k8s:c/u-1/media/encode", "colonies.io/paused": "true",
                    "kubectl.kubernetes.io/last-applied-configuration": "{}",
                },
            },
            "spec": { "function": "encode", "cancel": true, "suspend": false, "processId": "p", "adoptionPolicy": "adopt-or-create",
                      "ttlSecondsAfterFinished": 60 },
            "status": { "state": "Cancelled", "conditions": finished("True") },
        })
    }

    #[test]
    fn the_same_is_wished_again_without_what_was_of_the_first_run() {
        let expected = json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
            "metadata": {
                "name": "encode-rerun-1", "namespace": "media", "labels": { "team": "blue" },
                "annotations": { "example.com/cost": "7", "colonies.io/rerun-of": "encode" },
            },
            "spec": { "function": "encode", "ttlSecondsAfterFinished": 60 },
        });
        assert_eq!(again(&facts(process()), &[process()]), Ok(expected));
    }

    #[test]
    fn reruns_are_numbered_after_the_first() {
        let named = |name: &str| json!({ "metadata": { "name": name } });
        let others = [
            named("encode-rerun-1"),
            named("encode-rerun-9"),
            named("encode-rerun-x"),
            named("encoder-rerun-30"),
        ];
        let name = |object: Value| again(&facts(object), &others).unwrap()["metadata"]["name"].clone();
        assert_eq!(name(process()), "encode-rerun-10");
        let mut second = process();
        second["metadata"]["name"] = json!("encode-rerun-9");
        assert_eq!(name(second.clone()), "encode-rerun-9-rerun-1", "a name that only looks like one");
        second["metadata"]["annotations"]["colonies.io/rerun-of"] = json!("encode");
        assert_eq!(name(second.clone()), "encode-rerun-10");
        let annotations = again(&facts(second), &others).unwrap()["metadata"]["annotations"].clone();
        assert_eq!(annotations["colonies.io/rerun-of"], "encode-rerun-9");
        let mut long = process();
        long["metadata"]["name"] = json!(format!("{}.{}", "a".repeat(235), "b".repeat(17)));
        let long = name(long);
        assert_eq!(long, format!("{}-rerun-1", "a".repeat(235)));
    }

    #[test]
    fn only_what_has_finished_and_is_ours_is_run_again() {
        let mut running = process();
        running["status"]["conditions"] = finished("False");
        assert!(again(&facts(running), &[]).unwrap_err().contains("cancel colonyprocess/encode"));
        let mut seen = process();
        seen["spec"]["managementPolicies"] = json!(["Observe"]);
        assert!(again(&facts(seen), &[]).unwrap_err().contains("another owner"));
        let other = |kind: &str| {
            again(
                &facts(json!({ "apiVersion": "colonies.io/v1", "kind": kind, "metadata": { "name": "x" } })),
                &[],
            )
        };
        assert!(other("ColonyCron").unwrap_err().contains("trigger colonycron/x"));
        assert!(other("MLModel").unwrap_err().contains("kubectl edit mlmodel x"));
        assert!(other("Colony").is_err());
    }

    #[test]
    fn a_request_begins_with_its_first_job_under_another_identifier() {
        let request = |flow: Option<&str>, state: &str, done: &str| {
            json!({
                "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
                "metadata": { "name": "order", "annotations": { "colonies.io/flow": flow, "colonies.io/roles": "Director",
                                                                "colonies.io/claim": "{}" } },
                "spec": { "request-uid": "u-7", "job": "SHIP", "state": state },
                "status": { "conditions": finished(done), "history": [{ "job": "OLD", "state": "REQUESTED", "timestamp": "t" }] },
            })
        };
        let rerun = again(&facts(request(Some("PACK,SHIP"), "COMPLETED", "True")), &[]).unwrap();
        assert_eq!(
            rerun["spec"],
            json!({ "request-uid": "u-7-rerun-1", "job": "PACK", "state": "REQUESTED" })
        );
        let annotations = json!({ "colonies.io/flow": "PACK,SHIP", "colonies.io/roles": "Director", "colonies.io/rerun-of": "order" });
        assert_eq!(rerun["metadata"]["annotations"], annotations);

        let mut of_flow = facts(request(Some("shipping"), "FAILED", "True"));
        let flow = json!({ "apiVersion": "colonies.io/v1", "kind": "RequestFlow", "metadata": { "name": "shipping" },
                           "spec": { "jobs": [{ "name": "FIRST", "function": { "name": "f", "executorType": "t" } }, { "name": "SHIP", "function": { "name": "f", "executorType": "t" } }] } });
        of_flow.flow = Some(serde_json::from_value(flow).unwrap());
        assert_eq!(again(&of_flow, &[]).unwrap()["spec"]["job"], "FIRST");
        let plain = facts(request(None, "CANCELLED", "False"));
        assert_eq!(again(&plain, &[]).unwrap()["spec"]["job"], "OLD");
        let between = facts(request(None, "COMPLETED", "False"));
        assert!(again(&between, &[]).unwrap_err().contains("has not finished"));
    }
}
