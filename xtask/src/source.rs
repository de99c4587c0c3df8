//! Rust source seen as tokens: comments and literals are dropped, test items can be cut out.
//!
//! Just enough of a lexer for the import lint and the size lint; it needs no parser because both only look at words.

/// A word or a sign of the source, with the line it stands on (from 1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// An identifier, keyword or number, or one punctuation character.
    pub text: String,
    /// Line, from 1.
    pub line: usize,
}

/// The tokens of a source text, without comments, strings, characters and lifetimes.
pub fn tokens(text: &str) -> Vec<Token> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let mut found = Vec::new();
    let mut line = 1;
    let mut index = 0;
    while index < characters.len() {
        let here = at(index);
        let start = index;
        if here == '/' && at(index + 1) == '/' {
            while index < characters.len() && at(index) != '\n' {
                index += 1;
            }
        } else if here == '/' && at(index + 1) == '*' {
            index = skip_block_comment(&characters, index);
        } else if here == '"' {
            index = skip_string(&characters, index);
        } else if let Some(end) = raw_string_end(&characters, index) {
            index = end;
        } else if here == '\'' {
            index = skip_quote(&characters, index);
        } else if here.is_alphanumeric() || here == '_' {
            while at(index).is_alphanumeric() || at(index) == '_' {
                index += 1;
            }
            // The prefix of a byte or C string is no word of its own.
            let is_prefix = at(index) == '"' && matches!(here, 'b' | 'c') && index == start + 1;
            if !is_prefix {
                found.push(Token { text: characters[start..index].iter().collect(), line });
            }
        } else {
            index += 1;
            if !here.is_whitespace() {
                found.push(Token { text: here.to_string(), line });
            }
        }
        line += characters[start..index].iter().filter(|character| **character == '\n').count();
    }
    found
}

fn skip_block_comment(characters: &[char], mut index: usize) -> usize {
    let mut depth = 0;
    while index < characters.len() {
        match (characters[index], characters.get(index + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                index += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    index
}

fn skip_string(characters: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while index < characters.len() {
        match characters[index] {
            '\\' => index += 2,
            '"' => return index + 1,
            _ => index += 1,
        }
    }
    characters.len()
}

/// Where the raw string (`r"…"`, `br#"…"#`) that begins at `start` ends, if one begins there.
fn raw_string_end(characters: &[char], start: usize) -> Option<usize> {
    let mut index = start;
    if matches!(characters.get(index), Some('b' | 'c')) {
        index += 1;
    }
    if characters.get(index) != Some(&'r') {
        return None;
    }
    index += 1;
    let first_hash = index;
    while characters.get(index) == Some(&'#') {
        index += 1;
    }
    let hashes = index - first_hash;
    if characters.get(index) != Some(&'"') {
        return None;
    }
    index += 1;
    while index < characters.len() {
        let closes = characters[index] == '"'
            && characters
                .get(index + 1..index + 1 + hashes)
                .is_some_and(|tail| tail.iter().all(|c| *c == '#'));
        if closes {
            return Some(index + 1 + hashes);
        }
        index += 1;
    }
    Some(characters.len())
}

/// Skips a character literal, or the quote of a lifetime together with its name.
fn skip_quote(characters: &[char], start: usize) -> usize {
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    if at(start + 1) == '\\' {
        let mut index = start + 3;
        while index < characters.len() && at(index) != '\'' {
            index += 1;
        }
        return (index + 1).min(characters.len());
    }
    if at(start + 2) == '\'' {
        return start + 3;
    }
    let mut index = start + 1;
    while at(index).is_alphanumeric() || at(index) == '_' {
        index += 1;
    }
    index
}

/// The tokens without items that only tests see (`#[cfg(test)]`), and how many lines those items take.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, usize) {
    let mut kept = Vec::new();
    let mut cut_lines = 0;
    let mut index = 0;
    while let Some(token) = tokens.get(index) {
        if !starts_test_item(&tokens[index..]) {
            kept.push(token.clone());
            index += 1;
            continue;
        }
        let end = end_of_item(tokens, index);
        let last_line = tokens.get(end.saturating_sub(1)).map_or(token.line, |last| last.line);
        cut_lines += last_line - token.line + 1;
        index = end;
    }
    (kept, cut_lines)
}

fn starts_test_item(tokens: &[Token]) -> bool {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    tokens.len() >= ATTRIBUTE.len() && tokens.iter().zip(ATTRIBUTE).all(|(token, word)| token.text == word)
}

/// The index after the item that begins at `start`: after its block, or after its semicolon when it has none.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[start..].iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => {
                depth = depth.saturating_sub(1);
                if depth == 0 && token.text == "}" {
                    return start + offset + 1;
                }
            }
            ";" if depth == 0 => return start + offset + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_hide_what_they_contain() {
        let text = "a // tokio\n/* x /* tokio */ y */ b \"tok\\\"io\" c r#\"tok\"io\"# d 'e' f '\\'' g &'static h b\"tokio\"";
        assert_eq!(words(text), ["a", "b", "c", "d", "f", "g", "&", "h"]);
    }

    #[test]
    fn lines_are_counted_through_multi_line_literals() {
        let found = tokens("a\n\"x\ny\"\nb");
        assert_eq!(found.last().map(|token| token.line), Some(4));
    }

    #[test]
    fn test_items_are_cut_and_what_follows_is_kept() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  use tokio;\n}\nfn b() {}\n#[cfg(test)] use x;\n";
        let (kept, lines) = without_tests(&tokens(text));
        let kept: String = kept.into_iter().map(|token| token.text).collect();
        assert_eq!(kept, "fna(){}fnb(){}");
        assert_eq!(lines, 5);
    }
}
