//! What a command line says, without the secrets in it.

use naru_model::config::broker_row;

use super::{pairs, scram};

/// Stands for what is not shown.
const HIDDEN: &str = "[hidden]";

/// The arguments in a row; what sets something is hidden if a secret is in it, wherever it is.
pub(super) fn shown(args: &[String]) -> String {
    let (mut is_value, mut goes_on) = (false, false);
    let shown = args.iter().map(|arg| {
        let is_option = arg.starts_with('-');
        let was_value = std::mem::replace(&mut is_value, is_add_config(arg));
        let shown = match arg.split_once('=') {
            // A space in a password.
            _ if goes_on && !is_option => HIDDEN.to_owned(),
            Some((option, value)) if is_option => {
                let sets = is_add_config(option) || value.contains('=');
                format!("{option}={}", if sets { shown_pairs(value) } else { value })
            }
            Some(_) => shown_pairs(arg).to_owned(),
            None if was_value && !is_option => shown_pairs(arg).to_owned(),
            None => arg.clone(),
        };
        goes_on = shown.ends_with(HIDDEN);
        shown
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn is_add_config(arg: &str) -> bool {
    // No shorter name of it is unmistakable: there is --add-config-file, too.
    matches!(arg, "--add-config" | "-add-config")
}

fn shown_pairs(text: &str) -> &str {
    let has_secret = match pairs::parse(text) {
        Ok(pairs) => pairs.iter().any(|(name, _)| is_secret(name)),
        // Who knows what it was to be.
        Err(_) => true,
    };
    if has_secret { HIDDEN } else { text }
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
        check(
            "--add-config a=1 SCRAM-SHA-256=[password=x] --user u",
            "--add-config a=1 [hidden] --user u",
        );
        check(
            "--add-config SCRAM-SHA-256=[password=x y z] --user u",
            "--add-config [hidden] [hidden] [hidden] --user u",
        );
        check(
            "--add-config=SCRAM-SHA-256=[password=x y] --all",
            "--add-config=[hidden] [hidden] --all",
        );
        check("--user=SCRAM-SHA-256=[password=x]", "--user=[hidden]");
        check(
            "--bootstrap-server=h:1 --add-config-file f",
            "--bootstrap-server=h:1 --add-config-file f",
        );
        check("--alter --all --describe", "--alter --all --describe");
    }
}
