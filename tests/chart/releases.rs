//! What a release is checked with after it is installed, and several releases in one cluster.

use std::collections::BTreeSet;

use colonyos_operator::runtime::config;
use serde_json::{Value, json};

use super::helm::{OPERATOR, RELEASE, of_kind, only, render, render_as, tests};

fn labels(object: &Value) -> &serde_json::Map<String, Value> {
    object["metadata"]["labels"].as_object().unwrap()
}

/// Whether a selector, a map of labels, selects an object with these labels.
fn selects(selector: &Value, labels: &serde_json::Map<String, Value>) -> bool {
    selector.as_object().unwrap().iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Whatever selects pods of a release.
fn selectors(objects: &[Value]) -> Vec<&Value> {
    let pointers = [
        ("Deployment", "/spec/selector/matchLabels"),
        ("PodDisruptionBudget", "/spec/selector/matchLabels"),
        ("NetworkPolicy", "/spec/podSelector/matchLabels"),
        ("Service", "/spec/selector"),
    ];
    let of = |(kind, pointer): (&str, &'static str)| {
        of_kind(objects, kind).into_iter().map(move |object| object.pointer(pointer).unwrap())
    };
    pointers.into_iter().flat_map(of).collect()
}

fn everything(names: &str, group: &str) -> Value {
    json!({
        "watchNamespaces": [names],
        "configuration": {"clusterSelector": {"team": names}},
        "userKinds": {"groups": [group], "composes": [{"apiGroups": [""], "resources": ["configmaps"]}]},
        "colony": {"create": true, "name": names, "server": {"host": "h"}, "colonyName": "c",
                   "credentials": {"existingSecret": "keys"}},
        "metrics": {"service": {"enabled": true}, "serviceMonitor": {"enabled": true},
                    "prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}},
        "podDisruptionBudget": {"enabled": true},
        "networkPolicy": {"enabled": true},
    })
}

#[test]
fn a_test_runs_doctor_as_an_account_of_few_rights() {
    let objects = tests(OPERATOR, &json!({"configuration": {"leaderElection": {"leaseName": "l"}}})).unwrap();
    let pod = only(&objects, "Pod");
    let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
    assert_eq!(container["args"][0], "doctor");
    let release = render(OPERATOR, &json!({})).unwrap();
    let account = &only(&release, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"];
    let arguments = container["args"].as_array().unwrap();
    assert!(arguments.contains(&json!(format!("--account={}", account.as_str().unwrap()))), "{arguments:?}");
    assert_ne!(spec["serviceAccountName"], *account);
    assert_eq!(spec["restartPolicy"], "Never");

    // Restricted, as the operator.
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let context = &container["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
    assert!(container["resources"]["limits"]["memory"].is_string());

    // It reads no Secret and changes nothing.
    let roles = of_kind(&objects, "ClusterRole").into_iter().chain(of_kind(&objects, "Role"));
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        let is_question = rule["resources"] == json!(["subjectaccessreviews"]);
        let verbs = rule["verbs"].as_array().unwrap();
        assert!(is_question || verbs.iter().all(|verb| ["get", "list"].contains(&verb.as_str().unwrap())));
        assert!(!rule["resources"].to_string().contains("secrets"), "{rule}");
    }
    assert_eq!(only(&objects, "Role")["rules"][0]["resourceNames"], json!(["l"]));

    // Nothing that belongs to the operator takes it for one of its pods.
    let release = render(OPERATOR, &everything("red", "a.example.com")).unwrap();
    for selector in selectors(&release) {
        assert!(!selects(selector, labels(pod)), "{selector}");
    }
    assert!(tests(OPERATOR, &json!({"test": {"enabled": false}})).unwrap().is_empty());
    let without = tests(OPERATOR, &json!({"rbac": {"create": false}})).unwrap();
    assert_eq!(without.len(), 2, "its account and the pod");
}

/// The objects of two releases, in namespaces of their own or in one, do not meet.
#[test]
fn two_releases_in_one_cluster_do_not_meet() {
    let first = render_as(RELEASE, "one", OPERATOR, &everything("red", "a.example.com")).unwrap();
    let second = render_as("green", "two", OPERATOR, &everything("yellow", "b.example.com")).unwrap();
    let names = |objects: &[Value]| -> BTreeSet<String> {
        let name = |object: &Value| {
            let metadata = &object["metadata"];
            format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"])
        };
        objects.iter().map(name).collect()
    };
    let shared: Vec<String> = names(&first).intersection(&names(&second)).cloned().collect();
    assert_eq!(shared, [""; 0]);

    let pods = |objects: &[Value]| {
        let template = only(objects, "Deployment")["spec"]["template"].clone();
        labels(&template).clone()
    };
    for (selected, other) in [(&first, &second), (&second, &first)] {
        assert!(selectors(selected).len() >= 4);
        for selector in selectors(selected) {
            assert!(selects(selector, &pods(selected)) && !selects(selector, &pods(other)), "{selector}");
        }
    }

    // What one operator writes in its namespaces is no concern of the policies of the other.
    for (objects, watched) in [(&first, "red"), (&second, "yellow")] {
        let bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding");
        assert!(bindings.len() >= 8);
        for binding in bindings {
            let expressions = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"];
            let expected =
                json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": [watched]}]);
            assert_eq!(*expressions, expected, "{}", binding["metadata"]["name"]);
        }
        for binding in of_kind(objects, "RoleBinding") {
            let namespace = binding["metadata"]["namespace"].as_str().unwrap();
            // Events of what is in no namespace are in this one.
            assert!([watched, "one", "two", "default"].contains(&namespace), "{binding}");
        }
        // Each looks after the Colony that it makes.
        let text =
            of_kind(objects, "ConfigMap").into_iter().find_map(|map| map["data"]["config.yaml"].as_str());
        let read = config::parse(text.unwrap(), std::path::Path::new("config.yaml")).unwrap();
        let colony = only(objects, "Colony");
        for (name, value) in &read.cluster_selector {
            assert_eq!(labels(colony)[name], *value);
        }
        assert_eq!(read.cluster_selector["team"], watched);
    }
}

/// A release that works everywhere has policies that hold everywhere.
#[test]
fn policies_hold_everywhere_where_every_namespace_is_looked_after() {
    let objects = render(OPERATOR, &json!({})).unwrap();
    for binding in of_kind(&objects, "ValidatingAdmissionPolicyBinding") {
        assert!(binding["spec"]["matchResources"].is_null(), "{binding}");
    }
}
