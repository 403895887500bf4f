//! What a command line says, without the secrets in it.

use naru_model::config::broker_row;

use super::{pairs, scram};

/// The arguments in a row; what `--add-config` is given is hidden if a secret is in it.
pub(super) fn shown(args: &[String]) -> String {
    let mut is_value = false;
    let shown = args.iter().map(|arg| {
        let was_value = std::mem::replace(&mut is_value, is_add_config(arg));
        match arg.split_once('=') {
            _ if was_value => shown_pairs(arg).to_owned(),
            Some((option, value)) if is_add_config(option) => {
                format!("{option}={}", shown_pairs(value))
            }
            _ => arg.clone(),
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Whether it is `--add-config`, which may be cut short.
fn is_add_config(arg: &str) -> bool {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')).unwrap_or_default();
    name.starts_with("ad") && "add-config".starts_with(name)
}

fn shown_pairs(text: &str) -> &str {
    let has_secret = match pairs::parse(text) {
        Ok(pairs) => pairs.iter().any(|(name, _)| is_secret(name)),
        // Who knows what it was to be.
        Err(_) => true,
    };
    if has_secret { "[hidden]" } else { text }
}

fn is_secret(name: &str) -> bool {
    let words = ["password", "secret", "jaas", "SCRAM"];
    scram::is_scram(name)
        || broker_row(name).is_some_and(|row| row.is_sensitive())
        || words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expect: &str) {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(shown(&args), expect);
    }

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        check("--alter --topic t --add-config a=1", "--alter --topic t --add-config a=1");
        check("--add-config SCRAM-SHA-256=[password=x] --user u", "--add-config [hidden] --user u");
        check("--add-config=SCRAM-SHA-256=[password=x]", "--add-config=[hidden]");
        check("--add-c x.ssl.key.password=x --broker 1", "--add-c [hidden] --broker 1");
        check("--add-config listener.name.a.ssl.keystore.key=x", "--add-config [hidden]");
        check("--add-config SCRAM-SHA-256=[password=x", "--add-config [hidden]");
        check("--alter --all --describe", "--alter --all --describe");
    }
}
