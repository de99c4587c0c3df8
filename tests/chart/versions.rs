//! Helm 3 and 4, and Kubernetes 1.30 to 1.37: the charts come out the same, and use only what each of them has.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use super::{
    environment,
    helm::{DEFINITIONS, NAMESPACE, OPERATOR, RELEASE, parse, run},
    operator::everything,
};

/// What a Kubernetes version serves, of the groups that charts use: served from the version in the third column on, and not
/// removed up to 1.37. Optional ones are of other projects, whose CRDs a value asks for.
const SERVED: [(&str, &str, u32); 14] = [
    ("v1", "ConfigMap", 0),
    ("v1", "Pod", 0),
    ("v1", "Secret", 0),
    ("v1", "Service", 0),
    ("v1", "ServiceAccount", 0),
    ("apps/v1", "Deployment", 9),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", 16),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", 30),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", 30),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", 16),
    ("networking.k8s.io/v1", "NetworkPolicy", 7),
    ("policy/v1", "PodDisruptionBudget", 21),
    ("rbac.authorization.k8s.io/v1", "*", 8),
    ("colonies.io/v1", "Colony", 0),
];
const OF_OTHERS: [&str; 1] = ["monitoring.coreos.com/v1"];

/// The Kubernetes versions that the charts are for.
const KUBERNETES: std::ops::RangeInclusive<u32> = 30..=37;

/// Each Helm that the charts are for.
fn helms() -> Vec<String> {
    let named = ["HELM_BIN", "HELM4_BIN"].map(|name| {
        environment::variable(name)
            .unwrap_or_else(|| panic!("{name} is not set; `cargo xtask test --rung chart` provides it"))
    });
    named.to_vec()
}

/// Everything that a value can switch on.
fn all_values() -> Value {
    let mut values = everything();
    values["userKinds"] = json!({"groups": ["ml.example.com"], "composes": [{"apiGroups": ["apps"], "resources": ["deployments"]}]});
    values["metrics"] = json!({"service": {"enabled": true}, "serviceMonitor": {"enabled": true},
                               "prometheusRule": {"enabled": true}, "dashboard": {"enabled": true}});
    values
}

fn template(helm: &str, chart: &str, kubernetes: &str, values: &Value) -> Result<Vec<Value>, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, values).unwrap();
    let path = file.path().to_str().unwrap();
    let namespace = ["--namespace", NAMESPACE, "--kube-version", kubernetes, "--values", path];
    Ok(parse(&run(helm, &[&["template", RELEASE, chart], &namespace[..]].concat())?))
}

/// By what an API server tells objects apart: versions of Helm order them differently.
fn sorted(mut objects: Vec<Value>) -> Vec<Value> {
    let key = |object: &Value| {
        let text = |pointer: &str| object.pointer(pointer).map(ToString::to_string).unwrap_or_default();
        (text("/kind"), text("/metadata/namespace"), text("/metadata/name"))
    };
    objects.sort_by_key(key);
    objects
}

#[test]
fn helm_3_and_4_make_the_same_of_the_charts() {
    let helms = helms();
    for helm in &helms {
        let said =
            run(helm, &["lint", "--strict", "--kube-version", "1.36.0", OPERATOR, DEFINITIONS]).unwrap();
        assert!(said.contains("2 chart(s) linted, 0 chart(s) failed"), "{helm}: {said}");
    }
    for (chart, values) in [(OPERATOR, json!({})), (OPERATOR, all_values()), (DEFINITIONS, json!({}))] {
        let [three, four] = [0, 1].map(|at| sorted(template(&helms[at], chart, "1.36.0", &values).unwrap()));
        assert_eq!(three, four, "{chart}");
    }
}

/// Without a cluster to ask, a Helm that believes in an old Kubernetes refuses the chart.
#[test]
fn the_helms_of_a_stack_know_a_kubernetes_that_the_chart_takes() {
    for helm in helms() {
        let said = run(&helm, &["template", RELEASE, OPERATOR, "--namespace", NAMESPACE]);
        assert!(said.is_ok(), "{helm}: {}", said.unwrap_err());
    }
}

#[test]
fn each_kubernetes_gets_the_same_objects_and_serves_them() {
    for helm in helms() {
        for chart in [OPERATOR, DEFINITIONS] {
            let values = if chart == OPERATOR { all_values() } else { json!({}) };
            let mut first = None;
            for minor in KUBERNETES {
                let objects = sorted(template(&helm, chart, &format!("1.{minor}.0"), &values).unwrap());
                for object in &objects {
                    let (version, kind) =
                        (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
                    let is_served = SERVED.iter().any(|(served, of, since)| {
                        *served == version && (*of == kind || *of == "*") && *since <= minor
                    });
                    assert!(
                        is_served || OF_OTHERS.contains(&version),
                        "1.{minor} serves no {kind} of {version}"
                    );
                }
                let first = first.get_or_insert_with(|| objects.clone());
                assert_eq!(*first, objects, "1.{minor}");
            }
        }
        let old = template(&helm, OPERATOR, "1.29.0", &json!({})).unwrap_err();
        assert!(old.contains("requires kubeVersion: >=1.30"), "{old}");
    }
}

/// Functions of CEL and since which Kubernetes version CRDs and admission policies may call them, as
/// <https://kubernetes.io/docs/reference/using-api/cel/> has it; those of the language itself since ever.
const FUNCTIONS: [(&str, u32); 38] = [
    ("has", 0),
    ("dyn", 0),
    ("type", 0),
    ("size", 0),
    ("string", 0),
    ("int", 0),
    ("duration", 0),
    ("timestamp", 0),
    ("matches", 0),
    ("contains", 0),
    ("startsWith", 0),
    ("endsWith", 0),
    ("all", 0),
    ("exists", 0),
    ("exists_one", 0),
    ("filter", 0),
    ("map", 0),
    // Lists of Kubernetes, and the library of extended strings.
    ("isSorted", 25),
    ("sum", 25),
    ("min", 25),
    ("max", 25),
    ("indexOf", 25),
    ("split", 25),
    ("join", 25),
    ("replace", 25),
    ("substring", 25),
    ("lowerAscii", 25),
    ("trim", 25),
    ("find", 25),
    ("findAll", 25),
    // The authorizer.
    ("group", 27),
    ("resource", 27),
    ("subresource", 27),
    ("namespace", 27),
    ("name", 27),
    ("check", 27),
    ("allowed", 27),
    // Optional types.
    ("orValue", 29),
];

/// What is called in an expression, outside of its texts.
fn called(expression: &str) -> BTreeSet<String> {
    let mut code = String::new();
    let (mut quote, mut is_escaped) = (None, false);
    for character in expression.chars() {
        match quote {
            Some(_) if is_escaped => is_escaped = false,
            Some(_) if character == '\\' => is_escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character == '"' || character == '\'' => quote = Some(character),
            None => code.push(character),
        }
    }
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices('(') {
        let is_word = |character: &char| character.is_alphanumeric() || *character == '_';
        let word: Vec<char> = code[..at].chars().rev().take_while(is_word).collect();
        let word: String = word.into_iter().rev().collect();
        if !word.is_empty() && word != "in" {
            found.insert(word);
        }
    }
    found
}

/// The expressions of an object: of rules, conditions, variables and messages.
fn expressions(object: &Value, found: &mut Vec<String>) {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if ["rule", "expression", "messageExpression"].contains(&&**name) => {
                        found.push(text.clone());
                    }
                    value => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn expressions_call_what_the_oldest_kubernetes_knows() {
    let helms = helms();
    let mut objects = template(&helms[0], OPERATOR, "1.30.0", &all_values()).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).unwrap() {
        objects.extend(parse(&fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    let mut all = Vec::new();
    let with_rules =
        ["CustomResourceDefinition", "ValidatingAdmissionPolicy", "MutatingWebhookConfiguration"];
    let checked = objects.iter().filter(|object| with_rules.iter().any(|kind| object["kind"] == *kind));
    checked.for_each(|object| expressions(object, &mut all));
    assert!(all.len() > 150, "{} expressions", all.len());
    for expression in all {
        for function in called(&expression) {
            let known = FUNCTIONS.iter().find(|(name, _)| *name == function);
            let since = known.unwrap_or_else(|| panic!("since when is there {function}? in {expression}")).1;
            assert!(since <= *KUBERNETES.start(), "{function} is there since 1.{since}: {expression}");
        }
    }
}

/// A cluster of 1.30 drops a field of CRDs that it has not, or has behind a gate only: `selectableFields` came with 1.31.
#[test]
fn crds_have_no_field_that_the_oldest_kubernetes_drops() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("crds")).unwrap() {
        let path = entry.unwrap().path();
        for definition in parse(&fs::read_to_string(&path).unwrap()) {
            for version in definition["spec"]["versions"].as_array().unwrap() {
                assert!(version["selectableFields"].is_null(), "{}", path.display());
            }
        }
    }
}
