//! What templates promise to those who write them.

mod limits;

use serde_json::{Value, json};

use super::*;

const VARIABLES: [&str; 2] = ["request", "jobs"];

fn bindings() -> Bindings {
    let request = json!({
        "metadata": {"name": "r1", "annotations": {"media/source": "s3://a"}},
        "spec": {"count": 3, "ratio": 1.5, "large": u64::MAX, "whole": 2.0, "none": null, "on": true,
                 "list": [1, 2, 3], "texts": ["a", "b"]},
    });
    let jobs = json!({"JOB1": {"output": ["h264", {"deep": [1]}]}, "a-b": {"output": []}});
    Bindings::from([("request".to_owned(), request), ("jobs".to_owned(), jobs)])
}

fn render(template: &Value) -> Result<Value, ExpressionError> {
    Template::parse("spec.x", template, &VARIABLES)?.render(&bindings())
}

fn value(expression: &str) -> Value {
    render(&json!(format!("${{{expression}}}"))).unwrap_or_else(|error| panic!("{error}"))
}

fn failure(template: &Value) -> ExpressionError {
    match render(template) {
        Ok(value) => panic!("{template} gives {value}"),
        Err(error) => error,
    }
}

#[test]
fn a_string_that_is_one_expression_keeps_the_type() {
    for (expression, expected) in [
        ("request.metadata.annotations['media/source']", json!("s3://a")),
        ("jobs.JOB1.output[0]", json!("h264")),
        ("jobs.JOB1.output", json!(["h264", {"deep": [1]}])),
        ("request.spec.count", json!(3)),
        ("request.spec.count + 1", json!(4)),
        ("request.spec.ratio", json!(1.5)),
        ("request.spec.whole", json!(2.0)),
        ("request.spec.large", json!(u64::MAX)),
        ("request.spec.none", json!(null)),
        ("request.spec.on", json!(true)),
        ("{'a': 1, 2: b'x', true: [null]}", json!({"a": 1, "2": "eA==", "true": [null]})),
        ("[1u, -1, 1.0, 'x']", json!([1, -1, 1.0, "x"])),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn text_around_makes_text() {
    for (template, expected) in [
        ("n=${request.spec.count}", "n=3"),
        ("${request.metadata.name}-${request.spec.on}", "r1-true"),
        ("${request.spec.ratio}/${request.spec.large}", "1.5/18446744073709551615"),
        ("$${a} ${'}'}", "${a} }"),
        ("$${a}", "${a}"),
        (" ${request.metadata.name}", " r1"),
        ("plain", "plain"),
    ] {
        assert_eq!(render(&json!(template)).unwrap(), json!(expected), "{template}");
    }
    for (template, kind) in [
        ("a ${request.spec.list}", "a list stands within text"),
        ("a ${request}", "a map stands within text"),
        ("a ${null}", "a null stands within text"),
        ("a ${b'x'}", "a bytes stands within text"),
    ] {
        assert_eq!(failure(&json!(template)).problem, kind);
    }
}

#[test]
fn expressions_are_found_at_any_depth_and_keys_are_left_alone() {
    let template =
        json!({"a": [{"${request}": "${request.spec.count}"}, 1, null, "x"], "b": {"c": ["${[1]}"]}});
    let expected = json!({"a": [{"${request}": 3}, 1, null, "x"], "b": {"c": [[1]]}});
    assert_eq!(render(&template).unwrap(), expected);
}

#[test]
fn a_message_names_field_expression_problem_and_remedy() {
    for (template, expected) in [
        (
            json!({"kwargs": [{"media/source": "${request.spec.cuont}"}]}),
            r#"spec.x.kwargs[0]['media/source']: ${request.spec.cuont}: there is no "cuont": correct the name, or guard with has()"#,
        ),
        (
            json!(["${requst.spec}"]),
            "spec.x[0]: ${requst.spec}: there is no variable requst: use one of request, jobs",
        ),
        (json!("${'a' + 1}"), "spec.x: ${'a' + 1}: + cannot be applied to string and int: convert one side"),
        (
            json!("${jobs.JOB1.output[2]}"),
            "spec.x: ${jobs.JOB1.output[2]}: a list of 2 has no element 2: compare",
        ),
        (json!("${a"), "spec.x: ${a: \"${\" has no \"}\" that ends it: close the expression, or write $${"),
        (json!("${}"), "spec.x: ${}: the expression is empty"),
        (json!("${1 +}"), "spec.x: ${1 +}: Syntax error: "),
        (
            json!("${frobnicate(1)}"),
            "spec.x: ${frobnicate(1)}: there is no function frobnicate: use one of size, ",
        ),
        (
            json!("${size(1, 2)}"),
            "spec.x: ${size(1, 2)}: size takes another number of arguments: write size(a)",
        ),
        (
            json!("${contains('a', 'b')}"),
            "spec.x: ${contains('a', 'b')}: contains is not called like that: write x.contains(a)",
        ),
        (json!("${1 / 0}"), "spec.x: ${1 / 0}: it divides by zero: "),
        (
            json!("${9223372036854775807 + 1}"),
            "spec.x: ${9223372036854775807 + 1}: + gives a number that does not fit",
        ),
        (json!("${0.0 / 0.0}"), "spec.x: ${0.0 / 0.0}: JSON has no number NaN"),
        (json!("${a.B{c: 1}}"), "spec.x: ${a.B{c: 1}}: messages such as a.B{c: 1} are not supported"),
    ] {
        let message = failure(&template).to_string();
        assert!(message.starts_with(expected), "{message}");
    }
    let long = failure(&json!(format!("${{{} + 1}}", format!("'{}'", "ü".repeat(900)))));
    assert!(long.to_string().len() < 800, "{long}");
}

#[test]
fn cel_means_what_it_means_elsewhere() {
    for holds in [
        "has(request.spec.count) && !has(request.spec.missing)",
        "!!true && !!!false && --19 == 19 && ---19 == -19 && !!(!!(!!(true))) && --(--(1)) == 1",
        "request.spec.list.all(x, x > 0)",
        "request.spec.list.exists(x, x == 2)",
        "request.spec.list.exists_one(x, x == 2)",
        "request.spec.list.map(x, x * 2) == [2, 4, 6]",
        "request.spec.list.map(x, x > 1, x * 2) == [4, 6]",
        "request.spec.list.filter(x, x % 2 == 1) == [1, 3]",
        "request.spec.list.map(x, request.spec.list.filter(y, y < x).size()) == [0, 1, 2]",
        "{'a': 1, 'b': 2}.map(k, k) == ['a', 'b']",
        "[[1], [2]].map(x, x.map(x, x + 1)) == [[2], [3]]",
        "'a' in request.spec.texts && !('c' in request.spec.texts) && 'name' in request.metadata",
        "size('ü') == 1 && 'ü'.size() == 1 && size([1]) == 1 && size({}) == 0 && size(b'ab') == 2",
        "1 == 1u && 1 == 1.0 && 2u < 3 && 1.5 > 1 && -1 < 1u",
        "{1: 'a'}[1u] == 'a'",
        "'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.matches('^a.c$')",
        "matches('abc', 'b')",
        "'a-b'.split('-') == ['a', 'b'] && ['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab'",
        "'Ab'.lowerAscii() + 'Ab'.upperAscii() == 'abAB' && ' a '.trim() == 'a'",
        "'aXbX'.replace('X', '--') == 'a--b--' && 'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco'",
        "'tacocat'.indexOf('c') == 2 && 'tacocat'.lastIndexOf('c') == 4 && 'a'.indexOf('b') == -1",
        "int('1') == 1 && int(1.9) == 1 && int(-1.9) == -1 && uint(1) == 1u && double('1.5') == 1.5 && bool('true')",
        "string(1) + string(1.5) + string(true) + string(b'x') == '11.5truex'",
        "-(-1) == 1 && 7 / 2 == 3 && -7 % 3 == -1 && 2 * 3 - 1 == 5 && 1.0 / 2.0 == 0.5",
        "true ? true : 1 / 0 == 1",
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)",
        "[0, 1].exists(x, 1 / x == 1) && ![0, 2].all(x, 1 / x == 1)",
        "[1] + [2] == [1, 2] && b'a' + b'b' == b'ab' && 'a' < 'b' && false < true",
        "null == null && [1, 'a'] != [1, 'b'] && {'a': [1]} == {'a': [1.0]} && 'a' != 1",
        "!(0.0 / 0.0 < 1.0) && !(0.0 / 0.0 == 0.0 / 0.0)",
        "request.spec.large > 9223372036854775807",
        "dyn(1) == 1",
        "r'\\d' == '\\\\d'",
    ] {
        let condition =
            Condition::parse("spec.readyWhen", holds, &VARIABLES).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(condition.holds(&bindings()), Ok(true), "{holds}");
    }
}

#[test]
fn a_condition_is_true_or_false() {
    let error =
        Condition::parse("spec.readyWhen", "request.spec.count", &VARIABLES).unwrap().holds(&bindings());
    assert!(error.unwrap_err().to_string().starts_with("spec.readyWhen: request.spec.count: it gives a int"));
    assert!(Condition::parse("spec.readyWhen", "", &VARIABLES).is_err());
    assert!(Condition::parse("spec.readyWhen", "1)+(1", &VARIABLES).is_err());
}

#[test]
fn references_name_what_is_known_before_anything_is_rendered() {
    let template = json!([
        "${jobs.JOB1.output} ${jobs['a-b']}",
        {"x": "${[1].map(jobs, jobs.inner)}", "y": "${jobs[request.metadata.name]}", "z": "${has(jobs.JOB2) ? 1 : 2}"},
    ]);
    let template = Template::parse("spec", &template, &VARIABLES).unwrap();
    assert_eq!(template.references().variables().collect::<Vec<_>>(), ["jobs", "request"]);
    assert_eq!(template.references().members("jobs").collect::<Vec<_>>(), ["JOB1", "JOB2", "a-b"]);
    assert_eq!(template.references().members("request").collect::<Vec<_>>(), ["metadata"]);
}

#[test]
fn a_range_counts_from_zero_and_is_paid_for() {
    assert_eq!(value("range(3)"), json!([0, 1, 2]));
    assert_eq!(value("range(request.spec.count).map(i, 'w' + string(i)).join(',')"), json!("w0,w1,w2"));
    for nothing in ["range(0)", "range(-5)", "range(0u)"] {
        assert_eq!(value(nothing), json!([]), "{nothing}");
    }
    for (expression, problem) in [
        ("range(9223372036854775807)", "it costs more than an expression may"),
        ("range(18446744073709551615u)", "it costs more than an expression may"),
        ("range('3')", "range cannot be applied to string"),
        ("range(1.5)", "range cannot be applied to double"),
    ] {
        assert_eq!(failure(&json!(format!("${{{expression}}}"))).problem, problem, "{expression}");
    }
}

/// A condition about an absent value does not hold; any other expression about it fails as absent. What cannot come
/// any more is a mistake.
#[test]
fn what_is_observed_may_not_be_there_yet() {
    let (own, seen) = (json!({"spec": {"count": 1}}), json!([{"status": {"done": 1}}, {}, {"status": null}]));
    let mut variables = Variables::default();
    variables.bind("request", &own);
    variables.observe("jobs", &seen);
    let value = |expression: &str| {
        let template = json!(format!("${{{expression}}}"));
        let template = Template::parse("spec.x", &template, &VARIABLES).unwrap();
        template.render_with(&variables, &mut Budget::new(BUDGET))
    };
    for (expression, expected) in [
        ("jobs.filter(j, j.status.done == 1).size()", json!(1)),
        ("jobs.filter(j, j.status.done != 1).size()", json!(0)),
        ("jobs.filter(j, !(j.status.done == 1)).size()", json!(0)),
        ("jobs.all(j, j.status.done > 0)", json!(false)),
        ("jobs.exists(j, j.status.done == 1)", json!(true)),
        ("jobs.exists_one(j, j.status.done == 1)", json!(true)),
        ("jobs.map(j, j.status.done == 1, j.status.done)", json!([1])),
        ("jobs[1].status.done == 1 ? 'yes' : 'no'", json!("no")),
        ("jobs[7].status.done == 1 ? 'yes' : 'no'", json!("no")),
        ("has(jobs[1].status) ? 1 : 2", json!(2)),
    ] {
        assert_eq!(value(expression), Ok(expected), "{expression}");
    }
    for absent in [
        "jobs[1].status",
        "jobs[1].status.done",
        "jobs[2].status.done",
        "jobs[3]",
        "jobs.map(j, j.status.done)",
        "jobs[request.spec.count].status",
        "string(jobs[1].status.done)",
    ] {
        assert!(value(absent).unwrap_err().is_absent, "{absent}");
    }
    for wrong in [
        "request.spec.nothing",
        "jobs[request.spec.nothing]",
        "jobs.filter(j, j.status.done == request.spec.nothing).size()",
        "request.spec.nothing == 1 ? 1 : 2",
        "jobs[0].status.done.deeper",
        "jobs[0] + 1",
    ] {
        assert!(!value(wrong).unwrap_err().is_absent, "{wrong}");
    }
    let condition = |text: &str| {
        let condition = Condition::parse("spec.x", text, &VARIABLES).unwrap();
        condition.holds_with(&variables, &mut Budget::new(BUDGET)).map_err(|error| error.problem)
    };
    assert_eq!(condition("!(jobs[1].status.done == 1)"), Ok(false));
    assert_eq!(condition("jobs[0].status.done == 1"), Ok(true));
    assert_eq!(condition("request.spec.nothing == 1"), Err("there is no \"nothing\"".to_owned()));
}
