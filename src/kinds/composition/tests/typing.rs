//! What never fits, by the schemas that are known.

use super::compiling::{assert_refused, config_map, errors};

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
    // Templates of unknown kinds are not checked; of the operator's own, everything that it would drop.
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
