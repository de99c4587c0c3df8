//! Finds `${ … }` in a string. Knows just enough of CEL to see where an expression ends: its brackets, its strings and
//! its comments.

use super::{Fault, MAX_BRACKETS, MAX_EXPRESSION, MAX_TEMPLATE_TOKENS, MAX_TOKENS};

/// A piece of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Text as it stands, `$${` already being `${`.
    Text(String),
    /// What stands between `${` and `}`.
    Expression(&'a str),
}

/// Takes a string apart. An error also names the text.
pub(super) fn scan(text: &str) -> Result<Vec<Part<'_>>, Fault> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${");
            rest = after;
            continue;
        }
        plain.push_str(before);
        let end = end_of_expression(after)?;
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Expression(&after[..end]));
        rest = &after[end + 1..];
    }
    plain.push_str(rest);
    if !plain.is_empty() || parts.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// Where the `}` stands that ends the expression with which the text begins.
fn end_of_expression(text: &str) -> Result<usize, Fault> {
    let mut depth = 0_usize;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'}' if depth == 0 => return Ok(at),
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            b'{' | b'(' | b'[' => depth += 1,
            _ => {}
        }
        at = next(text, at).ok_or_else(|| {
            Fault::new("a string in the expression is not closed", "close it with the quote that opens it")
        })?;
    }
    Err(Fault::new("\"${\" has no \"}\" that ends it", "close the expression, or write $${ for a plain ${"))
}

/// The place after the token that begins at `at`; nothing if a string does not end.
fn next(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = match bytes.get(at) {
        Some(quote @ (b'"' | b'\'')) => *quote,
        Some(b'/') if bytes.get(at + 1) == Some(&b'/') => {
            return Some(
                bytes[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end),
            );
        }
        _ => return Some(at + 1),
    };
    let is_raw = is_raw(bytes, at);
    let triple = [quote; 3];
    let closing: &[u8] = if bytes[at..].starts_with(&triple) { &triple } else { &triple[..1] };
    let mut inside = at + closing.len();
    loop {
        let rest = bytes.get(inside..).filter(|rest| !rest.is_empty())?;
        if rest.starts_with(closing) {
            return Some(inside + closing.len());
        }
        inside += if rest[0] == b'\\' && !is_raw { 2 } else { 1 };
    }
}

/// Whether the string that opens at `at` is raw: `r'…'`, `br'…'`. The letter must not be the end of a longer name.
fn is_raw(bytes: &[u8], at: usize) -> bool {
    let name =
        bytes[..at].iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    matches!(&bytes[at - name..at], [b'r' | b'R'] | [b'b' | b'B', b'r' | b'R'] | [b'r' | b'R', b'b' | b'B'])
}

/// Refuses expressions that are too many for the parser, although each of them is not.
pub(super) fn check_number<'a>(expressions: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    // What is longer than an expression may be is refused by itself.
    let tokens = expressions.filter(|text| text.len() <= MAX_EXPRESSION).map(tokens);
    if tokens.sum::<usize>() > MAX_TEMPLATE_TOKENS {
        return Err(Fault::new(
            format!("the expressions have more than {MAX_TEMPLATE_TOKENS} words and signs together"),
            "use fewer or shorter expressions",
        ));
    }
    Ok(())
}

/// How many words, numbers, strings and signs a text has, to the end of the last one that is complete.
fn tokens(text: &str) -> usize {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii();
    let (mut count, mut at, mut is_in_word) = (0, 0, false);
    while let Some(byte) = text.as_bytes().get(at) {
        let is_further = is_in_word && is_word(*byte);
        is_in_word = is_word(*byte);
        count += usize::from(!is_further && !byte.is_ascii_whitespace());
        let Some(end) = next(text, at) else { break };
        at = end;
    }
    count
}

/// Refuses what would be too much for the parser: it is recursive, and a stack that overflows ends the process.
pub(super) fn check_size(expression: &str) -> Result<(), Fault> {
    if expression.trim().is_empty() {
        return Err(Fault::new("the expression is empty", "write one, or $${ for a plain ${"));
    }
    if expression.len() > MAX_EXPRESSION {
        return Err(Fault::new(
            format!("the expression has {} bytes", expression.len()),
            format!("keep it to {MAX_EXPRESSION}"),
        ));
    }
    if tokens(expression) > MAX_TOKENS {
        return Err(Fault::new(
            format!("the expression has more than {MAX_TOKENS} words and signs"),
            "take the expression apart",
        ));
    }
    let mut open = Vec::new();
    let mut conditionals = 0_usize;
    let mut at = 0;
    while let Some(byte) = expression.as_bytes().get(at) {
        match byte {
            b'{' | b'(' | b'[' => open.push(*byte),
            b'}' | b')' | b']' => {
                let opening = match byte {
                    b'}' => b'{',
                    b')' => b'(',
                    _ => b'[',
                };
                if open.pop() != Some(opening) {
                    return Err(Fault::new(
                        format!("\"{}\" closes nothing", char::from(*byte)),
                        "balance the brackets",
                    ));
                }
            }
            // `a ? b : c ? d : e` nests to the right without any bracket.
            b'?' => conditionals += 1,
            _ => {}
        }
        if open.len() + conditionals > MAX_BRACKETS {
            return Err(Fault::new(
                format!("brackets and conditionals nest deeper than {MAX_BRACKETS}"),
                "take the expression apart",
            ));
        }
        at = next(expression, at).ok_or_else(|| {
            Fault::new("a string in the expression is not closed", "close it with the quote that opens it")
        })?;
    }
    match open.last() {
        Some(open) => {
            Err(Fault::new(format!("\"{}\" is not closed", char::from(*open)), "balance the brackets"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expressions(text: &str) -> Vec<&str> {
        let parts = scan(text).unwrap();
        let expression = |part| match part {
            Part::Expression(text) => Some(text),
            Part::Text(_) => None,
        };
        parts.into_iter().filter_map(expression).collect()
    }

    #[test]
    fn an_expression_ends_where_cel_says() {
        for (text, inside) in [
            ("${a}", "a"),
            ("${'}'}", "'}'"),
            ("${\"}\"}", "\"}\""),
            (r"${'it\'s }'}", r"'it\'s }'"),
            (r"${r'\'}", r"r'\'"),
            (r"${br'\'}", r"br'\'"),
            (r"${for'\'}'}", r"for'\'}'"),
            ("${'''a'}''b'''}", "'''a'}''b'''"),
            ("${{'a': {'b': 1}}.a}", "{'a': {'b': 1}}.a"),
            ("${a // }\n}", "a // }\n"),
            ("${[1, {}][0]}", "[1, {}][0]"),
            ("ü${'ü}'}ü", "'ü}'"),
        ] {
            assert_eq!(expressions(text), [inside], "{text}");
        }
        assert_eq!(expressions("${a}-${b}${c}"), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_escaped_is_text() {
        for (text, plain) in [
            ("$${a}", "${a}"),
            ("$$${a}", "$${a}"),
            ("a$b{c}", "a$b{c}"),
            ("", ""),
            ("$", "$"),
            ("x$${", "x${"),
        ] {
            assert_eq!(scan(text).unwrap(), [Part::Text(plain.to_owned())], "{text}");
        }
        assert_eq!(scan("$${a}${b}").unwrap(), [Part::Text("${a}".to_owned()), Part::Expression("b")]);
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for text in ["${", "${a", "${'}", "${{}", "a ${ b", "${'\\", "${r'"] {
            assert!(scan(text).is_err(), "{text}");
        }
    }

    /// The parser of the crate recurses: what nests too deep must be found without it.
    #[test]
    fn what_nests_too_deep_never_reaches_the_parser() {
        for deep in ["(".repeat(100), "[".repeat(100), "{1:".repeat(100), "a?b:".repeat(100)] {
            assert!(check_size(&deep).unwrap_err().problem.contains("deeper"), "{deep}");
        }
        for unbalanced in ["(", "(]", ")", "{(})", ""] {
            assert!(check_size(unbalanced).is_err(), "{unbalanced}");
        }
        check_size("'((((((((((((((((((((((((((((' + \"]\"").unwrap();
        assert!(check_size(&"a".repeat(MAX_EXPRESSION + 1)).is_err());
    }

    #[test]
    fn words_and_signs_are_counted_and_limited() {
        for (text, count) in [
            ("", 0),
            (" a  ", 1),
            ("a.b", 3),
            ("!!a", 3),
            ("'a b'+r\"c\"", 4),
            ("1.5e3 // x y", 4),
            ("ü_1 == a1[0u]", 7),
            ("'", 1),
        ] {
            assert_eq!(tokens(text), count, "{text}");
        }
        let most = "a+".repeat(MAX_TOKENS / 2);
        check_size(&most).unwrap();
        let error = check_size(&format!("{most}a")).unwrap_err();
        assert!(error.problem.contains("more than 1024 words"), "{error:?}");
        let many = vec![most.as_str(); MAX_TEMPLATE_TOKENS / MAX_TOKENS];
        check_number(many.iter().copied()).unwrap();
        assert!(check_number(many.iter().copied().chain(["a"])).unwrap_err().problem.contains("together"));
    }
}
