//! What helps, by what was written: the remedy of a fault knows what failed, and not what its author meant.

/// Where the remedy of a fault sends people the wrong way, one that fits the expression.
pub(crate) fn refined(expression: &str, problem: &str, remedy: String) -> String {
    let in_braces = expression.strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
    let expression = in_braces.unwrap_or(expression);
    if problem.contains("syntax '.?'") || problem.contains("syntax '[?'") {
        return "guard with has() in place of it, as in has(a.b) && has(a.b.c) ? a.b.c : 'none'".to_owned();
    }
    if problem.starts_with("there is no \"") && expression.contains("has(") && remedy.contains("has()") {
        return "correct the name, or guard each field before it too: has() is about the last one alone, as in has(a.b) && has(a.b.c)".to_owned();
    }
    if remedy == NO_CEL {
        return format!("{NO_CEL}, or $${{ for a plain ${{");
    }
    let Some(name) = problem.strip_prefix("there is no variable ") else { return remedy };
    if let Some(field) = dashed(expression, name) {
        return format!("write ['{field}'] for a field with a dash, or spaces around a minus");
    }
    if is_of_shell(expression, name) {
        return format!("{remedy}, or write $${{ for a plain ${{");
    }
    remedy
}

/// The remedy of what the parser refuses.
pub(crate) const NO_CEL: &str = "write an expression in CEL";

/// The field `a-b` where an expression has `.a-b`, a difference, with a variable `b` that is not there.
fn dashed(expression: &str, name: &str) -> Option<String> {
    let end = format!("-{name}");
    let (before, after) = expression.split_once(&end)?;
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    // What follows may have a dash, too.
    let rest: String =
        after.chars().take_while(|character| is_word(*character) || *character == '-').collect();
    let start = before.rfind(|character| !is_word(character) && character != '-')?;
    let first = before.get(start + 1..).filter(|first| !first.is_empty())?;
    before.get(..=start).filter(|stem| stem.ends_with('.'))?;
    Some(format!("{first}{end}{rest}"))
}

/// Whether it looks like a variable of a shell, such as `HOME` or `file%.txt`.
fn is_of_shell(expression: &str, name: &str) -> bool {
    let Some(rest) = expression.trim().strip_prefix(name) else { return false };
    let is_upper = name
        .chars()
        .all(|character| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_');
    (rest.is_empty() && is_upper) || rest.starts_with(['%', '#', ':'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_fits_what_was_written() {
        let variable = |name: &str| format!("there is no variable {name}");
        let usual = "use one of self";
        let cases = [
            ("${HOME}", variable("HOME"), usual, "or write $${"),
            ("self.spec.my-field", variable("field"), usual, "write ['my-field'] for a field with a dash"),
            ("self.spec.a-b-c", variable("b"), usual, "write ['a-b-c'] for"),
            ("1 -field", variable("field"), usual, usual),
            (
                "DS_PROMETHEUS",
                variable("DS_PROMETHEUS"),
                usual,
                "use one of self, or write $${ for a plain ${",
            ),
            ("f%.txt", variable("f"), usual, "or write $${"),
            ("wbe.metadata.name", variable("wbe"), usual, usual),
            ("1:-world", "Syntax error".to_owned(), NO_CEL, "or $${ for a plain ${"),
            (
                "a.?b",
                "unsupported syntax '.?' (column 1)".to_owned(),
                NO_CEL,
                "guard with has() in place of it",
            ),
            (
                "has(a.b.c) ? a.b.c : ''",
                "there is no \"b\"".to_owned(),
                "correct the name, or guard with has()",
                "guard each field before it too",
            ),
        ];
        for (expression, problem, remedy, expected) in cases {
            let found = refined(expression, &problem, remedy.to_owned());
            assert!(found.contains(expected), "{expression}: {found}");
            assert!(expected != usual || found == usual, "{expression}: {found}");
        }
    }
}
