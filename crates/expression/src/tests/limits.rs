//! That no expression brings the operator down.

use proptest::prelude::*;
use serde_json::json;

use super::{super::*, VARIABLES, bindings, failure, render};

/// Each of these would take seconds or gigabytes if nothing stopped it.
#[test]
fn what_costs_too_much_ends_soon() {
    let many: Vec<usize> = (0..100_000).collect();
    let bindings = Bindings::from([
        ("jobs".to_owned(), json!({"many": many, "long": "a".repeat(1 << 20)})),
        ("request".to_owned(), json!([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
    ]);
    // Doubles with each step: shared in memory, and only large when it is written.
    let nested = (0..20).fold("[1]".to_owned(), |inner, _| format!("[{inner}].map(x, [x, x])[0]"));
    let doubled = (0..10)
        .fold("jobs.long".to_owned(), |inner, _| format!("({inner}).replace('a', 'aaaaaaaaaaaaaaaa')"));
    for expression in [
        "jobs.many.map(x, jobs.many.map(y, jobs.many.map(z, z)))",
        "jobs.many.exists(x, jobs.many.exists(y, jobs.many.exists(z, z < 0) || true == false) || true == false)",
        "jobs.many.all(x, jobs.many.all(y, y >= 0) || true)",
        "jobs.many.map(x, jobs.long)",
        "request.map(a, request.map(b, request.map(c, [jobs.many, jobs.many])))",
        "jobs.many.map(x, 'abc'.matches('(a|b|c){1,100}' + string(x)))",
        "'a'.matches('((a{100}){100}){100}')",
        "jobs.long.replace('', jobs.long)",
        "jobs.many.map(x, string(x)).join(jobs.long)",
        "jobs.many + jobs.many + jobs.many",
        "[jobs.many, jobs.many, jobs.many] == [jobs.many, jobs.many, jobs.many]",
        "jobs.many.map(x, -1 in jobs.many)",
        "jobs.long.split('')",
        doubled.as_str(),
        nested.as_str(),
    ] {
        let parsed = Template::parse("spec", &json!(format!("${{{expression}}}")), &VARIABLES);
        let template = parsed.unwrap_or_else(|error| panic!("{error}"));
        let error = template.render(&bindings).expect_err(expression);
        let known = ["it costs more than an expression may", "is not a regular expression"];
        assert!(known.iter().any(|known| error.problem.contains(known)), "{error}");
    }
    let loops = "[1].map(a, [1].map(b, [1].map(c, [1].map(d, 1))))";
    assert!(failure(&json!(format!("${{{loops}}}"))).problem.contains("loops nest deeper"));
}

/// The parser recurses. Without a limit on its input and a stack of its own these end the process.
#[test]
fn what_nests_deep_is_an_error() {
    let fill = |unit: &str| unit.repeat(MAX_EXPRESSION / unit.len());
    for text in [
        "1+", "a.", "!", "-", "a?a:", "[", "(", "{1:", "a||", "a&&", "a<", "a[0]", "f(", "''+", "a in ",
        "x.map(y,",
    ] {
        for end in ["1", "", "]", "a"] {
            let mut expression = fill(text);
            expression.truncate(MAX_EXPRESSION - end.len());
            expression.push_str(end);
            let _ = Condition::parse("spec", &expression, &VARIABLES)
                .map(|condition| condition.holds(&bindings()));
        }
    }
    let deep = (0..1000).fold(json!(1), |inner, _| json!([inner]));
    assert!(Template::parse("spec", &deep, &[]).unwrap_err().problem.contains("nests deeper"));
    // What is left of it would be dropped recursively, too.
    std::mem::forget(deep);
    let many = vec!["${1}"; MAX_EXPRESSIONS + 1];
    assert!(failure(&json!(many)).problem.contains("more than 256 expressions"));
}

/// Pieces of CEL, so that what is made of them gets past the parser often enough.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "request",
        "jobs",
        ".",
        "x",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "'",
        "\"",
        "'''",
        "\\",
        "r'",
        "b'",
        ",",
        ":",
        "?",
        "+",
        "-",
        "*",
        "/",
        "%",
        "!",
        "&&",
        "||",
        "==",
        "<",
        " in ",
        " ",
        "\n",
        "//",
        "1",
        "0",
        "9223372036854775807",
        "1u",
        "1.5",
        "1e999",
        "null",
        "true",
        "map",
        "filter",
        "all",
        "exists",
        "has",
        "size",
        "string",
        "int",
        ".map(x,",
        "${",
        "}",
        "$",
        "ü",
        "\u{0}",
        ">",
        "\u{1F600}",
        "0x",
        "has(",
        "matches",
        ".spec",
        "?.",
        "[?",
        "@result",
        "`",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Expressions that parse, of every operator and many functions.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "request",
        "jobs",
        "request.spec.list",
        "request.spec.large",
        "request.spec.ratio",
        "jobs.JOB1.output",
        "1",
        "-1",
        "0",
        "9223372036854775807",
        "(-9223372036854775807 - 1)",
        "1u",
        "18446744073709551615u",
        "1.5",
        "1e308",
        "0.0",
        "'ü'",
        "''",
        "b'\\xff'",
        "null",
        "true",
        "[]",
        "{}",
        "x",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " in "];
        let methods = vec![
            "size",
            "contains",
            "startsWith",
            "matches",
            "trim",
            "replace",
            "split",
            "join",
            "substring",
            "indexOf",
            "lastIndexOf",
        ];
        let loops = vec!["map", "filter", "all", "exists", "exists_one"];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left}){operator}({right})")),
            (
                prop::sample::select(vec![
                    "size", "int", "uint", "double", "string", "bool", "bytes", "-", "!"
                ]),
                inner.clone()
            )
                .prop_map(|(function, argument)| format!("{function}({argument})")),
            (inner.clone(), prop::sample::select(methods), prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(target, method, arguments)| format!(
                    "({target}).{method}({})",
                    arguments.join(",")
                )),
            (inner.clone(), prop::sample::select(loops), inner.clone())
                .prop_map(|(range, method, body)| format!("({range}).{method}(x, {body})")),
            (inner.clone(), inner.clone()).prop_map(|(operand, index)| format!("({operand})[{index}]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| format!("{{{key}: {value}}}")),
            prop::collection::vec(inner, 0..3).prop_map(|elements| format!("[{}]", elements.join(","))),
        ]
    })
}

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(usual: u32) -> ProptestConfig {
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    // The default is what the environment says, or proptest's own 256.
    if default.cases == 256 { ProptestConfig { cases: usual, ..default } } else { default }
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*", more in pieces()) {
        let _ = render(&json!([text, more, format!("${{{text}}}"), {"k": format!("a ${{{more}}}")}]));
        let _ = render(&json!(format!("${{{more}}}")));
        let _ = Condition::parse("spec", &more, &VARIABLES).map(|condition| condition.holds(&bindings()));
    }

    #[test]
    fn no_expression_makes_it_panic(expression in expressions()) {
        let mut bindings = bindings();
        bindings.insert("x".to_owned(), json!(1));
        let template = Template::parse("spec", &json!(format!("${{{expression}}}")), &["request", "jobs", "x"]);
        if let Ok(template) = template {
            let _ = template.render(&bindings);
        }
    }

    #[test]
    fn json_comes_back_as_it_went_in(int in any::<i64>(), uint in any::<u64>(), text in "\\PC*", double in -1e300..1e300) {
        let value = json!({"int": int, "uint": uint, "text": text, "double": double, "list": [null, true, {}]});
        let bindings = Bindings::from([("request".to_owned(), value.clone())]);
        let template = Template::parse("spec", &json!("${request}"), &["request"]).unwrap();
        prop_assert_eq!(template.render(&bindings), Ok(value));
        let plain = json!(text.replace("${", "$${"));
        prop_assert_eq!(Template::parse("spec", &plain, &[]).and_then(|template| template.render(&bindings)), Ok(json!(text)));
    }
}
