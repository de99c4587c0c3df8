//! What is found before there is an instance.

use serde_json::json;

use super::*;

fn spec() -> Value {
    json!({
        "replicas": {"type": "integer"}, "image": {"type": "string"}, "monitoring": {"type": "boolean"},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "ports": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "port": {"type": "integer"}}}},
    })
}

fn errors(handler: &str) -> Vec<String> {
    Definition::new(&spec(), handler).errors()
}

/// One resource, of which the test says what follows `metadata`.
fn config_map(rest: &str) -> String {
    format!(
        "resources: [{{id: config, template: {{apiVersion: v1, kind: ConfigMap, metadata: {{name: a}}, {rest}}}}}]"
    )
}

#[track_caller]
fn assert_refused(handler: &str, expected: &[&str]) {
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
        &["spec.handler.resources: 65 resources: keep it to 64"],
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
fn expressions_are_checked_against_the_schema() {
    for (expression, expected) in [
        ("self.spec.replcas", "the schema has no field \"replcas\" here: did you mean \"replicas\"?"),
        (
            "self.spec.nothing",
            "the schema has no field \"nothing\" here: add it to the schema, or use one of extra, image",
        ),
        ("self.status.replicas", "the schema has no field \"status\" here"),
        ("has(self.spec.imagee) ? 'a' : 'b'", "the schema has no field \"imagee\""),
        (
            "self.spec.ports.map(p, p.prot)[0]",
            "the schema has no field \"prot\" here: did you mean \"port\"?",
        ),
        ("self.spec.ports.name", "\"name\" is looked for in a list: take one of its elements first"),
        ("self.spec.image.name", "\"name\" is looked for in a string"),
        ("self.spec.image + 1", "+ cannot be applied to string and int"),
        ("self.spec.replicas == '1' ? 'a' : 'b'", "a int is never equal to a string"),
        ("self.spec.replicas ? 'a' : 'b'", "a int is used as a condition"),
        ("self.spec.image.map(x, x)[0]", "a loop goes through a string"),
        ("self.spec.replicas.contains('a') ? 'a' : 'b'", "contains cannot be applied to int, string"),
        ("self.metadata.nmae", "the schema has no field \"nmae\" here: did you mean \"name\"?"),
        ("self.spec.replicas", "it is a int where a string is needed: convert it with string()"),
        ("self.spec.ports", "it is a list where a string is needed"),
        ("range(self.spec.image)[0]", "range cannot be applied to string"),
    ] {
        let errors = errors(&config_map(&format!("data: {{x: \"${{{expression}}}\"}}")));
        let [error] = errors.as_slice() else { panic!("{expression}: {errors:?}") };
        let expected = format!("spec.handler.resources[0].template.data.x: ${{{expression}}}: {expected}");
        assert!(error.starts_with(&expected), "{error}\nis not\n{expected}");
    }
    for fine in [
        "self.spec.extra.what.ever",
        "dyn(self.spec).replcas",
        "self.spec.image + 'a'",
        "string(self.spec.replicas)",
        "has(self.spec.image) ? self.spec.image : 'none'",
        "self.metadata.labels['a/b']",
        "self.metadata.annotations.a",
        "self.spec.ports.filter(p, p.port > 1).map(p, p.name).join(',')",
        "[1, 2].map(x, string(x)).join()",
    ] {
        assert_refused(&config_map(&format!("data: {{x: \"${{{fine}}}\"}}")), &[]);
    }
}

#[test]
fn places_are_checked_against_the_kind() {
    let deployment = |spec: &str| {
        format!(
            "resources: [{{id: web, template: {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}, spec: {{{spec}}}}}}}]"
        )
    };
    let at = |path: &str| format!("spec.handler.resources[0].template.spec.{path}");
    for (spec, expected) in [
        (
            "replicas: \"${self.spec.image}\"",
            at("replicas: ${self.spec.image}: it is a string where a int is needed"),
        ),
        (
            "replicas: \"${self.spec.replicas}0\"",
            at("replicas: text with expressions in it: it is a string where a int is needed"),
        ),
        ("replicas: '3'", at("replicas: \"3\": it is a string where a int is needed")),
        (
            "replcas: 3",
            at("replcas: replcas: the schema has no field \"replcas\" here: did you mean \"replicas\"?"),
        ),
        (
            "paused: \"${self.spec.replicas}\"",
            at("paused: ${self.spec.replicas}: it is a int where a bool is needed"),
        ),
        (
            "template: {spec: {containers: {name: a}}}",
            at("template.spec.containers: the value: it is a map where a list is needed"),
        ),
        ("selector: [a]", at("selector: the value: it is a list where a map is needed")),
    ] {
        assert_refused(&deployment(spec), &[&expected]);
    }
    // Of a kind that nobody knows nothing is refused; of the operator's own, everything that it would drop.
    assert_refused(
        "resources: [{id: a, template: {apiVersion: x/v1, kind: X, metadata: {name: a}, spec: {any: 1}}}]",
        &[],
    );
    assert_refused(
        "resources: [{id: a, template: {apiVersion: compute.colonies.io/v1, kind: ExecutorDeployment, metadata: {name: a}, spec: {executorTyp: x}}}]",
        &[
            "spec.handler.resources[0].template.spec.executorTyp: executorTyp: the schema has no field \"executorTyp\" here: did you mean \"executorType\"?",
        ],
    );
}

#[test]
fn what_reads_another_object_is_checked_against_its_kind() {
    let handler = |expression: &str| {
        format!(
            "resources: [{{id: web, template: {{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}}}}}]\nstatus: {{x: \"${{{expression}}}\"}}"
        )
    };
    assert_refused(
        &handler("web.status.availableReplica"),
        &[
            "spec.handler.status.x: ${web.status.availableReplica}: the schema has no field \"availableReplica\" here: did you mean \"availableReplicas\"?",
        ],
    );
    assert_refused(&handler("web.status.somethingOfNextYear"), &[]);
    assert_refused(&handler("web.spec.template.spec.containers[0].image"), &[]);
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
