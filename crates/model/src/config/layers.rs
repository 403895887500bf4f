//! Which value counts: topic or group, then broker, then cluster default, then file, then default.
//!
//! Owns the order of the layers and the keys that stand in for each other. Pure: every layer is
//! handed in; nothing is cached here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::check::ConfigValue;
use super::row::{ConfigRow, Default};
use super::{ConfigError, tables};

/// Keys and values as somebody wrote them.
pub type Props = BTreeMap<String, String>;

/// The layers below a topic or a group, nearest first.
#[derive(Debug, Clone, Copy)]
pub struct Layers<'a> {
    /// Set at run time for this broker.
    pub broker: &'a Props,
    /// Set at run time for all brokers.
    pub cluster: &'a Props,
    /// From the properties file and the environment.
    pub file: &'a Props,
}

static NOTHING: Props = Props::new();

impl<'a> Layers<'a> {
    /// Only a file, as at start.
    pub const fn of_file(file: &'a Props) -> Self {
        Self { broker: &NOTHING, cluster: &NOTHING, file }
    }

    /// Nothing is set anywhere.
    pub const fn none() -> Layers<'static> {
        Layers { broker: &NOTHING, cluster: &NOTHING, file: &NOTHING }
    }

    /// What somebody set for exactly this key.
    pub fn set(&self, name: &str) -> Option<&'a str> {
        [self.broker, self.cluster, self.file]
            .iter()
            .find_map(|layer| layer.get(name))
            .map(String::as_str)
    }

    /// The value of exactly this key: set, or its default.
    pub fn own(&self, row: &ConfigRow) -> Option<Cow<'a, str>> {
        self.set(row.name).map(Cow::Borrowed).or_else(|| row.default_text().map(Cow::Borrowed))
    }

    /// The value that counts for a broker key, in the key's own unit, its stand-ins included:
    /// asking for `log.retention.ms` also looks at minutes and hours.
    pub fn effective(&self, name: &str) -> Option<Cow<'a, str>> {
        stand_ins(name).into_iter().find_map(|key| {
            let text = match self.set(key) {
                Some(text) => Some(text),
                None => broker_row(key).and_then(ConfigRow::default_text),
            };
            text.map(|text| to_unit_of(name, key, text))
        })
    }

    /// The value that counts for a topic or group key: `own` holds what is set on it.
    pub fn inherited(&self, row: &ConfigRow, own: &Props) -> Option<Cow<'a, str>> {
        if let Some(text) = own.get(row.name) {
            return Some(Cow::Owned(text.clone()));
        }
        match row.synonyms.first() {
            Some(name) => self.effective(name),
            None => row.default_text().map(Cow::Borrowed),
        }
    }
}

/// The row of a broker key, also when a listener's prefix stands before it, as in
/// `listener.name.internal.ssl.keystore.location` or, with a SASL mechanism,
/// `listener.name.internal.plain.sasl.jaas.config`.
pub fn broker_row(name: &str) -> Option<&'static ConfigRow> {
    tables::broker().row(name).or_else(|| tables::dynamic().row(name)).or_else(|| {
        let scoped = scoped_key(name)?;
        let table = tables::broker();
        table.row(scoped).or_else(|| table.row(scoped.split_once('.')?.1))
    })
}

/// What follows `listener.name.<listener>.`.
fn scoped_key(name: &str) -> Option<&str> {
    let (listener, key) = name.strip_prefix("listener.name.")?.split_once('.')?;
    (!listener.is_empty()).then_some(key)
}

const RETENTION: [&str; 3] = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
const ROLL: [&str; 2] = ["log.roll.ms", "log.roll.hours"];
const JITTER: [&str; 2] = ["log.roll.jitter.ms", "log.roll.jitter.hours"];
const FLUSH: [&str; 2] = ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];

/// The keys that speak for a broker key, first wins, in the order DescribeConfigs lists them.
pub fn stand_ins(name: &str) -> Vec<&str> {
    if RETENTION.contains(&name) {
        return RETENTION.to_vec();
    }
    if ROLL.contains(&name) {
        return ROLL.to_vec();
    }
    if JITTER.contains(&name) {
        return JITTER.to_vec();
    }
    if FLUSH.first() == Some(&name) {
        return FLUSH.to_vec();
    }
    match (scoped_key(name), broker_row(name)) {
        (Some(_), Some(row)) => vec![name, row.name],
        _ => vec![name],
    }
}

/// Restates the value of `key` in the unit of `name`; whatever is no number stays as it is, for
/// the check to refuse.
fn to_unit_of<'a>(name: &str, key: &str, text: &'a str) -> Cow<'a, str> {
    let (from, to) = (unit_ms(key), unit_ms(name));
    if from == to {
        return Cow::Borrowed(text);
    }
    match text.trim().parse::<i64>() {
        // A negative retention means for ever, in any unit.
        Ok(n) if n < 0 => Cow::Owned(n.to_string()),
        Ok(n) => Cow::Owned((n.saturating_mul(from) / to).to_string()),
        Err(_) => Cow::Borrowed(text),
    }
}

fn unit_ms(key: &str) -> i64 {
    if key.ends_with(".hours") {
        3_600_000
    } else if key.ends_with(".minutes") {
        60_000
    } else {
        1
    }
}

/// Reads typed values for the structs; the table vouches for name and type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    layers: Layers<'a>,
    /// The topic's own values; `None` reads broker keys.
    topic: Option<&'a Props>,
}

impl<'a> Reader<'a> {
    pub(super) const fn broker(layers: Layers<'a>) -> Self {
        Self { layers, topic: None }
    }

    pub(super) const fn topic(layers: Layers<'a>, own: &'a Props) -> Self {
        Self { layers, topic: Some(own) }
    }

    /// The parsed value; `None` when the key is absent and has no default.
    pub(super) fn value(&self, name: &'static str) -> Result<Option<ConfigValue>, ConfigError> {
        let row = match self.topic {
            Some(_) => tables::topic().row(name),
            None => tables::broker().row(name).or_else(|| tables::dynamic().row(name)),
        };
        let row = row.expect("a struct reads keys of its table only");
        let text = match self.topic {
            Some(own) => self.layers.inherited(row, own),
            None => self.layers.effective(name),
        };
        match text {
            Some(text) => row.check(&text).map(Some),
            None if row.default == Default::Required => {
                Err(ConfigError::node(name, "is required and has no default"))
            }
            None => Ok(None),
        }
    }

    pub(super) fn maybe_int(&self, name: &'static str) -> Result<Option<i64>, ConfigError> {
        Ok(match self.value(name)? {
            Some(ConfigValue::Integer(n)) => Some(n),
            _ => None,
        })
    }

    pub(super) fn long(&self, name: &'static str) -> Result<i64, ConfigError> {
        Ok(self.maybe_int(name)?.expect("the row is a number with a default"))
    }

    pub(super) fn int(&self, name: &'static str) -> Result<i32, ConfigError> {
        Ok(i32::try_from(self.long(name)?).expect("the row's type is at most 32 bits"))
    }

    /// A number that its row keeps from being negative; a negative one reads as 0.
    pub(super) fn size(&self, name: &'static str) -> Result<usize, ConfigError> {
        Ok(usize::try_from(self.long(name)?).unwrap_or(0))
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ConfigError> {
        Ok(matches!(self.value(name)?, Some(ConfigValue::Boolean(true))))
    }

    pub(super) fn double(&self, name: &'static str) -> Result<f64, ConfigError> {
        Ok(match self.value(name)? {
            Some(ConfigValue::Double(n)) => n,
            _ => 0.0,
        })
    }

    pub(super) fn text(&self, name: &'static str) -> Result<Option<String>, ConfigError> {
        Ok(match self.value(name)? {
            Some(ConfigValue::Text(text)) => Some(text),
            _ => None,
        })
    }

    pub(super) fn list(&self, name: &'static str) -> Result<Option<Vec<String>>, ConfigError> {
        Ok(match self.value(name)? {
            Some(ConfigValue::List(entries)) => Some(entries),
            _ => None,
        })
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.layers.set(name).is_some()
    }
}
