//! Lines of a fixed width with straight edges, as Java's argparse4j breaks what it complains of.

/// Breaks `text` into lines of at most `width` characters; all but the last are filled up with
/// spaces between their words, those in the middle first.
pub fn justify(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for piece in pieces(text) {
        if !line.is_empty() && line.chars().count() + piece.trim_end().chars().count() > width {
            lines.push(fill(&line, width));
            line.clear();
        }
        line.push_str(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines.join("\n")
}

/// Where a line may break: behind a space, and behind a hyphen that joins to a letter.
fn pieces(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let breaks = match c {
            ' ' => next.is_some_and(|next| next != ' '),
            '-' => next.is_some_and(char::is_alphabetic),
            _ => false,
        };
        if breaks {
            let end = at + c.len_utf8();
            found.push(&text[start..end]);
            start = end;
        }
    }
    found.push(&text[start..]);
    found
}

fn fill(line: &str, width: usize) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let gaps = words.len().saturating_sub(1);
    let plain = words.join(" ");
    let missing = width.saturating_sub(plain.chars().count());
    if gaps == 0 {
        return plain;
    }
    let (each, extra) = (missing / gaps, missing % gaps);
    let first = (gaps - extra).div_ceil(2);
    let mut full = String::with_capacity(width);
    for (gap, word) in words.iter().enumerate() {
        full.push_str(word);
        if gap < gaps {
            let more = usize::from((first..first + extra).contains(&gap));
            full.push_str(&" ".repeat(1 + each + more));
        }
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_broken_as_argparse4j_breaks_them() {
        for expect in [
            "kafka-metadata-quorum:  error:  invalid   choice:   'nosuch'  (choose  from\n\
             'describe', 'add-controller', 'remove-controller')",
            "kafka-metadata-quorum: error: one  of  the  arguments --bootstrap-server --\n\
             bootstrap-controller is required",
            "kafka-metadata-quorum:  error:  argument   --controller-directory-id/-d  is\n\
             required",
            "kafka-cluster: error:  argument  --bootstrap-server/-b:  not  allowed  with\n\
             argument --bootstrap-controller/-C",
            "kafka-cluster: error: argument --id/-i:  could  not  convert 'x' to Integer\n\
             (For input string: \"x\")",
            "kafka-cluster: error: argument --id/-i is required",
        ] {
            let joined = expect.replace("--\n", "--").replace('\n', " ");
            let plain = joined.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>();
            assert_eq!(justify(&plain.join(" "), 75), expect);
        }
    }
}
