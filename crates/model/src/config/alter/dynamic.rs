//! What may be set on running brokers beyond a row's own check: rules that Apache Kafka applies
//! to the whole configuration that would result, in its words.

use super::super::cordoning::Cordoning;
use super::super::layers::Props;
use super::ConfigError;

const DEDUPE_BUFFER: &str = "log.cleaner.dedupe.buffer.size";
const CLEANER_THREADS: &str = "log.cleaner.threads";
/// A cleaner thread needs more than this.
const DEDUPE_BUFFER_MIN: i64 = 1 << 20;
/// Least values of keys whose rows leave them open, as null means "not set" there.
const LEAST: [(&str, i64); 2] = [("log.roll.ms", 1), ("log.roll.jitter.ms", 0)];
/// Texts of the form `name:value,...`.
const PAIRS: [&str; 2] = ["max.connections.per.ip.overrides", "listener.security.protocol.map"];

/// Judges the values together.
pub(super) fn check(props: &Props) -> Result<(), ConfigError> {
    let integer = |key: &str| props.get(key).and_then(|text| text.trim().parse::<i64>().ok());
    for (key, least) in LEAST {
        if integer(key).is_some_and(|value| value < least) {
            let text =
                format!("requirement failed: {key} must be greater than or equal to {least}");
            return refuse(key, text);
        }
    }
    let threads = integer(CLEANER_THREADS).unwrap_or(1).max(1);
    if integer(DEDUPE_BUFFER).is_some_and(|bytes| bytes / threads <= DEDUPE_BUFFER_MIN) {
        let text =
            format!("requirement failed: {DEDUPE_BUFFER} must be at least 1MB per cleaner thread.");
        return refuse(DEDUPE_BUFFER, text);
    }
    for key in PAIRS {
        let entries = props.get(key).into_iter().flat_map(|text| text.split(','));
        for entry in entries.map(str::trim).filter(|entry| !entry.is_empty()) {
            if !entry.contains(':') {
                let length = entry.encode_utf16().count();
                let text = format!(
                    "Error parsing configuration property '{key}': begin 0, end -1, length {length}"
                );
                return refuse(key, text);
            }
        }
    }
    let cordoned = props.iter().find_map(|(key, value)| Cordoning::of_change(key, Some(value)));
    cordoned.map_or(Ok(()), |cordoned| cordoned.check_all_alone())?;
    if let Some(texts) = props.get("listeners") {
        let texts: Vec<&str> = texts.split(',').map(str::trim).collect();
        let broken = texts.iter().find(|text| !text.contains("://"));
        if let Some(broken) = broken {
            let text = format!(
                "Error creating broker listeners from '[{}]': Unable to parse {broken} to a \
                 broker endpoint",
                texts.join(", ")
            );
            return refuse("listeners", text);
        }
    }
    Ok(())
}

fn refuse(name: &str, text: String) -> Result<(), ConfigError> {
    Err(ConfigError::Form { name: name.to_owned(), text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(key: &str, value: &str) -> Option<String> {
        let props = Props::from([(key.to_owned(), value.to_owned())]);
        check(&props).err().map(|error| error.to_string())
    }

    #[test]
    fn a_roll_time_is_at_least_a_millisecond() {
        assert_eq!(told("log.roll.ms", "1"), None);
        let text = "requirement failed: log.roll.ms must be greater than or equal to 1";
        assert_eq!(told("log.roll.ms", "0").as_deref(), Some(text));
        assert!(told("log.roll.jitter.ms", "-1").is_some());
    }

    #[test]
    fn pairs_need_a_colon_and_listeners_an_address() {
        assert_eq!(told("max.connections.per.ip.overrides", "a:1,b:2"), None);
        let text = "Error parsing configuration property 'max.connections.per.ip.overrides': \
                    begin 0, end -1, length 2";
        assert_eq!(told("max.connections.per.ip.overrides", "a:1,bc").as_deref(), Some(text));
        assert_eq!(told("listeners", "PLAINTEXT://:9092"), None);
        assert!(told("listeners", "x").is_some());
    }

    #[test]
    fn a_cleaner_thread_has_more_than_a_mebibyte() {
        assert!(told(DEDUPE_BUFFER, "1048576").is_some());
        assert_eq!(told(DEDUPE_BUFFER, "1048577"), None);
    }
}
