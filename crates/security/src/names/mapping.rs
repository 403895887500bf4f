//! `ssl.principal.mapping.rules`: which part of a certificate's name is the user's.

use regex_lite::Regex;

/// A rule that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid rule: `{0}`; a rule is DEFAULT or RULE:PATTERN/REPLACEMENT/ with L or U behind it"
)]
pub struct InvalidRule(String);

/// Rules, of which the first that matches counts.
#[derive(Debug, Clone)]
pub struct PrincipalRules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    Default,
    Replace { pattern: Regex, replacement: String, case: Case },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Kept,
    Lower,
    Upper,
}

impl PrincipalRules {
    /// Reads the rules, which commas separate.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(text: &str) -> Result<Self, InvalidRule> {
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (rule, after) = rule(rest).ok_or_else(|| InvalidRule(rest.to_owned()))?;
            rules.push(rule);
            let after = after.trim_start();
            rest = match after.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if after.is_empty() => after,
                None => return Err(InvalidRule(rest.to_owned())),
            };
        }
        if rules.is_empty() {
            rules.push(Rule::Default);
        }
        Ok(Self(rules))
    }

    /// The user's name of a distinguished name; none if no rule matches.
    pub fn name(&self, subject: &str) -> Option<String> {
        self.0.iter().find_map(|rule| match rule {
            Rule::Default => Some(subject.to_owned()),
            Rule::Replace { pattern, replacement, case } => {
                pattern.is_match(subject).then_some(())?;
                let name = pattern.replace(subject, replacement.as_str()).into_owned();
                Some(match case {
                    Case::Kept => name,
                    Case::Lower => name.to_lowercase(),
                    Case::Upper => name.to_uppercase(),
                })
            }
        })
    }
}

/// The rule at the front, and what follows it.
fn rule(text: &str) -> Option<(Rule, &str)> {
    if let Some(rest) = text.strip_prefix("DEFAULT") {
        return Some((Rule::Default, rest));
    }
    let (pattern, rest) = up_to_slash(text.strip_prefix("RULE:")?)?;
    let (replacement, rest) = up_to_slash(rest)?;
    let (case, rest) = match rest.chars().next() {
        Some('L') => (Case::Lower, &rest[1..]),
        Some('U') => (Case::Upper, &rest[1..]),
        _ => (Case::Kept, rest),
    };
    // Java's matches() means the whole name.
    let pattern = Regex::new(&format!("^(?:{pattern})$")).ok()?;
    Some((Rule::Replace { pattern, replacement: bounded(replacement), case }, rest))
}

/// Everything up to a slash that no backslash stands before.
fn up_to_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '/' if !escaped => return Some((&text[..at], &text[at + 1..])),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

/// `$1x` as Java reads it: the group's number ends with its digits.
fn bounded(replacement: &str) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    out.push(digit);
                }
                out.push('}');
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(rules: &str, subject: &str) -> Option<String> {
        PrincipalRules::parse(rules).unwrap().name(subject)
    }

    #[test]
    fn the_first_rule_that_matches_the_whole_name_counts() {
        let rules = "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/,RULE:CN=([^,]*),OU=(.*?),O=x/$1@$2_/L, \
                     DEFAULT";
        assert_eq!(name(rules, "CN=svc,OU=ServiceUsers,O=x").as_deref(), Some("svc"));
        assert_eq!(name(rules, "CN=Bob,OU=Team,O=x").as_deref(), Some("bob@team_"));
        assert_eq!(name(rules, "CN=Bob,OU=Team,O=y").as_deref(), Some("CN=Bob,OU=Team,O=y"));
        assert_eq!(name("RULE:CN=(.*)/$1/U", "CN=a").as_deref(), Some("A"));
        assert_eq!(name("RULE:CN=(.*)/$1/", "O=a"), None);
        assert_eq!(name("", "CN=a").as_deref(), Some("CN=a"));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for bad in ["RULE:a", "RULE:a/b", "rule:a/b/", "RULE:(/b/", "DEFAULT DEFAULT"] {
            assert!(PrincipalRules::parse(bad).is_err(), "{bad}");
        }
    }
}
