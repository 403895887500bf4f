//! Which clients a subscription is for: `client_id=app-.*,client_software_name=librdkafka`.

use regex::{Regex, RegexBuilder};

/// Most bytes that one compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// What is known of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// The id of its instance, as text.
    pub instance_id: String,
    /// Its client id, if it has one.
    pub client_id: Option<String>,
    /// The name of its library, if it has told it.
    pub software_name: Option<String>,
    /// The version of its library, if it has told it.
    pub software_version: Option<String>,
    /// The address it comes from.
    pub address: String,
    /// The port it comes from.
    pub port: u16,
}

/// What a pattern looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Attribute {
    InstanceId,
    ClientId,
    SoftwareName,
    SoftwareVersion,
    SourceAddress,
    SourcePort,
}

impl Attribute {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "client_instance_id" => Self::InstanceId,
            "client_id" => Self::ClientId,
            "client_software_name" => Self::SoftwareName,
            "client_software_version" => Self::SoftwareVersion,
            "client_source_address" => Self::SourceAddress,
            "client_source_port" => Self::SourcePort,
            _ => return None,
        })
    }

    fn fits(self, pattern: &Regex, client: &Client) -> bool {
        let fits = |text: &Option<String>| text.as_deref().is_some_and(|it| pattern.is_match(it));
        match self {
            Self::InstanceId => pattern.is_match(&client.instance_id),
            Self::ClientId => fits(&client.client_id),
            Self::SoftwareName => fits(&client.software_name),
            Self::SoftwareVersion => fits(&client.software_version),
            Self::SourceAddress => pattern.is_match(&client.address),
            Self::SourcePort => pattern.is_match(&client.port.to_string()),
        }
    }
}

/// A `match` that cannot be read. The text is Apache Kafka 4.3.1's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Illegal client matching pattern: {0}")]
pub struct IllegalPattern(pub String);

/// See the module. Without patterns it fits every client.
#[derive(Debug, Clone, Default)]
pub struct Matches(Vec<(Attribute, Regex)>);

impl Matches {
    /// Reads the entries of a `match` list. A later entry for the same attribute replaces an
    /// earlier one.
    ///
    /// # Errors
    /// The first entry that is not `attribute=pattern`.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, IllegalPattern> {
        let mut all: Vec<(Attribute, Regex)> = Vec::new();
        for entry in entries {
            let (attribute, pattern) =
                read(entry).ok_or_else(|| IllegalPattern(entry.to_owned()))?;
            all.retain(|(known, _)| *known != attribute);
            all.push((attribute, pattern));
        }
        Ok(Self(all))
    }

    /// Whether the subscription is for this client.
    pub fn fit(&self, client: &Client) -> bool {
        self.0.iter().all(|(attribute, pattern)| attribute.fits(pattern, client))
    }
}

fn read(entry: &str) -> Option<(Attribute, Regex)> {
    // Java drops empty parts at the end: `a=b=` has two, `a=` has one.
    let mut parts: Vec<&str> = entry.split('=').collect();
    while parts.last().is_some_and(|part| part.is_empty()) {
        parts.pop();
    }
    let [name, pattern] = parts.as_slice() else { return None };
    let attribute = Attribute::from_name(name.trim())?;
    // The whole text has to fit, as with Java's `matches`.
    let whole = format!("^(?:{})$", pattern.trim());
    let pattern = RegexBuilder::new(&whole).size_limit(PATTERN_BYTES_MAX).build().ok()?;
    Some((attribute, pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client {
            instance_id: "abc".to_owned(),
            client_id: Some("app-1".to_owned()),
            software_name: Some("librdkafka".to_owned()),
            software_version: None,
            address: "127.0.0.1".to_owned(),
            port: 4711,
        }
    }

    fn fits(entries: &[&str]) -> bool {
        Matches::parse(entries.iter().copied()).unwrap().fit(&client())
    }

    #[test]
    fn every_pattern_has_to_fit_the_whole_attribute() {
        assert!(fits(&[]));
        assert!(fits(&["client_id=app-.*", "client_source_port = 47.."]));
        assert!(!fits(&["client_id=app"]));
        assert!(!fits(&["client_id=app-.*", "client_software_name=apache-kafka-java"]));
        assert!(!fits(&["client_software_version=.*"]), "nothing is known of it");
        assert!(fits(&["client_id=no", "client_id=app-1"]), "the later one counts");
        assert!(fits(&["client_source_address=127\\..*", "client_instance_id=a.c"]));
    }

    #[test]
    fn what_is_no_pattern_is_refused_as_kafka_refuses_it() {
        for bad in ["", "client_id", "client_id=", "a=b", "client_id=a=b", "client_id=(", "=x"] {
            let refused = Matches::parse([bad]).unwrap_err();
            assert_eq!(refused.to_string(), format!("Illegal client matching pattern: {bad}"));
        }
    }
}
