//! What expressions were parsed to, so that one that is compiled again, as on every pass over an object, is not parsed again.
//! Only the time that it takes shows whether something was here.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Fault, node::Node};

/// Most bytes of text of which the nodes are kept, twice: what was used since half of it was dropped, and what was used
/// before that. Nodes take up to forty times their text.
const KEPT: usize = 256 << 10;

/// What a text was parsed to.
pub(super) type Parsed = Result<Node, Fault>;

/// Expressions by their text.
#[derive(Default)]
pub(super) struct ParsedExpressions {
    recent: HashMap<String, Parsed>,
    earlier: HashMap<String, Parsed>,
    /// Bytes of text in `recent`.
    bytes: usize,
}

static KNOWN: Mutex<Option<ParsedExpressions>> = Mutex::new(None);

/// Each of the texts as it was parsed, by `parse` where it is not known. Of what is new, `parse` gets each text once.
pub(super) fn parsed<E>(
    texts: &[&str],
    parse: impl FnOnce(&[&str]) -> Result<Vec<Parsed>, E>,
) -> Result<Vec<Parsed>, E> {
    let lock = || -> MutexGuard<'_, Option<ParsedExpressions>> {
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let mut found: Vec<Option<Parsed>> = {
        let mut known = lock();
        let known = known.get_or_insert_default();
        texts.iter().map(|text| known.get(text)).collect()
    };
    let mut new: Vec<&str> = Vec::new();
    for (text, found) in texts.iter().zip(&found) {
        if found.is_none() && !new.contains(text) {
            new.push(text);
        }
    }
    if !new.is_empty() {
        let made: HashMap<&str, Parsed> = new.iter().copied().zip(parse(&new)?).collect();
        for (text, found) in texts.iter().zip(&mut found) {
            if found.is_none() {
                *found = made.get(text).cloned();
            }
        }
        let mut known = lock();
        let known = known.get_or_insert_default();
        for (text, parsed) in made {
            known.insert(text.to_owned(), parsed);
        }
    }
    Ok(found.into_iter().flatten().collect())
}

impl ParsedExpressions {
    fn get(&mut self, text: &str) -> Option<Parsed> {
        if let Some(parsed) = self.recent.get(text) {
            return Some(parsed.clone());
        }
        let parsed = self.earlier.remove(text)?;
        self.insert(text.to_owned(), parsed.clone());
        Some(parsed)
    }

    fn insert(&mut self, text: String, parsed: Parsed) {
        // What is longer is refused without being parsed.
        if text.len() > super::MAX_EXPRESSION {
            return;
        }
        if self.bytes + text.len() > KEPT {
            self.earlier = mem::take(&mut self.recent);
            self.bytes = 0;
        }
        self.bytes += text.len();
        self.recent.insert(text, parsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A fault that no text has, so that what was kept can be told from what is parsed now.
    #[expect(clippy::unnecessary_wraps, reason = "it stands for the parser")]
    fn mark(text: &str) -> Parsed {
        Ok(Node::Text(format!("of {text}")))
    }

    #[test]
    fn a_text_is_parsed_once() {
        let names = ["once-a", "once-b", "once-a"];
        let first = parsed(&names, |new| {
            assert_eq!(new, ["once-a", "once-b"]);
            Ok::<_, ()>(new.iter().map(|text| mark(text)).collect())
        });
        assert_eq!(first.unwrap(), names.map(mark));
        let again = parsed(&["once-b", "once-c"], |new| {
            assert_eq!(new, ["once-c"]);
            Ok::<_, ()>(vec![mark("once-c")])
        });
        assert_eq!(again.unwrap(), [mark("once-b"), mark("once-c")]);
        assert_eq!(parsed(&["once-d"], |_| Err("no")), Err("no"));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_used_stays() {
        let mut known = ParsedExpressions::default();
        known.insert("used".to_owned(), mark("used"));
        let long = "x".repeat(1000);
        for number in 0..10_000 {
            known.insert(format!("{long}{number}"), mark("long"));
            if number % 100 == 0 {
                assert_eq!(known.get("used"), Some(mark("used")), "{number}");
            }
        }
        let bytes = |kept: &HashMap<String, Parsed>| kept.keys().map(String::len).sum::<usize>();
        assert!(bytes(&known.recent) <= KEPT && bytes(&known.earlier) <= KEPT);
        assert_eq!(known.get(&format!("{long}0")), None);
        known.insert("x".repeat(super::super::MAX_EXPRESSION + 1), mark("x"));
        assert!(known.recent.keys().all(|text| text.len() <= super::super::MAX_EXPRESSION));
    }
}
