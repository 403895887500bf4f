//! A listener's security settings: what is set for it alone, else what is set for all.

use naru_model::config::Props;

/// The settings of one listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'p> {
    props: &'p Props,
    listener: &'p str,
}

impl<'p> Settings<'p> {
    /// `listener` in upper case, as listeners are named here.
    pub(super) const fn new(props: &'p Props, listener: &'p str) -> Self {
        Self { props, listener }
    }

    /// `listener.name.<listener>.<key>`, else `<key>`.
    pub(super) fn text(&self, key: &str) -> Option<&'p str> {
        let own = format!("listener.name.{}.{key}", self.listener.to_ascii_lowercase());
        let value = self.props.get(&own).or_else(|| self.props.get(key));
        value.map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// What is set for this listener alone.
    pub(super) fn own(&self, key: &str) -> Option<&'p str> {
        let own = format!("listener.name.{}.{key}", self.listener.to_ascii_lowercase());
        self.props.get(&own).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// As [`Self::text`], but first what is set for this listener and mechanism.
    pub(super) fn of_mechanism(&self, mechanism: &str, key: &str) -> Option<&'p str> {
        self.text(&format!("{}.{key}", mechanism.to_ascii_lowercase())).or_else(|| self.text(key))
    }

    /// A whole number.
    pub(super) fn number(&self, key: &str, default: i64) -> i64 {
        // A value that is none was refused at start.
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    /// Entries between commas.
    pub(super) fn list(&self, key: &str) -> Vec<&'p str> {
        let text = self.text(key).unwrap_or_default();
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearest_counts() {
        let pairs = [
            ("sasl.jaas.config", "all"),
            ("listener.name.out.sasl.jaas.config", "out"),
            ("listener.name.out.plain.sasl.jaas.config", "out and plain"),
            ("connections.max.reauth.ms", "7"),
        ];
        let props: Props = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let out = Settings::new(&props, "OUT");
        assert_eq!(out.of_mechanism("PLAIN", "sasl.jaas.config"), Some("out and plain"));
        assert_eq!(out.of_mechanism("SCRAM-SHA-256", "sasl.jaas.config"), Some("out"));
        let other = Settings::new(&props, "IN");
        assert_eq!(other.of_mechanism("PLAIN", "sasl.jaas.config"), Some("all"));
        assert_eq!(other.number("connections.max.reauth.ms", 0), 7);
    }
}
