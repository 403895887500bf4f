//! Every configuration that Apache Kafka has, set to values that are mostly wrong.

use super::configs::{BROKER, SET, TOPIC, change, describe_one};
use crate::differential::session::Session;

const VALUES: &[&str] = &["x", "", "-5", "0", "1", "1.5", "true", "99999999999999999999", "a,b"];

/// The keys that both brokers have, in one order.
fn keys(s: &mut Session, kind: i8, name: &str) -> Vec<String> {
    let answer = s.quiet(4, &describe_one(kind, name, None));
    let configs = answer.results.into_iter().flat_map(|result| result.configs);
    let mut keys: Vec<String> =
        configs.map(|config| config.name).filter(|key| !key.starts_with("naru.")).collect();
    keys.sort();
    keys
}

pub fn topics(s: &mut Session) {
    s.topic("valued", 1, &[]);
    for key in keys(s, TOPIC, "valued") {
        for value in VALUES {
            let label = format!("{key}={value}");
            s.ask(&label, 1, &change(TOPIC, "valued", &[(&key, SET, Some(value))]));
        }
    }
    s.settle();
    s.ask("what was taken", 4, &describe_one(TOPIC, "valued", None));
}

pub fn brokers(s: &mut Session) {
    for key in keys(s, BROKER, "1") {
        for (place, value) in [("1", "x"), ("", "x"), ("1", ""), ("", "-5")] {
            let label = format!("{key}={value} of \"{place}\"");
            let mut request = change(BROKER, place, &[(&key, SET, Some(value))]);
            // What is taken is not kept: the brokers must stay as they are.
            request.validate_only = true;
            s.ask(&label, 1, &request);
        }
    }
}
