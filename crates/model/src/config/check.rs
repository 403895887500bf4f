//! One text against one row: parsing, bounds, and the text a parsed value has again.
//!
//! Error texts are facts of Apache Kafka 4.3.1: clients and their users see them.

use std::collections::HashSet;

use super::ConfigError;
use super::row::{ConfigKind, ConfigRow, Validator};

/// A value of a row's type.
#[derive(Debug, Clone, PartialEq)]
pub enum ConfigValue {
    /// Of kind `Boolean`.
    Boolean(bool),
    /// Of kind `Int`, `Short` or `Long`; within the type's bounds.
    Integer(i64),
    /// Of kind `Double`.
    Double(f64),
    /// Of kind `String`, `Class` or `Password`, trimmed.
    Text(String),
    /// Of kind `List`, entries trimmed.
    List(Vec<String>),
}

impl ConfigValue {
    /// The text Kafka shows for the value, in DescribeConfigs for example.
    pub fn to_text(&self) -> String {
        match self {
            Self::Boolean(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Double(value) => java_double(*value),
            Self::Text(value) => value.clone(),
            Self::List(entries) => entries.join(","),
        }
    }
}

pub(super) fn check(row: &ConfigRow, raw: &str) -> Result<ConfigValue, ConfigError> {
    let mut value = parse(row, raw)?;
    if let (Validator::Entries { .. }, ConfigValue::List(entries)) = (row.validator, &mut value) {
        // Kafka passes over what is named twice.
        let mut seen = HashSet::new();
        entries.retain(|entry| seen.insert(entry.clone()));
    }
    validate(row, &value)?;
    Ok(value)
}

fn parse(row: &ConfigRow, raw: &str) -> Result<ConfigValue, ConfigError> {
    // Java's trim cuts everything up to the space, control characters included.
    let text = raw.trim_matches(|c: char| c <= ' ');
    let not_a_number = || {
        let reason = format!("Not a number of type {}", row.kind.name());
        ConfigError::value(row.name, raw, reason)
    };
    let integer = |bounds: std::ops::RangeInclusive<i64>| {
        let value = text.parse::<i64>().ok().filter(|value| bounds.contains(value));
        value.map(ConfigValue::Integer).ok_or_else(not_a_number)
    };
    match row.kind {
        ConfigKind::Boolean if text.eq_ignore_ascii_case("true") => Ok(ConfigValue::Boolean(true)),
        ConfigKind::Boolean if text.eq_ignore_ascii_case("false") => {
            Ok(ConfigValue::Boolean(false))
        }
        ConfigKind::Boolean => {
            Err(ConfigError::value(row.name, raw, "Expected value to be either true or false"))
        }
        ConfigKind::Int => integer(i64::from(i32::MIN)..=i64::from(i32::MAX)),
        ConfigKind::Short => integer(i64::from(i16::MIN)..=i64::from(i16::MAX)),
        ConfigKind::Long => integer(i64::MIN..=i64::MAX),
        ConfigKind::Double => {
            parse_java_double(text).map(ConfigValue::Double).ok_or_else(not_a_number)
        }
        ConfigKind::String | ConfigKind::Class | ConfigKind::Password => {
            Ok(ConfigValue::Text(text.to_owned()))
        }
        ConfigKind::List if text.is_empty() => Ok(ConfigValue::List(Vec::new())),
        ConfigKind::List => {
            Ok(ConfigValue::List(text.split(',').map(|entry| entry.trim().to_owned()).collect()))
        }
    }
}

fn validate(row: &ConfigRow, value: &ConfigValue) -> Result<(), ConfigError> {
    match (row.validator, value) {
        (Validator::AtLeast(min), ConfigValue::Integer(n)) => bound(row, *n, min, i64::MAX),
        (Validator::Between(min, max), ConfigValue::Integer(n)) => bound(row, *n, min, max),
        (Validator::GzipLevel, ConfigValue::Integer(n)) if *n != -1 && !(1..=9).contains(n) => {
            let reason = "Value must be between 1 and 9 or equal to -1";
            Err(ConfigError::value(row.name, n, reason))
        }
        (Validator::Fraction(min, max), ConfigValue::Double(n)) => {
            if *n < min {
                let reason = format!("Value must be at least {min}");
                return Err(ConfigError::value(row.name, java_double(*n), reason));
            }
            if *n > max {
                let reason = format!("Value must be no more than {max}");
                return Err(ConfigError::value(row.name, java_double(*n), reason));
            }
            Ok(())
        }
        (Validator::OneOf(allowed), ConfigValue::Text(text)) => one_of(row.name, text, allowed),
        (Validator::OneOfAnyCase(allowed), ConfigValue::Text(text)) => {
            if allowed.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                return Ok(());
            }
            let reason =
                format!("String must be one of (case insensitive): {}", allowed.join(", "));
            Err(ConfigError::value(row.name, text, reason))
        }
        (Validator::NonEmpty, ConfigValue::Text(text)) if text.is_empty() => {
            Err(ConfigError::value(row.name, "", "String must be non-empty"))
        }
        (Validator::OffsetReset, ConfigValue::Text(text)) if !is_offset_reset(text) => {
            let reason = format!(
                "Invalid value `{text}` for configuration {}. The value must be either \
                 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                row.name
            );
            Err(ConfigError::value(row.name, text, reason))
        }
        (Validator::Entries { allowed, may_be_empty }, ConfigValue::List(entries)) => {
            check_entries(row.name, entries, allowed, may_be_empty)
        }
        (Validator::ThrottledReplicas, ConfigValue::List(entries)) => {
            check_throttled(row.name, entries)
        }
        (Validator::QuorumVoters, ConfigValue::List(entries)) => {
            entries.iter().try_for_each(|entry| check_voter(row.name, entry))
        }
        (Validator::BootstrapServers, ConfigValue::List(entries)) => {
            entries.iter().try_for_each(|entry| check_server(row.name, entry))
        }
        // Validators only stand beside the types they judge; `tables` tests it.
        _ => Ok(()),
    }
}

fn bound(row: &ConfigRow, value: i64, min: i64, max: i64) -> Result<(), ConfigError> {
    if value < min {
        let reason = format!("Value must be at least {min}");
        return Err(ConfigError::value(row.name, value, reason));
    }
    if value > max {
        let reason = format!("Value must be no more than {max}");
        return Err(ConfigError::value(row.name, value, reason));
    }
    Ok(())
}

fn one_of(name: &str, text: &str, allowed: &[&str]) -> Result<(), ConfigError> {
    if allowed.contains(&text) {
        return Ok(());
    }
    let reason = format!("String must be one of: {}", allowed.join(", "));
    Err(ConfigError::value(name, text, reason))
}

fn check_entries(
    name: &str,
    entries: &[String],
    allowed: &[&str],
    may_be_empty: bool,
) -> Result<(), ConfigError> {
    let refuse = |problem: String| Err(ConfigError::Entries { name: name.to_owned(), problem });
    if entries.is_empty() && !may_be_empty {
        let valid = if allowed.is_empty() {
            "any non-empty value".to_owned()
        } else {
            format!("[{}]", allowed.join(", "))
        };
        return refuse(format!("must not be empty. Valid values include: {valid}"));
    }
    for entry in entries {
        if entry.is_empty() {
            return refuse("values must not be empty.".to_owned());
        }
        if !allowed.is_empty() {
            one_of(name, entry, allowed)?;
        }
    }
    Ok(())
}

fn check_throttled(name: &str, entries: &[String]) -> Result<(), ConfigError> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let pair = |entry: &String| {
        entry.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
    };
    let all = entries.len() == 1 && entries.first().is_some_and(|entry| entry == "*");
    if all || entries.iter().all(pair) {
        return Ok(());
    }
    let reason = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(ConfigError::value(name, format!("[{}]", entries.join(", ")), reason))
}

fn check_voter(name: &str, entry: &str) -> Result<(), ConfigError> {
    let form = |text: String| Err(ConfigError::Form { name: name.to_owned(), text });
    let shape = "Each entry should be in the form `{id}@{host}:{port}`.";
    let Some((id, address)) = entry.split_once('@') else {
        return form(format!("Invalid configuration value for {name}. {shape}"));
    };
    if id.parse::<i32>().is_err() {
        return form(format!(
            "Failed to parse voter ID as an integer from {id} for the configuration {name}."
        ));
    }
    if split_host_port(address).is_none() {
        return form(format!(
            "Failed to parse host name from entry {entry} for the configuration {name}. {shape}"
        ));
    }
    Ok(())
}

fn check_server(name: &str, entry: &str) -> Result<(), ConfigError> {
    if split_host_port(entry).is_some() {
        return Ok(());
    }
    let text = format!(
        "Failed to parse host name from {entry} for the configuration {name}. \
         Each entry should be in the form \"{{host}}:{{port}}\""
    );
    Err(ConfigError::Form { name: name.to_owned(), text })
}

/// `host:port` with an IPv6 host in brackets; the brackets are dropped.
pub(super) fn split_host_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if host.is_empty() || !digits {
        return None;
    }
    Some((host, port.parse().ok()?))
}

fn is_offset_reset(text: &str) -> bool {
    match text.strip_prefix("by_duration:") {
        Some(duration) => is_positive_duration(duration),
        None => text == "latest" || text == "earliest",
    }
}

/// ISO 8601 as Java's `Duration` reads it, without signs: days, then hours, minutes, seconds.
fn is_positive_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.strip_prefix('P') else { return false };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return false,
        None => (rest, ""),
    };
    let whole = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let days_fit = days.is_empty() || days.strip_suffix('D').is_some_and(whole);
    let mut left = time;
    for unit in ['H', 'M'] {
        if let Some((number, after)) = left.split_once(unit) {
            if !whole(number) {
                return false;
            }
            left = after;
        }
    }
    let seconds_fit = left.is_empty()
        || left.strip_suffix('S').is_some_and(|seconds| match seconds.split_once('.') {
            Some((number, part)) => {
                whole(number) && part.len() <= 9 && (part.is_empty() || whole(part))
            }
            None => whole(seconds),
        });
    days_fit && seconds_fit && !rest.is_empty()
}

/// Reads what Java's `Double.parseDouble` reads, save for hexadecimal floats.
fn parse_java_double(text: &str) -> Option<f64> {
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    let bare = number.trim_start_matches(['+', '-']);
    match bare {
        "NaN" => return Some(f64::NAN),
        "Infinity" => {
            let infinity = if number.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
            return Some(infinity);
        }
        _ => {}
    }
    // Rust also knows words such as "inf", which Java does not.
    bare.bytes().next().filter(|b| b.is_ascii_digit() || *b == b'.')?;
    number.parse().ok()
}

/// A number as Java prints it: at least one decimal, an exponent outside 1e-3 to 1e7.
pub(super) fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = value.abs();
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests;
