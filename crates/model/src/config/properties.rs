//! Java's properties format, read as `java.util.Properties` reads it.
//!
//! Owns the text format only: what a key means is not known here. The whole text is handed in.

use super::layers::Props;

/// Text that `java.util.Properties` refuses as well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertiesError {
    /// `\u` without four hexadecimal digits after it.
    #[error("line {line}: \\u needs four hexadecimal digits after it")]
    Unicode {
        /// The line, counted from 1.
        line: usize,
    },
}

/// Reads properties; a key that stands there twice has its last value.
///
/// # Errors
/// When an escape is malformed.
pub fn parse_properties(text: &str) -> Result<Props, PropertiesError> {
    let mut props = Props::new();
    let mut lines = Lines { rest: text, line: 0 };
    while let Some((line, logical)) = lines.next_logical() {
        let (key, value) = split(&logical);
        let unicode = PropertiesError::Unicode { line };
        let key = unescape(key).ok_or_else(|| unicode.clone())?;
        let value = unescape(value).ok_or(unicode)?;
        props.insert(key, value);
    }
    Ok(props)
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    /// One line as it stands, without its end.
    fn next_natural(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
        let (line, after) = self.rest.split_at(end);
        let after = after.strip_prefix("\r\n").or_else(|| after.get(1..));
        self.rest = after.unwrap_or_default();
        Some(line)
    }

    /// One entry with its continuation lines joined; comments and blank lines are passed over.
    fn next_logical(&mut self) -> Option<(usize, String)> {
        loop {
            let natural = self.next_natural()?.trim_start_matches(BLANKS);
            if natural.is_empty() || natural.starts_with(['#', '!']) {
                continue;
            }
            let first = self.line;
            let mut logical = natural.to_owned();
            while is_continued(&logical) {
                logical.pop();
                let Some(more) = self.next_natural() else { break };
                logical.push_str(more.trim_start_matches(BLANKS));
            }
            return Some((first, logical));
        }
    }
}

/// A line goes on when an odd number of backslashes ends it.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Key and value, both still escaped. The key ends at the first bare `=`, `:` or blank.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(c));
        escaped = !escaped && *c == '\\';
        ends
    });
    let Some((at, _)) = end else { return (line, "") };
    let (key, after) = line.split_at(at);
    let after = after.trim_start_matches(BLANKS);
    let after = after.strip_prefix(['=', ':']).unwrap_or(after);
    (key, after.trim_start_matches(BLANKS))
}

/// Resolves escapes; `None` when a `\u` is malformed.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    // UTF-16 as in Java, so that two escapes can make one character.
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let plain = if c == '\\' {
            match chars.next() {
                None => break,
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                    if digits.len() != 4 || !is_hex {
                        return None;
                    }
                    units.push(u16::from_str_radix(&digits, 16).ok()?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
            }
        } else {
            c
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse_properties(text).expect("well-formed").into_iter().collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?}");
        all.remove(0)
    }

    #[test]
    fn keys_end_at_an_equals_sign_a_colon_or_a_blank() {
        for text in ["a=b", "a:b", "a b", "  a = b", "a\t:\tb", "a  b", "\x0ca=b"] {
            assert_eq!(one(text), ("a".into(), "b".into()), "{text:?}");
        }
        assert_eq!(one("a==b"), ("a".into(), "=b".into()));
        assert_eq!(one("a"), ("a".into(), String::new()));
        assert_eq!(one("a = b c "), ("a".into(), "b c ".into()));
        assert_eq!(one("listeners=A://h:1,B://:2"), ("listeners".into(), "A://h:1,B://:2".into()));
    }

    #[test]
    fn comments_and_blank_lines_say_nothing() {
        assert_eq!(pairs("# x=1\n  ! y=2\n\n \t\r\nz=3\r#"), [("z".into(), "3".into())]);
    }

    #[test]
    fn an_odd_number_of_backslashes_goes_on_in_the_next_line() {
        assert_eq!(one("a=b,\\\n   c"), ("a".into(), "b,c".into()));
        assert_eq!(one("a=b\\\n#c"), ("a".into(), "b#c".into()));
        assert_eq!(one("a=b\\"), ("a".into(), "b".into()));
        assert_eq!(pairs("a=b\\\\\nc=d").len(), 2);
    }

    #[test]
    fn escapes_are_resolved_in_keys_and_values() {
        assert_eq!(one(r"a\=b\:c\ d = \t\n\q\\"), ("a=b:c d".into(), "\t\nq\\".into()));
        assert_eq!(one(r"a=\u00e9\ud83d\ude00"), ("a".into(), "é😀".into()));
        assert_eq!(parse_properties("a=1\nb=\\u12"), Err(PropertiesError::Unicode { line: 2 }));
        assert_eq!(parse_properties(r"b=\u+123"), Err(PropertiesError::Unicode { line: 1 }));
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        assert_eq!(one("a=1\na=2"), ("a".into(), "2".into()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a\\\\u#!=: \\t\\r\\n0-9é😀]{0,60}") {
            let _ = parse_properties(&text);
        }

        #[test]
        fn plain_pairs_read_back(props in proptest::collection::btree_map("[a-z.]{1,12}", "[A-Za-z0-9:/,]{0,20}", 0..8)) {
            let text: String = props.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
            // A value that begins with a separator needs the one already written before it.
            prop_assert_eq!(parse_properties(&text), Ok(props));
        }
    }
}
