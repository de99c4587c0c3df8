//! What is found before there is an instance.

use serde_json::json;

use super::*;
use crate::api::condition::Reason;

pub(super) fn spec() -> Value {
    json!({
        "replicas": {"type": "integer"}, "image": {"type": "string"}, "monitoring": {"type": "boolean"},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "ports": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
    })
}

pub(super) fn errors(handler: &str) -> Vec<String> {
    Definition::new(&spec(), handler).errors()
}

/// One resource, of which the test says what follows `metadata`.
pub(super) fn config_map(rest: &str) -> String {
    format!(
        "resources: [{{id: config, template: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, {rest}}}}}]"
    )
}

#[track_caller]
pub(super) fn assert_refused(handler: &str, expected: &[&str]) {
    let errors = errors(handler);
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}\nis not\n{expected}");
    }
}

#[test]
fn what_is_right_is_taken() {
    let definition = Definition::new(
        &spec(),
        r#"
resources:
  - id: web
    template:
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: "${self.metadata.name}", namespace: "${self.metadata.namespace}", labels: {a: b}}
      spec:
        replicas: "${self.spec.replicas}"
        selector: {matchLabels: {app: "${schema.metadata.name}"}}
        template:
          metadata: {labels: {app: "${self.metadata.name}"}}
          spec:
            containers:
              - name: web
                image: "${self.spec.image}"
                env: "${self.spec.ports.map(p, {'name': p.name, 'value': string(p.port)})}"
                resources: {limits: {cpu: 1, memory: 128Mi}}
                someFieldOfNextYear: true
  - id: service
    includeWhen: ["${self.spec.monitoring || self.spec.extra.anything == 'x'}"]
    template:
      apiVersion: v1
      kind: Service
      metadata: {name: "${web.metadata.name}"}
      spec: {ports: [{port: 80, targetPort: "${self.spec.ports[0].port}"}], selector: "${web.spec.selector.matchLabels}"}
status:
  ready: "${web.status.availableReplicas}"
  address: "${service.spec.clusterIP}"
finishedWhen: "${web.status.availableReplicas == self.spec.replicas}"
"#,
    );
    let composition = definition.compiled();
    assert_eq!(composition.order().collect::<Vec<_>>(), ["web", "service"]);
    let kinds: Vec<String> = composition.kinds().map(ToString::to_string).collect();
    assert_eq!(kinds, ["Deployment (apps/v1)", "Service (v1)"]);
    let expected = json!({"type": "object", "properties": {
        "ready": {"type": "integer", "format": "int64"}, "address": {"type": "string"}}});
    assert_eq!(composition.status_schema(), expected);
}

#[test]
fn what_others_refer_to_is_made_first() {
    let handler = r#"
resources:
  - {id: a, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {x: "${c.data.x}"}}}
  - {id: b, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}}
  - {id: c, forEach: {x: "${[b.data.x]}"}, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${x}"}}}
"#
    .replace("${c.data.x}", "${c[0].data.x}");
    let composition = Definition::new(&spec(), &handler).compiled();
    assert_eq!(composition.order().collect::<Vec<_>>(), ["b", "c", "a"]);
}

#[test]
fn circles_are_refused() {
    let resource = |id: &str, other: &str| {
        format!(
            "  - {{id: {id}, template: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: {id}}}, data: {{x: \"${{{other}.data.x}}\"}}}}}}\n"
        )
    };
    let handler = format!("resources:\n{}{}{}", resource("a", "b"), resource("b", "c"), resource("c", "b"));
    assert_refused(
        &handler,
        &[
            "spec.handler.resources[1].template.data.x: ${c.data.x}: the resources refer to each other in a circle: b → c → b: take one",
        ],
    );
    let handler = format!("resources:\n{}", resource("a", "a"));
    assert_refused(
        &handler,
        &[
            "spec.handler.resources[0].template.data.x: ${a.data.x}: a template refers to its own object: refer to the instance",
        ],
    );
}

#[test]
fn ids_are_names_of_their_own() {
    let resource = |id: &str| {
        format!("{{id: {id}, template: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}}}}}")
    };
    let handler =
        format!("resources: [{}]", ["web", "self", "in", "Web", "web", "a-b"].map(resource).join(", "));
    assert_refused(
        &handler,
        &[
            "spec.handler.resources[1].id: self: means something else",
            "spec.handler.resources[2].id: in: means something else",
            "spec.handler.resources[3].id: Web: begin with a lower case letter",
            "spec.handler.resources[4].id: web: is the id of resources[0] too",
            "spec.handler.resources[5].id: a-b: begin with a lower case letter",
        ],
    );
    assert_refused("resources: []", &["spec.handler.resources: []: name at least one"]);
    let many: Vec<String> = (0..65).map(|number| resource(&format!("r{number}"))).collect();
    assert_refused(
        &format!("resources: [{}]", many.join(", ")),
        &["spec.handler.resources: 65 resources: use at most 64"],
    );
}

#[test]
fn a_template_is_an_object_of_the_instance() {
    for (template, expected) in [
        (
            "{}",
            vec![
                "spec.handler.resources[0].template.apiVersion: none: write it out, such as apps/v1",
                "spec.handler.resources[0].template.kind: none: write it out",
                "spec.handler.resources[0].template.metadata: none: write out a map with a name",
            ],
        ),
        (
            "{apiVersion: v1, kind: \"${self.spec.image}\", metadata: {name: a}}",
            vec!["spec.handler.resources[0].template.kind: \"${self.spec.image}\": write it out"],
        ),
        (
            "{apiVersion: a/b/c, kind: A, metadata: {}}",
            vec![
                "spec.handler.resources[0].template.apiVersion: a/b/c: write group/version",
                "spec.handler.resources[0].template.metadata.name: none: give the object a name",
            ],
        ),
        (
            "{apiVersion: test.example.com/v2, kind: Thing, metadata: {name: a}}",
            vec!["spec.handler.resources[0].template.kind: Thing: is the kind that is defined here"],
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: kube-system}, status: {}}",
            vec![
                "spec.handler.resources[0].template.status: set: status is written by",
                "spec.handler.resources[0].template.metadata.namespace: \"kube-system\": leave it out",
            ],
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, ownerReferences: [], finalizers: [x], uid: u}}",
            vec![
                "spec.handler.resources[0].template.metadata.finalizers: set: remove it: the object must go",
                "spec.handler.resources[0].template.metadata.ownerReferences: set: remove it: every object belongs",
                "spec.handler.resources[0].template.metadata.uid: set: remove it",
            ],
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, labels: {app.kubernetes.io/managed-by: helm}}}",
            vec![
                "spec.handler.resources[0].template.metadata.labels['app.kubernetes.io/managed-by']: set: remove it: the operator",
            ],
        ),
        (
            "{apiVersion: v1, kind: ConfigMap, metadata: \"${self.metadata}\"}",
            vec!["spec.handler.resources[0].template.metadata: \"${self.metadata}\": write out a map"],
        ),
    ] {
        assert_refused(&format!("resources: [{{id: a, template: {template}}}]"), &expected);
    }
}

#[test]
fn names_that_there_are_not_are_found_with_their_field() {
    assert_refused(
        r#"
resources:
  - id: web
    includeWhen: ["${web.status.x == 1}", "self.spec.monitoring"]
    readyWhen: ["${other.status.x == 1}"]
    template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${wbe.metadata.name}"}, data: {a: "${frobnicate(1)}", b: "${1 +}"}}
status: {x: "${nobody.x}", conditions: "${1}"}
finishedWhen: "${nothing}"
"#,
        &[
            "spec.handler.resources[0].template.data.a: ${frobnicate(1)}: there is no function frobnicate",
            "spec.handler.resources[0].template.data.b: ${1 +}: Syntax error",
            "spec.handler.resources[0].template.metadata.name: ${wbe.metadata.name}: there is no variable wbe: use one of self, schema, web",
            "spec.handler.resources[0].includeWhen[0]: ${web.status.x == 1}: there is no variable web: use one of self, schema",
            "spec.handler.resources[0].includeWhen[1]: self.spec.monitoring: it is no condition: write one expression: ${…}",
            "spec.handler.resources[0].readyWhen[0]: ${other.status.x == 1}: there is no variable other",
            "spec.handler.status.conditions: set: is written by the operator",
            "spec.handler.status.x: ${nobody.x}: there is no variable nobody",
            "spec.handler.finishedWhen: ${nothing}: there is no variable nothing",
        ],
    );
}

#[test]
fn lists_are_lists_and_their_objects_have_names_of_their_own() {
    let handler = |list: &str, name: &str, ready: &str| {
        format!(
            "resources: [{{id: worker, forEach: {{index: \"{list}\"}}, readyWhen: [\"{ready}\"], template: {{apiVersion: batch/v1, kind: Job, metadata: {{name: \"{name}\"}}}}}}]\nstatus: {{n: \"${{worker.size()}}\"}}"
        )
    };
    assert_refused(
        &handler("${range(self.spec.replicas)}", "a-${index}", "${worker.status.succeeded == index}"),
        &[],
    );
    assert_refused(
        &handler("${self.spec.replicas}", "a-${index}", "${worker.status.succeeded == 1}"),
        &[
            "spec.handler.resources[0].forEach.index: ${self.spec.replicas}: it is a int where a list is needed",
        ],
    );
    assert_refused(
        &handler("${range(3)}", "a", "${worker.status.succeeded == 1}"),
        &[
            "spec.handler.resources[0].template.metadata.name: \"a\": every object of forEach would have the same name: let it contain ${index}",
        ],
    );
    // In its own condition it is one object, elsewhere the list.
    assert_refused(
        &handler("${range(3)}", "a-${index}", "${worker[0].status.succeeded == 1}"),
        &[
            "spec.handler.resources[0].readyWhen[0]: ${worker[0].status.succeeded == 1}: [] cannot be applied to map and int",
        ],
    );
    assert_refused(
        "resources: [{id: a, forEach: {a: \"${[1]}\", self: \"${[1]}\"}, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: \"${a}\"}}}]",
        &[
            "spec.handler.resources[0].forEach.a: a: is the id of a resource",
            "spec.handler.resources[0].forEach.self: self: means something else",
        ],
    );
}

#[test]
fn status_is_what_the_schema_declares() {
    let mut definition = Definition::new(
        &spec(),
        &format!(
            "{}\nstatus: {{size: \"${{1}}\", sise: \"${{1}}\", text: \"${{1}}\"}}",
            config_map("data: {}")
        ),
    );
    definition.schema["properties"]["status"] =
        json!({"type": "object", "properties": {"size": {"type": "integer"}, "text": {"type": "string"}}});
    let errors = definition.errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(errors[0].starts_with("spec.handler.status.sise: set: declare it"), "{}", errors[0]);
    assert!(
        errors[1].starts_with("spec.handler.status.text: ${1}: it is a int where a string is needed"),
        "{}",
        errors[1]
    );
}

#[test]
fn many_errors_are_told_within_bounds() {
    let data: Vec<String> = (0..40).map(|key| format!("k{key}: \"${{nobody.x}}\"")).collect();
    let errors = Definition::new(&spec(), &config_map(&format!("data: {{{}}}", data.join(", "))))
        .compile()
        .unwrap_err();
    assert_eq!(errors.0.len(), 40);
    let message = errors.to_string();
    assert!(message.ends_with("; and 24 more"), "{message}");
    assert!(message.len() < 8 << 10, "{}", message.len());
    assert_eq!(errors.reason(), Reason::InvalidExpression);
}
