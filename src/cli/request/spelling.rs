//! The spelling of an older pair of programs, which people have in their scripts: one program with `-mode=director` or
//! `-mode=worker`, and flags with a single dash.

use std::ffi::OsString;

/// Turns the older spelling into ours; anything else stays as it is.
///
/// In the older spelling, `-namespace` only sets where the director creates its request; a worker serves all
/// namespaces.
pub(in crate::cli) fn translate(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    translated(&arguments).unwrap_or(arguments)
}

fn translated(arguments: &[OsString]) -> Option<Vec<OsString>> {
    let words: Vec<&str> = arguments.iter().map(|word| word.to_str()).collect::<Option<_>>()?;
    let (program, words) = words.split_first()?;
    // A subcommand comes first in our spelling, a flag in the older one.
    words.first().filter(|first| first.starts_with('-'))?;
    let (mut mode, mut rest) = (None, Vec::new());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            rest.push((*word).to_owned());
            continue;
        };
        match flag.split_once('=') {
            Some(("mode", value)) => mode = Some(value.to_owned()),
            None if flag == "mode" => mode = Some((*words.next()?).to_owned()),
            _ if flag.chars().count() > 1 => rest.push(format!("--{flag}")),
            _ => rest.push((*word).to_owned()),
        }
    }
    let mode = mode?;
    let all = (mode == "worker").then(|| "--all-namespaces".to_owned());
    let words = [(*program).to_owned(), mode].into_iter().chain(all).chain(rest);
    Some(words.map(OsString::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translate(words: &str) -> String {
        let words = words.split(' ').map(OsString::from);
        let words = super::translate(words).into_iter().map(|word| word.into_string().unwrap());
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_older_spelling_means_the_same() {
        assert_eq!(
            translate("p -mode=director -namespace=team -kubeconfig=/k"),
            "p director --namespace=team --kubeconfig=/k"
        );
        assert_eq!(
            translate("p --kubeconfig /k --mode worker -namespace team"),
            "p worker --all-namespaces --kubeconfig /k --namespace team"
        );
        for ours in ["p run", "p worker --namespace a", "p", "p --version", "p -V", "p --help"] {
            assert_eq!(translate(ours), ours);
        }
    }
}
