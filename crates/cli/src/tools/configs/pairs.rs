//! `k=v,k2=[a,b],k3=` as `--add-config` takes it.

/// Reads pairs; commas and equals signs inside brackets belong to the value.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    split_outside(text, ',')
        .into_iter()
        .map(|pair| {
            let parts = split_outside(pair, '=');
            let [name, value] = parts.as_slice() else {
                return Err("requirement failed: Invalid entity config: all configs to be added \
                            must be in the format \"key=val\" or  \"key=[val1,val2]\" to group \
                            values which contain commas."
                    .to_owned());
            };
            let value: String = value.chars().filter(|c| !matches!(c, '[' | ']')).collect();
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

fn split_outside(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            c if c == separator && depth <= 0 => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(&str, &str)]) {
        let pairs = parse(text).unwrap();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, expect, "{text}");
    }

    #[test]
    fn brackets_hold_values_together() {
        check("a=1", &[("a", "1")]);
        check("a=1,b=[x,y], c=", &[("a", "1"), ("b", "x,y"), ("c", "")]);
        check("s=[iterations=8192,password=p]", &[("s", "iterations=8192,password=p")]);
        assert!(parse("a").is_err());
        assert!(parse("a=1=2").is_err());
    }
}
