//! Single settings that change while the node runs, for who asks for them often.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use naru_model::config::{BrokerConfig, Layers};

/// See the module.
#[derive(Debug)]
pub(crate) struct LiveSettings {
    verifies_transactions: AtomicBool,
    replica_fetchers: AtomicUsize,
}

impl LiveSettings {
    pub(super) const fn new(config: &BrokerConfig) -> Self {
        Self {
            verifies_transactions: AtomicBool::new(config.log.transaction_verification),
            replica_fetchers: AtomicUsize::new(config.replication.num_fetchers),
        }
    }

    /// `transaction.partition.verification.enable`.
    pub(crate) fn verifies_transactions(&self) -> bool {
        self.verifies_transactions.load(Ordering::Relaxed)
    }

    /// `num.replica.fetchers`, for what is followed anew: a partition stays with its fetcher as long
    /// as its leader's epoch, so that no two of them hold answers for it.
    pub(crate) fn replica_fetchers(&self) -> usize {
        self.replica_fetchers.load(Ordering::Relaxed)
    }

    /// Takes over what is set.
    pub(super) fn take(&self, layers: &Layers<'_>) {
        // A text that is no value was refused when it was to be set.
        let text = |key| layers.effective(key).map(|text| text.trim().to_ascii_lowercase());
        let verifies = text("transaction.partition.verification.enable");
        if let Some(verifies) = verifies.and_then(|text| text.parse().ok()) {
            self.verifies_transactions.store(verifies, Ordering::Relaxed);
        }
        let fetchers = text("num.replica.fetchers");
        if let Some(fetchers) = fetchers.and_then(|text| text.parse().ok()) {
            self.replica_fetchers.store(fetchers, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use naru_model::config::Props;

    use super::*;

    #[test]
    fn settings_follow_what_is_set_and_go_back() {
        let live = LiveSettings {
            verifies_transactions: AtomicBool::new(true),
            replica_fetchers: AtomicUsize::new(1),
        };
        let pairs =
            [("transaction.partition.verification.enable", "FALSE"), ("num.replica.fetchers", "2")];
        let own: Props = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let none = Props::new();
        let layers = Layers { broker: &own, cluster: &none, file: &none };
        live.take(&layers);
        assert!(!live.verifies_transactions());
        assert_eq!(live.replica_fetchers(), 2);
        live.take(&Layers::none());
        assert!(live.verifies_transactions());
        assert_eq!(live.replica_fetchers(), 1);
    }
}
